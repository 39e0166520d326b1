"""Which device is which, and that no two measurements ever share one; NVML itself is pretended."""

import ctypes
import shutil
import subprocess
import sys
import sysconfig
import threading
from contextlib import ExitStack
from ctypes import c_uint
from types import SimpleNamespace

import pynvml
import pytest

from cudagraph_lab import packages
from cudagraph_lab.engine.environment import exclusive
from cudagraph_lab.errors import LabError
from cudagraph_lab.measure import machine as hardware
from cudagraph_lab.measure.guards import device_locks


class Nvml:
    """Two GPUs; a part of the second can be asked for by the UUID of a MIG instance."""

    uuids = ("GPU-a", "GPU-b")

    def __init__(self, monkeypatch):
        pretended = {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlSystemGetDriverVersion": lambda: "1",
            "nvmlDeviceGetCount": lambda: len(self.uuids),
            "nvmlDeviceGetHandleByIndex": self.by_index,
            "nvmlDeviceGetHandleByUUID": self.by_uuid,
            "nvmlDeviceGetUUID": lambda handle: handle,
            "nvmlDeviceGetName": lambda handle: "NVIDIA L4",
            "nvmlDeviceGetCudaComputeCapability": lambda handle: (8, 9),
            "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=24 << 30),
            "nvmlDeviceIsMigDeviceHandle": lambda handle: c_uint(handle.startswith("MIG-")),
            "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": lambda handle: "GPU-b",
        }
        for name, function in pretended.items():
            monkeypatch.setattr(pynvml, name, function)

    def by_index(self, index):
        if index >= len(self.uuids):
            raise pynvml.NVMLError_InvalidArgument()
        return self.uuids[index]

    def by_uuid(self, uuid):
        if uuid not in (*self.uuids, "MIG-b1"):
            raise pynvml.NVMLError_NotFound()
        return uuid


@pytest.fixture
def nvml(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return Nvml(monkeypatch)


def locks(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    return device_locks("cuda", visible.count(",") + 1)


def test_a_record_tells_two_gpus_apart_without_naming_either(nvml):
    first, second = hardware.gpus()
    assert first["device"] == second["device"]
    assert first["device_id"] != second["device_id"]
    for gpu, uuid in zip((first, second), nvml.uuids, strict=True):
        assert len(gpu["device_id"]) == 8
        assert uuid not in gpu["device_id"]
    assert hardware.describe("cuda")["device_id"] == first["device_id"]


def test_two_jobs_on_two_gpus_do_not_wait_for_each_other(nvml, monkeypatch):
    (first,), (second,) = locks(monkeypatch, "0"), locks(monkeypatch, "1")
    with exclusive(first), exclusive(second):
        pass  # the same lock would be waited for, for ever


@pytest.mark.parametrize("other", ["GPU-a", "0,1", "1,0", "0,7"])
def test_two_jobs_on_one_gpu_take_turns_whatever_they_call_it(nvml, monkeypatch, other):
    mine, theirs = locks(monkeypatch, "0"), locks(monkeypatch, other)
    entered = threading.Event()

    def second():
        with ExitStack() as held:
            for path in theirs:
                held.enter_context(exclusive(path))
            entered.set()

    with ExitStack() as held:
        for path in mine:
            held.enter_context(exclusive(path))
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.2)
    thread.join(timeout=10)
    assert entered.is_set()


def test_whoever_sees_several_locks_them_in_one_order(nvml, monkeypatch):
    every = device_locks("cuda", 2)
    assert len(every) == 2
    assert locks(monkeypatch, "0,1") == locks(monkeypatch, "1,0") == every


def test_a_run_locks_the_devices_of_its_ranks_and_no_others(nvml, monkeypatch):
    first, second = locks(monkeypatch, "0"), locks(monkeypatch, "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert device_locks("cuda", 1) == first
    assert device_locks("cuda", 2) == sorted(first + second)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert device_locks("cuda", 1) == second


def test_a_gpu_is_the_same_one_from_wherever_it_is_seen(nvml, monkeypatch):
    # Two containers of one machine have two names and may have one home.
    here = locks(monkeypatch, "0")
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="another"))
    assert locks(monkeypatch, "0") == here
    assert device_locks("cpu", 1)[0].name == "another-cpu.lock"


def test_parts_of_a_gpu_are_one_device(nvml, monkeypatch):
    assert locks(monkeypatch, "MIG-b1") == locks(monkeypatch, "GPU-b") != locks(monkeypatch, "0")


def test_a_driver_that_knows_no_parts_still_tells_devices_apart(nvml, monkeypatch):
    def unknown(handle):
        raise pynvml.NVMLError_FunctionNotFound()

    monkeypatch.setattr(pynvml, "nvmlDeviceIsMigDeviceHandle", unknown)
    assert len({gpu["device_id"] for gpu in hardware.gpus()}) == 2


def test_a_gpu_without_an_id_is_the_machines_and_locked_as_such(nvml, monkeypatch):
    def unknown(handle):
        raise pynvml.NVMLError_NotSupported()

    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", unknown)
    assert locks(monkeypatch, "0") == locks(monkeypatch, "1")
    assert hardware.gpus()[0]["device_id"] is None


def test_a_cpu_is_one_device(nvml):
    assert len(device_locks("cpu", 1)) == 1
    assert device_locks("cpu", 1) == device_locks("cpu", 1) != device_locks("cuda", 1)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """As met in a bare Debian, where vLLM tells of a missing attribute."""

    def load(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(packages, "can_install", lambda: False)


HEADERS = f"python3.{sys.version_info.minor}-dev"


def test_what_vllm_lacks_on_a_bare_machine_is_said_with_what_to_install(
    bare, monkeypatch, tmp_path
):
    with pytest.raises(LabError) as caught:
        hardware.provide_for_cpu()
    assert f"apt-get install libnuma1 g++ {HEADERS}" in str(caught.value)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    assert packages.missing(packages.CPU) == ["g++", HEADERS]
    (tmp_path / "Python.h").touch()
    assert packages.missing(packages.CPU) == ["g++"]
    (tmp_path / "cxx").touch(mode=0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "cxx"))
    hardware.provide_for_cpu()


def test_on_debian_as_root_it_is_installed_before_anything_is_measured(
    bare, monkeypatch, capsys, tmp_path
):
    def apt(command, **_):
        calls.append(command)
        if "install" in command:
            monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
            monkeypatch.delenv("CXX")
            (tmp_path / "Python.h").touch()
        return subprocess.CompletedProcess(command, 0, "")

    calls: list[list[str]] = []
    monkeypatch.setattr(packages, "can_install", lambda: True)
    monkeypatch.setattr(subprocess, "run", apt)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "g++" else None)
    hardware.provide_for_cpu()
    assert [call[2] for call in calls] == ["update", "install"]
    assert calls[1][-3:] == ["libnuma1", "g++", HEADERS]
    said = f"installing for vLLM on a CPU, once: libnuma1, g++, {HEADERS}\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (100, f"`apt-get install libnuma1 g++ {HEADERS}` failed: E: Unable to locate package x"),
        # Debian's compiler does not help where CXX names another one.
        (0, "name a C++ compiler in CXX, or unset it"),
    ],
)
def test_what_cannot_be_installed_ends_in_one_line(bare, monkeypatch, returned, said):
    done = subprocess.CompletedProcess([], returned, "W: y\nE: Unable to locate package x\n")
    monkeypatch.setattr(packages, "can_install", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(LabError) as caught:
        hardware.provide_for_cpu()
    assert said in str(caught.value)
