"""From the records of one data set to a tidy table of observations, and what is known beside them.

Arms that cannot be believed keep their reason and lose their numbers here, in one place.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.design.runs import SIMULATED
from cudagraph_lab.engine.versions import oldest_first
from cudagraph_lab.errors import LabError
from cudagraph_lab.forms import Form
from cudagraph_lab.observations.believed import read_believed, reasons_aside
from cudagraph_lab.observations.calls import Calls, calls_over_time
from cudagraph_lab.observations.compile_cache import first_starts, found_cache
from cudagraph_lab.observations.mixture import refuse_mixture
from cudagraph_lab.observations.nodes import apart, nodes_of
from cudagraph_lab.observations.outputs import Outputs, compare_outputs
from cudagraph_lab.observations.table import Row, observe
from cudagraph_lab.observations.validity import Arm, ArmStatus, judge_arm
from cudagraph_lab.records.agreement import refuse_other_design
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.store import log_of, stays

# Data sets that are shown together, each asked for some quantities alone.
Series = Literal["sizes", "speculation", "upgrade", "company"]


class Dataset(Form):
    """What is known of a data set beside its numbers."""

    name: str
    title: str
    kind: Literal["measured", "transcribed", "simulated"]
    platform: str
    device: str
    device_memory_gib: float | None
    driver: str | None
    cpu: str | None
    vllm: str | None  # the oldest of its versions
    versions: list[str] = Field([])  # of vLLM, as it says of itself, the oldest first
    torch: str | None
    lock: str | None
    commit: list[str]
    hosts: list[str]
    # Host and device, to arm, to its repeats there.
    nodes: dict[str, dict[str, list[int]]] = Field({})
    model: str
    weights: str
    dtype: str | None = None  # as vLLM resolved it, `bfloat16`
    tensor_parallel_size: int = 1
    prompt_tokens: int | None = None  # None where the prompt was a text
    output_tokens: int
    max_model_len: int
    batch_sizes: list[int]
    iterations: int
    source: str
    first_measured_at: str | None
    last_measured_at: str | None
    measured: Literal["apart", "in_turn"] = "apart"  # how the timed arms shared the device
    observed: Literal["statistics", "messages"] = "statistics"  # as in the records
    order: list[list[str]]  # per repeat, the arms in the order in which they really ran
    calls: Calls = Field({})  # timed calls at the smallest batch size; of arms that are believed
    arms: dict[str, Arm]
    contrasts: dict[str, Contrast]
    # One of several data sets that are shown together.
    series: Series | None = None
    # The data set of the same device and model in which a gain that both measured is judged.
    gains_judged_in: str | None = None
    caveat: str | None = None  # what a reader must know before believing any number of it
    notes: list[str]
    outputs: list[Outputs]
    files: dict[str, list[str]]  # per arm, its records
    logs: dict[str, list[str]]  # per arm, those start-up logs that lie beside its records

    @property
    def minutes(self) -> float | None:
        """Minutes from the first record to the last; None where the times are not known."""
        if not self.first_measured_at or not self.last_measured_at:
            return None
        first, last = map(datetime.fromisoformat, (self.first_measured_at, self.last_measured_at))
        return (last - first).total_seconds() / 60


def collect(
    name: str,
    records: Iterable[Path],
    description: Mapping[str, Any],
    contrasts: Mapping[str, Mapping[str, Any]],
    not_measurable: Mapping[str, Mapping[str, str]],
    expected: Mapping[str, Mapping[str, Any]],
) -> tuple[Dataset, list[Row]]:
    """Check the records of one data set against each other and tabulate what they observed.

    `description` is the content of its dataset.yaml (title, caveat, notes, contrasts), empty
    where there is none; `contrasts` are the configuration's; `not_measurable` holds, by platform,
    the arms that cannot be measured there, with the reason; `expected` holds the requests
    that the configuration makes of the data set measured now, by arm. Returns the data set
    and its rows (`table.as_table`). A record that is not believed is left out and said to be.
    Raises LabError naming the file and what differs where the records are not one data
    set, and where there are none, or none that is believed.
    """
    paths = sorted(records)
    if not paths:
        raise LabError(f"data set {name!r} has no records; measure it or take it out of `compare`")
    read, left_out = read_believed(name, paths)
    for arm, reasons in reasons_aside(paths[0].parents[1]).items():
        left_out.setdefault(arm, []).extend(reasons)
    if (read[0][1].kind == "simulated") != name.startswith(SIMULATED):
        raise LabError(
            f"{read[0][0]}: {read[0][1].kind} data under the name {name!r}; simulated data, and no "
            f"other, is named {SIMULATED}...: rename the data set"
        )
    read.sort(key=lambda pair: (pair[1].measured_at or "", pair[1].arm, pair[1].repeat))
    refuse_mixture(read)
    for path, record in read:
        if record.arm in expected:
            refuse_other_design(path, record, expected[record.arm], same_arm=True)
    records_read = [record for _, record in read]
    arms = judge_arms(read)
    first = first_starts(records_read)
    rows = [
        row
        for record in sorted(records_read, key=lambda record: (record.arm, record.repeat))
        if record.status == "ok" and arms[record.arm].status == "ok"
        for row in observe(record, found_cache(record, first))
    ]
    add_absent_arms(arms, left_out, not_measurable.get(records_read[0].environment.platform, {}))
    return _describe(name, read, description, arms, contrasts), rows


def judge_arms(read: Sequence[tuple[Path, Record]]) -> dict[str, Arm]:
    """What can be believed of each arm, in the order of their names."""
    by_arm: dict[str, list[tuple[Path, Record]]] = {}
    for path, record in sorted(read, key=lambda pair: (pair[1].arm, pair[1].repeat)):
        by_arm.setdefault(record.arm, []).append((path, record))
    return {
        arm: judge_arm([record for _, record in members], mends_of(members))
        for arm, members in by_arm.items()
    }


def mends_of(members: list[tuple[Path, Record]]) -> dict[int, str]:
    """By repeat, what to do about a failed run; nothing about a shipped one, which is git's."""
    shipped = REPOSITORY / "resources"
    return {r.repeat: stays(path) for path, r in members if not path.is_relative_to(shipped)}


