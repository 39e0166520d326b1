"""What is going to be measured, in a line, and how long it takes by earlier records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.datasets import RESULTS, SHIPPED, record_files
from cudagraph_lab.design.job import record_path, turns_to_measure
from cudagraph_lab.design.runs import arms_in_turn, runs_to_measure, share_of_memory, versions_of
from cudagraph_lab.engine.environment import (
    cache_directory,
    lock_file,
    needed_gib,
    whole_environment,
)
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.request import Request
from cudagraph_lab.records.store import NotBelievedError, read_record


@dataclass(frozen=True)
class Plan:
    """What is said of a data set before it is measured."""

    line: str
    runs: list[str]  # the records of the whole design
    seconds_of_job: float | None  # of one that measures, on average


@dataclass(frozen=True)
class Spans:
    """Seconds of a boot, and of one call of every batch size, as an earlier record has them."""

    boot_s: float
    round_s: float


def plan_of_dataset(config: Config, platform: str, name: str) -> Plan | None:
    """The plan of a data set of which a record is missing; None where all are there."""
    runs = runs_to_measure(config, platform)
    paths = [record_path(name, *run) for run in runs]
    missing = [path for path in paths if not Path(path).exists()]
    if not missing:
        return None
    arms = list(dict.fromkeys(arm for arm, _ in runs))
    to_go = dict.fromkeys(
        arm for (arm, _), path in zip(runs, paths, strict=True) if path in missing
    )
    there = len(paths) - len(missing)
    spans, source = known_spans(config, platform, name)
    jobs = jobs_to_go(config, platform, name)
    seconds = None
    time = "no earlier run says how long"
    if spans is not None:
        seconds = sum(seconds_of_job(config, platform, arms, spans) for arms in jobs)
        time = f"about {max(round(seconds / 60), 1)} min" + (f" by {source}" if source else "")
    boots = f"{_count(len(missing), 'boot')} of vLLM"
    if there:
        line = f"{name}: {there} of {len(paths)} runs there, {boots} to go"
        line += f" ({', '.join(to_go)}), {time}"
    else:
        line = f"{name}: {len(paths)} runs ({', '.join(arms)}), {boots} to go, {time}"
        line += f"; {memory_of(config, platform, arms)}"
    locks = [lock_file(config.vllm_python, platform, v) for v in versions_of(config, platform)]
    cache = cache_directory(config.cache_dir)
    unbuilt = [lock for lock in locks if lock is not None and not whole_environment(lock, cache)]
    if unbuilt:
        gib = sum(needed_gib(lock) for lock in unbuilt)
        several = "environments are" if len(unbuilt) > 1 else "environment is"
        line += f"; before, vLLM's {several} built, {gib} GiB of disk, once"
    return Plan(line, paths, seconds and seconds / len(jobs))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")


def memory_of(config: Config, platform: str, arms: list[str]) -> str:
    """The share of the memory that must be free, as the engines of these arms ask for it."""
    share = max(share_of_memory(config, arm, platform) for arm in arms)
    together = len(arms_in_turn(config, platform))
    where = "the device's memory" if platform == "cuda" else "the memory"
    if together:
        whole = config.workload.gpu_memory_utilization
        return f"{together} engines take turns in {whole:.0%} of {where}"
    return f"an engine takes {share:.0%} of {where}"


def jobs_to_go(config: Config, platform: str, name: str) -> list[list[str]]:
    """The jobs that measure what is missing of a data set, each with its arms."""
    together = set(arms_in_turn(config, platform))
    apart = [
        [arm]
        for arm, repeat in runs_to_measure(config, platform)
        if arm not in together and not Path(record_path(name, arm, repeat)).exists()
    ]
    return [*turns_to_measure(config, platform, name).values(), *apart]


def seconds_of_job(config: Config, platform: str, arms: Sequence[str], spans: Spans) -> float:
    """Seconds of one repeat of these arms: their boots, and their calls one after the other.

    On a CPU boots at the same time share its cores, and take as long as one after the other.
    """
    at_once = config.boots == "together" and platform == "cuda"
    boots_s = spans.boot_s * (1 if at_once else len(arms))
    if config.arms[arms[0]].purpose != "timed":
        return boots_s
    round_s = spans.round_s * len(arms)
    timed_s = round_s * config.iterations
    if config.seconds_per_repeat is not None:
        timed_s = min(timed_s, config.seconds_per_repeat + round_s)
    return boots_s + (1 + config.warmups) * round_s + timed_s


def known_spans(config: Config, platform: str, name: str) -> tuple[Spans | None, str]:
    """How long boots and calls take, and the shipped records that say so; None where none does.

    Records of this data set count, else those of a shipped one on this platform with this model:
    its boots as they were, its calls as long as this design asks for.
    """
    own = record_files(RESULTS / name / "runs")
    if (spans := _spans(own[:6], config, platform)) is not None:
        return spans, ""
    for directory in sorted(SHIPPED.glob("*/runs")):
        first = record_files(directory)[:1]
        if (spans := _spans(first, config, platform)) is not None:
            return spans, f"the shipped {directory.parent.name}"
    return None, ""


def _spans(paths: Iterable[Path], config: Config, platform: str) -> Spans | None:
    found = []
    for path in paths:
        try:
            record = read_record(path)
        except NotBelievedError:
            continue
        alike = (record.environment.platform, record.request.model) == (platform, config.model.name)
        if alike and (spans := spans_of_record(record, config)) is not None:
            found.append(spans)
    if not found:
        return None
    return Spans(median(one.boot_s for one in found), median(one.round_s for one in found))


def _booted_together(asked: Request) -> bool:
    return asked.measured == "in_turn" and asked.boots == "together"


def spans_of_record(record: Record, config: Config) -> Spans | None:
    """What a boot and a call of every batch size take where they are those of `record`.

    None where the record tells no boot or no calls. Batch sizes that it has not go by the nearest.
    """
    spans = record.startup.spans if record.startup is not None else []
    boot_s = sum(span.seconds for span in spans if span.name in ("import", "boot"))
    if record.environment.platform == "cpu" and _booted_together(record.request):
        boot_s /= len(record.request.order)  # they shared its cores
    known = {
        cell.batch: median(call.seconds for call in cell.calls if call.seconds is not None)
        for cell in record.cells
        if any(call.seconds is not None for call in cell.calls)
    }
    if not boot_s or not known:
        return None
    longer = config.workload.output_tokens / record.request.workload.output_tokens
    nearest = [
        known[min(known, key=lambda there: abs(there - batch))]
        for batch in config.workload.batch_sizes
    ]
    return Spans(boot_s, longer * sum(nearest))
