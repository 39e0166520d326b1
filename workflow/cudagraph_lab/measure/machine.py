"""What this machine is, without importing torch."""

import os
import platform as host_platform
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pynvml

from cudagraph_lab import packages
from cudagraph_lab.errors import LabError

GIB = 1 << 30


def gpus() -> list[dict[str, Any]]:
    """The NVIDIA GPUs this process may use: name, id, memory in GiB, capability, driver.

    An empty list where there is no driver or no device, or where CUDA_VISIBLE_DEVICES
    hides them all. Raises LabError where a driver is there and does not answer: to
    measure a CPU then would hide that.
    """
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return []
    except pynvml.NVMLError as error:
        raise LabError(
            f"the NVIDIA driver does not answer ({error}); mend it, or set measure to cpu or none"
        ) from None
    try:
        return [_gpu(handle) for handle in _visible_handles()]
    finally:
        pynvml.nvmlShutdown()


def _visible_handles() -> list[Any]:
    """Handles of the devices that CUDA_VISIBLE_DEVICES leaves, in its order.

    As CUDA reads it: indices or UUIDs, up to the first that names no device.
    """
    count = pynvml.nvmlDeviceGetCount()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    handles = []
    for entry in (part.strip() for part in visible.split(",")):
        try:
            if entry.isdigit():
                handles.append(pynvml.nvmlDeviceGetHandleByIndex(int(entry)))
            else:
                handles.append(pynvml.nvmlDeviceGetHandleByUUID(entry))
        except pynvml.NVMLError:
            break
    return handles


def _gpu(handle: Any) -> dict[str, Any]:
    name = pynvml.nvmlDeviceGetName(handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    driver = pynvml.nvmlSystemGetDriverVersion()
    return {
        "device": name.decode() if isinstance(name, bytes) else name,
        "device_id": _device_id(handle),
        "device_memory_gib": _memory_gib(handle),
        "compute_capability": f"{major}.{minor}",
        "driver": driver.decode() if isinstance(driver, bytes) else driver,
    }


def _device_id(handle: Any) -> str | None:
    """Which GPU of its kind it is: eight digits of its UUID's SHA-256; None where it has none.

    A part of a GPU (MIG) has the id of the whole, whose memory and power it shares.
    """
    with suppress(pynvml.NVMLError):  # drivers older than MIG do not know the question
        if pynvml.nvmlDeviceIsMigDeviceHandle(handle):
            handle = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    try:
        uuid = pynvml.nvmlDeviceGetUUID(handle)
    except pynvml.NVMLError:
        return None
    return sha256(uuid if isinstance(uuid, bytes) else uuid.encode()).hexdigest()[:8]


def _memory_gib(handle: Any) -> float | None:
    """Memory of the device, or None where it shares the machine's and NVML does not say."""
    try:
        return float(pynvml.nvmlDeviceGetMemoryInfo(handle).total / GIB)
    except pynvml.NVMLError_NotSupported:
        return None


def cpu_name() -> str:
    """The processor's name as the kernel tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return host_platform.processor() or host_platform.machine()


def cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0))


def memory_gib() -> float:
    """Memory of the machine in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def memory_bytes(platform: str) -> int | None:
    """Memory of the device, of the machine on a CPU; None where no device tells its own."""
    if platform == "cpu":
        return int(memory_gib() * GIB)
    found = gpus()
    told = found[0]["device_memory_gib"] if found else None
    return None if told is None else int(told * GIB)


def describe(platform: str) -> dict[str, Any]:
    """The hardware part of a record's environment.

    Raises LabError where the platform is cuda and no GPU answers.
    """
    machine = {"cpu": cpu_name(), "cores": cores(), "memory_gib": memory_gib()}
    if platform == "cpu":
        return {"platform": "cpu", "device": f"{cpu_name()}, {cores()} cores", **machine}
    found = gpus()
    if not found:
        raise LabError(
            "config: measure: cuda, but no NVIDIA GPU answers here; set measure to auto or cpu, "
            "look at `nvidia-smi`, or, where the jobs run on other machines, name the dataset"
        )
    return {"platform": "cuda", **found[0], **machine}


def provide_for_cpu() -> None:
    """Install what vLLM takes from the system on a CPU, where it is missing and that can be done.

    Raises LabError where it is left to the user.
    """
    if missing := packages.missing(packages.CPU):
        how = packages.provide(missing, "vLLM on a CPU")
        if how or (missing := packages.missing(packages.CPU)):
            raise LabError(
                f"vLLM on a CPU needs {', '.join(missing)} of the system, not here; "
                f"{how or 'name a C++ compiler in CXX, or unset it'}"
            )


def choose_platform(measure: str) -> str | None:
    """`cuda`, `cpu` or None (measure nothing) for the configuration's `measure`.

    Only `auto` looks at this machine: what is named may be meant for another one.
    """
    if measure == "none":
        return None
    if measure == "auto":
        return "cuda" if gpus() else "cpu"
    return measure
