"""What this machine is, without importing torch."""

import os
import platform as host_platform
from pathlib import Path
from typing import Any

import pynvml

from cudagraph_lab.errors import LabError

GIB = 1 << 30


def gpus() -> list[dict[str, Any]]:
    """The NVIDIA GPUs this process may use: name, memory in GiB, capability, driver.

    An empty list where there is no driver or no device. CUDA_VISIBLE_DEVICES is
    obeyed where it holds indices.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        indices = list(range(pynvml.nvmlDeviceGetCount()))
        if visible is not None:
            wanted = [int(part) for part in visible.split(",") if part.strip().isdigit()]
            # UUIDs and MIG names stay vLLM's business; then all devices are listed.
            if wanted or not visible.strip():
                indices = [index for index in wanted if index in indices]
        return [_gpu(index) for index in indices]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(index: int) -> dict[str, Any]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = pynvml.nvmlDeviceGetName(handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    driver = pynvml.nvmlSystemGetDriverVersion()
    return {
        "index": index,
        "device": name.decode() if isinstance(name, bytes) else name,
        "device_memory_gib": pynvml.nvmlDeviceGetMemoryInfo(handle).total / GIB,
        "compute_capability": f"{major}.{minor}",
        "driver": driver.decode() if isinstance(driver, bytes) else driver,
    }


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
            "config: measure: cuda, but no NVIDIA GPU answers here; "
            "set measure to auto or cpu, or look at `nvidia-smi`"
        )
    gpu = {key: value for key, value in found[0].items() if key != "index"}
    return {"platform": "cuda", **gpu, **machine}


def choose_platform(measure: str) -> str | None:
    """`cuda`, `cpu` or None (measure nothing) for the configuration's `measure`.

    Raises LabError where cuda is asked for and there is none.
    """
    if measure == "none":
        return None
    if measure == "auto":
        return "cuda" if gpus() else "cpu"
    describe(measure)
    return measure