def add_absent_arms(
    arms: dict[str, Arm], left_out: Mapping[str, list[str]], not_measurable: Mapping[str, str]
) -> None:
    """Say of each arm why repeats of it are left out, or why it is not there at all."""
    for arm, reasons in left_out.items():
        if arm in arms:
            arms[arm] = arms[arm].model_copy(update={"warnings": arms[arm].warnings + reasons})
        else:
            arms[arm] = absent_arm("missing", "; ".join(reasons))
    for arm, reason in not_measurable.items():
        arms.setdefault(arm, absent_arm("not_measurable", reason))


def _describe(
    name: str,
    read: Sequence[tuple[Path, Record]],
    description: Mapping[str, Any],
    arms: dict[str, Arm],
    contrasts: Mapping[str, Mapping[str, Any]],
) -> Dataset:
    """All that is known of a data set beside its numbers, from its records in their order."""
    by_arm: dict[str, list[Path]] = {}
    for path, record in read:
        by_arm.setdefault(record.arm, []).append(path)
    timed = [record for _, record in read if record.request.purpose == "timed"]
    example = (timed or [record for _, record in read])[0]
    versions = oldest_first(r.environment.vllm for _, r in read if r.environment.vllm)
    whole = next(
        (
            record
            for version in [*versions, None]
            for _, record in read
            if record.status == "ok" and version in (None, record.environment.vllm)
        ),
        example,
    )
    where, asked = example.environment, example.request
    times = [record.measured_at for _, record in read if record.measured_at]
    nodes = nodes_of([record for _, record in read if record.status == "ok"])
    compared = merge_contrasts(description.get("contrasts", {}), contrasts)
    return Dataset(
        name=name,
        title=description.get("title", name),
        kind=example.kind,
        platform=where.platform,
        device=where.device,
        device_memory_gib=where.device_memory_gib,
        driver=where.driver,
        cpu=where.cpu,
        vllm=whole.environment.vllm,
        versions=versions,
        torch=whole.environment.torch,
        lock=whole.environment.lock or where.lock,
        commit=sorted({r.environment.commit for _, r in read if r.environment.commit}),
        hosts=sorted({r.environment.host for _, r in read if r.environment.host}),
        nodes=nodes,
        model=asked.model,
        weights=asked.weights,
        dtype=whole.resolved and whole.resolved.dtype.removeprefix("torch."),
        tensor_parallel_size=(whole.resolved and whole.resolved.tensor_parallel_size) or 1,
        prompt_tokens=len(asked.workload.prompt_token_ids or []) or None,
        output_tokens=asked.workload.output_tokens,
        max_model_len=asked.workload.max_model_len,
        batch_sizes=sorted({b for r in timed for b in r.request.workload.batch_sizes}),
        iterations=asked.iterations,
        source=example.source,
        first_measured_at=min(times, default=None),
        last_measured_at=max(times, default=None),
        measured="in_turn" if any(r.request.measured == "in_turn" for r in timed) else "apart",
        observed=asked.observed,
        order=order_run([record for _, record in read]),
        calls=calls_over_time(r for r in timed if r.status == "ok" and arms[r.arm].status == "ok"),
        arms=arms,
        contrasts=compared,
        series=description.get("series"),
        gains_judged_in=description.get("gains_judged_in"),
        caveat=description.get("caveat"),
        notes=[
            *description.get("notes", []),
            *apart(nodes, compared),
        ],
        outputs=compare_outputs([r for r in timed if r.status == "ok"]),
        files={arm: [shown(path) for path in paths] for arm, paths in by_arm.items()},
        logs={
            arm: [shown(log) for path in paths if (log := log_of(path)).exists()]
            for arm, paths in by_arm.items()
        },
    )


def absent_arm(status: ArmStatus, reason: str) -> Arm:
    """An arm of which there is no record to believe."""
    return Arm(
        status=status,
        reason=reason,
        purpose="timed",
        engine_args={},
        repeats=0,
        resolved=None,
        warnings=[],
    )


def merge_contrasts(
    described: Mapping[str, Mapping[str, Any]], configured: Mapping[str, Mapping[str, Any]]
) -> dict[str, Contrast]:
    """The contrasts of a data set: its own and the configuration's, each pair of arms once.

    Where both compare the same arms, or have the same name, the configuration's counts.
    """
    own = {name: Contrast.model_validate(value) for name, value in described.items()}
    mine = {name: Contrast.model_validate(value) for name, value in configured.items()}
    names = {(c.numerator, c.denominator): name for name, c in mine.items()}
    merged: dict[str, Contrast] = {}
    for name, contrast in own.items():
        kept = names.get((contrast.numerator, contrast.denominator), name)
        merged[kept] = mine.get(kept, contrast)
    return {**merged, **mine}


def shown(path: Path) -> str:
    """A path as others can follow it: shipped files from the top of the repository."""
    return str(path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path)


def order_run(records: list[Record]) -> list[list[str]]:
    """Per repeat, the arms in the order in which they began; empty where no time is known."""
    order: dict[int, list[str]] = {}
    begun = sorted((r.measured_at, r.repeat, r.arm) for r in records if r.measured_at)
    for _, repeat, arm in begun:
        order.setdefault(repeat, []).append(arm)
    return [arms for _, arms in sorted(order.items())]
