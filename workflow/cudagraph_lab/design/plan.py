"""What is going to be measured, in a line, and how long it takes by earlier records."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.datasets import RESULTS, SHIPPED, record_files
from cudagraph_lab.design.job import record_path
from cudagraph_lab.design.runs import arms_in_turn, runs_to_measure, share_of_memory, versions_of
from cudagraph_lab.engine.environment import (
    cache_directory,
    lock_file,
    needed_gib,
    whole_environment,
)
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.store import NotBelievedError, read_record


@dataclass(frozen=True)
class Plan:
    """What is said of a data set before it is measured."""

    line: str
    runs: list[str]  # the records of the whole design
    seconds_of_run: float | None


def plan_of_dataset(config: Config, platform: str, name: str) -> Plan | None:
    """The plan of a data set of which a record is missing; None where all are there."""
    runs = runs_to_measure(config, platform)
    paths = [record_path(name, *run) for run in runs]
    missing = [path for path in paths if not Path(path).exists()]
    if not missing:
        return None
    arms = list(dict.fromkeys(arm for arm, _ in runs))
    there = len(paths) - len(missing)
    seconds, source = seconds_of_run(config, platform, name)
    if seconds is None:
        time = "no earlier run says how long"
    else:
        time = f"about {max(round(seconds * len(missing) / 60), 1)} min by {source}"
    kept = f"{there} of them there, " if there else ""
    line = (
        f"{name}: {len(paths)} runs ({', '.join(arms)}), {kept}{_count(len(missing), 'boot')} of "
        f"vLLM to go, {time}; {memory_of(config, platform, arms)}"
    )
    locks = [lock_file(config.vllm_python, platform, v) for v in versions_of(config, platform)]
    cache = cache_directory(config.cache_dir)
    unbuilt = [lock for lock in locks if lock is not None and not whole_environment(lock, cache)]
    if unbuilt:
        gib = sum(needed_gib(lock) for lock in unbuilt)
        several = "environments are" if len(unbuilt) > 1 else "environment is"
        line += f"; before, vLLM's {several} built, {gib} GiB of disk, once"
    return Plan(line, paths, seconds)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")


def memory_of(config: Config, platform: str, arms: list[str]) -> str:
    """The share of the memory that must be free, as the engines of these arms ask for it."""
    share = max(share_of_memory(config, arm, platform) for arm in arms)
    together = len(arms_in_turn(config, platform))
    where = "the device's memory" if platform == "cuda" else "the memory"
    if together:
        return f"{together} engines together take {share * together:.0%} of {where}"
    return f"an engine takes {share:.0%} of {where}"


def seconds_of_run(config: Config, platform: str, name: str) -> tuple[float | None, str]:
    """Seconds that one run takes, and whose records say so; None where none does.

    Records of this data set count, else those of a shipped one on this platform with this model:
    its boots as they were, its calls as many and as long as this design asks for.
    """
    own = record_files(RESULTS / name / "runs")
    if (seconds := _seconds(own[:6], config, platform)) is not None:
        return seconds, "the runs that are there"
    for directory in sorted(SHIPPED.glob("*/runs")):
        first = record_files(directory)[:1]
        if (seconds := _seconds(first, config, platform)) is not None:
            return seconds, f"the shipped {directory.parent.name}"
    return None, ""


def _seconds(paths: Iterable[Path], config: Config, platform: str) -> float | None:
    found = []
    for path in paths:
        try:
            record = read_record(path)
        except NotBelievedError:
            continue
        alike = (record.environment.platform, record.request.model) == (platform, config.model.name)
        if alike and (seconds := seconds_by_record(record, config)) is not None:
            found.append(seconds)
    return median(found) if found else None


def seconds_by_record(record: Record, config: Config) -> float | None:
    """Seconds that a run of this design takes where its boot and calls are those of `record`.

    None where the record tells no boot or no calls. Batch sizes that it has not go by the nearest.
    """
    spans = record.startup.spans if record.startup is not None else []
    boot_s = sum(span.seconds for span in spans if span.name in ("import", "boot"))
    known = {
        cell.batch: median(call.seconds for call in cell.calls if call.seconds is not None)
        for cell in record.cells
        if any(call.seconds is not None for call in cell.calls)
    }
    if not boot_s or not known:
        return None
    calls = 1 + config.warmups + config.iterations
    longer = config.workload.output_tokens / record.request.workload.output_tokens
    nearest = [
        known[min(known, key=lambda there: abs(there - batch))]
        for batch in config.workload.batch_sizes
    ]
    return boot_s + calls * longer * sum(nearest)
