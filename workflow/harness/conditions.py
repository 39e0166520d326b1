"""The state of the device and the machine, read without touching either."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIB = 1 << 30

# Bits of nvmlDeviceGetCurrentClocksEventReasons, by NVIDIA's names.
THROTTLE_REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}


def _machine() -> dict[str, Any]:
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    try:
        governor_name = governor.read_text().strip()
    except OSError:
        governor_name = None
    return {"load_average": os.getloadavg()[0], "governor": governor_name}


def _own_processes() -> set[int]:
    """The processes of this measurement and their ancestors: none of them is foreign.

    The measurement is the process that started this harness, with all its descendants: other
    arms in turn have harnesses beside this one.
    """
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    own = {os.getpid()}
    ancestor = os.getpid()
    while ancestor in parents:
        ancestor = parents[ancestor]
        own.add(ancestor)
    family = {os.getppid()}
    while True:
        grown = family | {pid for pid, parent in parents.items() if parent in family}
        if grown == family:
            return own | family
        family = grown


def device_handle(nvml: Any, visible: str) -> Any:
    """The device that CUDA_VISIBLE_DEVICES names by an index or a UUID; raises NVMLError."""
    nvml.nvmlInit()
    if visible.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(visible))
    return nvml.nvmlDeviceGetHandleByUUID(visible)


def visible_devices(count: int) -> list[str]:
    """The first `count` devices that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(index) for index in range(count)]
    return [part.strip() for part in named.split(",")][:count]


def energy_meter(platform: str, devices: int) -> Callable[[], float | None]:
    """A function that reads the joules that all devices of the run have used so far.

    It returns None where one of them has no counter. The counter is NVML's; it counts the whole
    board.
    """
    if platform != "cuda":
        return lambda: None
    from vllm.third_party import pynvml

    try:
        handles = [device_handle(pynvml, visible) for visible in visible_devices(devices)]
        for handle in handles:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return lambda: None
    return lambda: (
        sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles) / 1000
    )


def read_gpu(nvml: Any, visible: str) -> dict[str, Any]:
    """Clocks, power, temperature, throttling, memory and foreign processes by NVML.

    `visible` is the device as CUDA_VISIBLE_DEVICES names it: an index or a UUID.

    A figure that this device or this kind of virtual machine does not tell is None.
    """

    def ask(function: Any, *args: Any) -> Any:
        try:
            return function(handle, *args)
        except nvml.NVMLError:
            return None

    try:
        handle = device_handle(nvml, visible)
    except nvml.NVMLError as error:
        return {"unavailable": f"NVML: {error}"}
    reasons = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
    power_mw = ask(nvml.nvmlDeviceGetPowerUsage)
    memory = ask(nvml.nvmlDeviceGetMemoryInfo)
    processes = ask(nvml.nvmlDeviceGetComputeRunningProcesses)
    own = _own_processes()
    return {
        "sm_clock_mhz": ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
        "power_w": None if power_mw is None else power_mw / 1000,
        "temperature_c": ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        "throttle_reasons": None
        if reasons is None
        else [name for bit, name in THROTTLE_REASONS.items() if reasons & bit],
        "memory_used_gib": None if memory is None else memory.used / GIB,
        "foreign_processes": None
        if processes is None
        # In a container NVML may give the host's numbers, which mean nothing here.
        else sorted(
            process.pid
            for process in processes
            if process.pid not in own and Path(f"/proc/{process.pid}").exists()
        ),
    }


def read_conditions(platform: str, at: str, seconds: float, devices: int) -> list[dict[str, Any]]:
    """A reading of each device of the run, as the record's `Conditions` wants it."""
    reading: dict[str, Any] = {"at": at, "seconds": seconds, **_machine()}
    if platform != "cuda":
        return [reading]
    from vllm.third_party import pynvml

    return [
        {**reading, "place": place, **read_gpu(pynvml, visible)}
        for place, visible in enumerate(visible_devices(devices))
    ]
