"""`cudagraph-lab doctor`: what is here, what each target needs, and what would fail and why."""

import argparse
import json
import shutil
from dataclasses import asdict, dataclass
from typing import Any

from cudagraph_lab import packages


@dataclass(frozen=True)
class Facts:
    """What was found on this machine."""

    gpus: list[str]  # names with their memory
    driver: str | None
    gpu_fault: str | None  # why a driver that is there does not answer
    cores: int
    memory_gib: float
    free_memory_gib: float
    share: float  # of the memory, that an engine of config/config.yaml asks for
    cache: str
    free_disk_gib: float
    environments: list[str]  # of vllm-cuda and vllm-cpu, those that are built
    needed_gib: dict[str, int]  # what each takes to build
    tools: list[str]  # of those looked for, those that are here
    missing_for_cpu: list[str]  # packages of the system without which vLLM does not start there
    missing_for_tests: list[str]
    can_install: bool  # whether `make lab` and `make test` install them


TOOLS = ("git", "make", "npm", "chromium", "sbatch", "kubectl")


def add_doctor(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "doctor", help="what is here, what each target needs, and what would fail and why"
    )
    parser.add_argument("--cache-dir", default="auto", help="as in the configuration")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> None:
    facts = look(options.cache_dir)
    if options.json:
        print(json.dumps({**asdict(facts), "targets": targets(facts)}, indent=1))
    else:
        print("\n".join(lines(facts)))


def look(cache_dir: str) -> Facts:
    """Look at this machine; asks nothing of a network."""
    import yaml

    from cudagraph_lab import REPOSITORY
    from cudagraph_lab.config.read import parse_config
    from cudagraph_lab.engine.environment import (
        NEEDED_GIB,
        cache_directory,
        lock_file,
        whole_environment,
    )
    from cudagraph_lab.errors import LabError
    from cudagraph_lab.measure import machine

    text = (REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8")
    cache = cache_directory(cache_dir)
    try:
        gpus, fault = machine.gpus(), None
    except LabError as error:
        gpus, fault = [], str(error)
    locks = {stem: lock_file("managed", stem.removeprefix("vllm-")) for stem in NEEDED_GIB}
    disk = next(place for place in (cache, *cache.parents) if place.exists())
    return Facts(
        gpus=[f"{g['device']} ({g['device_memory_gib'] or 0:.0f} GiB)" for g in gpus],
        driver=gpus[0]["driver"] if gpus else None,
        gpu_fault=fault,
        cores=machine.cores(),
        memory_gib=machine.memory_gib(),
        free_memory_gib=_free_memory_gib(),
        share=parse_config(yaml.safe_load(text)).workload.gpu_memory_utilization,
        cache=str(cache),
        free_disk_gib=shutil.disk_usage(disk).free / machine.GIB,
        environments=[
            stem for stem, lock in locks.items() if lock and whole_environment(lock, cache)
        ],
        needed_gib=dict(NEEDED_GIB),
        tools=[tool for tool in TOOLS if shutil.which(tool)],
        missing_for_cpu=packages.missing(packages.CPU),
        missing_for_tests=packages.missing(packages.TESTS),
        can_install=packages.can_install(),
    )


def _free_memory_gib() -> float:
    import psutil

    return float(psutil.virtual_memory().available / (1 << 30))


def targets(facts: Facts) -> dict[str, str]:
    """For each target what it does here, or what it lacks."""
    return {
        "make report": "works; it needs neither a GPU nor vLLM",
        "make lab": _lab(facts),
        "make test": _test(facts),
        "make docs": "works" if "chromium" in facts.tools else f"would fail: {CHROMIUM}",
        "profiles/slurm": "works from here"
        if "sbatch" in facts.tools
        else "would fail: no sbatch here",
        "profiles/kubernetes": _kubernetes(),
    }


CHROMIUM = "no browser; on Debian `apt-get install chromium`"


def _lab(facts: Facts) -> str:
    if facts.gpu_fault:
        return f"would fail: {facts.gpu_fault}"
    stem = "vllm-cuda" if facts.gpus else "vllm-cpu"
    if stem not in facts.environments and facts.free_disk_gib < facts.needed_gib[stem]:
        return (
            f"would fail: vLLM's environment needs {facts.needed_gib[stem]} GiB on the disk of "
            f"{facts.cache}, {facts.free_disk_gib:.1f} are free; make room or set cache_dir"
        )
    if facts.gpus:
        return "works: measures eager, compiled and graphs on the GPU"
    if facts.missing_for_cpu and not facts.can_install:
        return (
            "would fail: vLLM on a CPU needs more of the system; on Debian, as root: "
            f"{packages.command(facts.missing_for_cpu)}"
        )
    needed, free = facts.share * facts.memory_gib, facts.free_memory_gib
    if free < needed:
        return (
            f"would fail: an engine asks for {needed:.1f} GiB of memory, {free:.1f} are free; end "
            "what uses it or lower workload.gpu_memory_utilization"
        )
    return (
        "works: measures eager and compiled on the CPU; graphs need an NVIDIA GPU"
        f"{_installing(facts.missing_for_cpu)}"
    )


def _test(facts: Facts) -> str:
    if facts.missing_for_tests and not facts.can_install:
        return f"would fail; on Debian, as root: {packages.command(facts.missing_for_tests)}"
    return f"works{_installing(facts.missing_for_tests)}"


def _installing(missing: list[str]) -> str:
    return f"; installs {', '.join(missing)} first" if missing else ""


def _kubernetes() -> str:
    from importlib.util import find_spec

    missing = [
        name.replace("_", "-")
        for name in ("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_fs")
        if find_spec(name) is None
    ]
    if missing:
        return f"would fail without {' and '.join(missing)}: make setup-kubernetes"
    return "its plugins are installed"


def lines(facts: Facts) -> list[str]:
    """What is here in four lines, and a line for each target."""
    gpu = ", ".join(facts.gpus) or facts.gpu_fault or "none answers: no driver, or no device"
    built = ", ".join(facts.environments) or "none yet"
    rows = {
        "GPU": gpu + (f", driver {facts.driver}" if facts.driver else ""),
        "memory": f"{facts.free_memory_gib:.1f} of {facts.memory_gib:.1f} GiB free, "
        f"{facts.cores} cores",
        "disk": f"{facts.free_disk_gib:.1f} GiB free for {facts.cache}; vLLM built there: {built}",
        "tools": f"{', '.join(facts.tools) or 'none'}; not here: "
        f"{', '.join(tool for tool in TOOLS if tool not in facts.tools) or 'none'}",
        **targets(facts),
    }
    return [f"{name + ':':<21}{said}" for name, said in rows.items()]
