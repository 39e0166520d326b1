"""From the records of one data set to a tidy table of observations, and what is known beside them.

The table is long: one row per observed number, with arm, repeat, batch and
iteration, so that every figure later is an aggregate of one `quantity`. Arms that
cannot be believed keep their reason and lose their numbers here, in one place.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.design.runs import SIMULATED
from cudagraph_lab.engine.graph_modes import asks_for_graphs
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.records.record import (
    SET_ASIDE,
    Call,
    Cell,
    NotBelievedError,
    Record,
    Request,
    Resolved,
    conflict,
    dotted,
    log_of,
    read_record,
    records_aside,
    set_aside,
)

if TYPE_CHECKING:
    import pandas as pd

GIB = 1 << 30
COLUMNS = ["arm", "repeat", "batch", "role", "iteration", "quantity", "value"]
# Decode steps that may run in another mode than the arm's before it is not believed:
# the last and first steps of a staggered batch are mixed.
PROOF_TOLERANCE = 0.05

# What must be equal within a data set beside the requests, and how an error calls it.
SHARED_CONDITIONS = (
    "kind",
    "environment.platform",
    "environment.device",
    "environment.driver",
    "environment.vllm",
    "environment.torch",
    "environment.lock",
)

Row = tuple[str, int, int | None, str, int, str, float]
ArmStatus = Literal["ok", "failed", "invalid", "not_measurable", "missing"]


class Arm(BaseModel):
    """One arm of a data set: whether its numbers count, and why not where they do not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: ArmStatus
    reason: str | None
    purpose: str
    engine_args: dict[str, Any]
    repeats: int
    resolved: str | None  # compile mode / graph mode that vLLM chose
    warnings: list[str]


class Outputs(BaseModel):
    """Whether all timed arms wrote the same greedy tokens at one batch size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: int
    arms: list[str]  # those compared, the reference first
    differing: dict[str, str]  # arm to where its first request forks from the reference's
    distinct_tokens: int  # in the reference's first request: few make equality weak evidence


class Dataset(BaseModel):
    """What is known of a data set beside its numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    kind: Literal["measured", "transcribed", "simulated"]
    platform: str
    device: str
    device_memory_gib: float | None
    driver: str | None
    cpu: str | None
    cores: int | None
    vllm: str | None
    torch: str | None
    lock: str | None
    commit: list[str]
    hosts: list[str]
    nodes: dict[str, dict[str, list[int]]] = {}  # host and device, to arm, to its repeats there
    model: str
    weights: str
    output_tokens: int
    max_model_len: int
    batch_sizes: list[int]
    iterations: int
    warmups: int
    source: str
    first_measured_at: str | None
    last_measured_at: str | None
    order: list[list[str]]  # per repeat, the arms in the order in which they really ran
    arms: dict[str, Arm]
    contrasts: dict[str, Contrast]
    caveat: str | None = None  # what a reader must know before believing any number of it
    notes: list[str]
    outputs: list[Outputs]
    files: dict[str, list[str]]  # per arm, its records
    logs: dict[str, list[str]]  # per arm, those start-up logs that lie beside its records


def read_dataset(
    name: str,
    records: Iterable[Path],
    description: Mapping[str, Any],
    contrasts: Mapping[str, Mapping[str, Any]],
    not_measurable: Mapping[str, Mapping[str, str]],
    expected: Mapping[str, Mapping[str, Any]],
) -> "tuple[Dataset, pd.DataFrame]":
    """Check the records of one data set against each other and tabulate what they observed.

    `description` is the content of its dataset.yaml (title, caveat, notes, contrasts), empty
    where there is none; `contrasts` are the configuration's; `not_measurable` holds, by platform,
    the arms that cannot be measured there, with the reason; `expected` holds the requests
    that the configuration makes of the data set measured now, by arm. Returns the data set
    and a table with COLUMNS. A record that is not believed is set aside and said to be.
    Raises LabError naming the file and what differs where the records are not one data
    set, and where there are none, or none that is believed.
    """
    paths = sorted(records)
    if not paths:
        raise LabError(f"data set {name!r} has no records; measure it or take it out of `compare`")
    read = read_believed(name, paths)
    aside = reasons_aside(name, paths[0].parents[1])
    if (read[0][1].kind == "simulated") != name.startswith(SIMULATED):
        raise LabError(
            f"{read[0][0]}: {read[0][1].kind} data under the name {name!r}; simulated data, and no "
            f"other, is named {SIMULATED}...: rename the data set"
        )
    read.sort(key=lambda pair: (pair[1].measured_at or "", pair[1].arm, pair[1].repeat))
    refuse_mixture(read)
    refuse_other_design(read, expected)
    arms: dict[str, Arm] = {}
    rows: list[Row] = []
    by_arm: dict[str, list[tuple[Path, Record]]] = {}
    for path, record in read:
        by_arm.setdefault(record.arm, []).append((path, record))
    for arm, members in sorted(by_arm.items()):
        those = sorted((record for _, record in members), key=lambda record: record.repeat)
        arms[arm] = judge_arm(those)
        if arms[arm].status == "ok":
            for record in those:
                if record.status == "ok":
                    rows += observe(record)
    for arm, reasons in aside.items():
        if arm in arms:
            arms[arm] = arms[arm].model_copy(update={"warnings": arms[arm].warnings + reasons})
        else:
            arms[arm] = absent_arm("missing", "; ".join(reasons))
    platform = read[0][1].environment.platform
    for arm, reason in not_measurable.get(platform, {}).items():
        arms.setdefault(arm, absent_arm("not_measurable", reason))
    timed = [record for _, record in read if record.request.purpose == "timed"]
    example = (timed or [record for _, record in read])[0]
    whole = next((r for _, r in read if r.status == "ok"), example)
    times = [record.measured_at for _, record in read if record.measured_at]
    nodes = nodes_of([record for _, record in read if record.status == "ok"])
    compared = merge_contrasts(description.get("contrasts", {}), contrasts)
    dataset = Dataset(
        name=name,
        title=description.get("title", name),
        kind=example.kind,
        platform=example.environment.platform,
        device=example.environment.device,
        device_memory_gib=example.environment.device_memory_gib,
        driver=example.environment.driver,
        cpu=example.environment.cpu,
        cores=example.environment.cores,
        vllm=whole.environment.vllm,
        torch=whole.environment.torch,
        lock=example.environment.lock,
        commit=sorted({r.environment.commit for _, r in read if r.environment.commit}),
        hosts=sorted({r.environment.host for _, r in read if r.environment.host}),
        nodes=nodes,
        model=example.request.model,
        weights=example.request.weights,
        output_tokens=example.request.workload.output_tokens,
        max_model_len=example.request.workload.max_model_len,
        batch_sizes=sorted({b for r in timed for b in r.request.workload.batch_sizes}),
        iterations=example.request.iterations,
        warmups=example.request.warmups,
        source=example.source,
        first_measured_at=min(times, default=None),
        last_measured_at=max(times, default=None),
        order=order_run([record for _, record in read]),
        arms=arms,
        contrasts=compared,
        caveat=description.get("caveat"),
        notes=[
            *description.get("notes", []),
            *apart(nodes, compared),
        ],
        outputs=compare_outputs([r for r in timed if r.status == "ok"]),
        files={arm: [shown(path) for path, _ in members] for arm, members in by_arm.items()},
        logs={
            arm: [shown(log) for path, _ in members if (log := log_of(path)).exists()]
            for arm, members in by_arm.items()
        },
    )
    # Here, since the page needs the shapes of this module and waits for no pandas.
    import pandas as pd

    table = pd.DataFrame(rows, columns=COLUMNS).astype({"batch": "Int64"})
    return dataset, table


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


def read_believed(name: str, paths: list[Path]) -> list[tuple[Path, Record]]:
    """The records that are believed; the others are set aside, and standard error says so.

    Where none is believed, nothing is renamed: that is no damage to a file, but another
    directory or another version. Neither are files of this repository, which git brings
    back. Raises LabError in both cases, naming a file.
    """
    read: list[tuple[Path, Record]] = []
    refused: list[tuple[Path, NotBelievedError]] = []
    for path in paths:
        try:
            read.append((path, read_record(path, name)))
        except NotBelievedError as error:
            refused.append((path, error))
    for path, refusal in refused:
        if not read or path.is_relative_to(REPOSITORY / "resources"):
            raise refusal
        aside = set_aside(path)
        say(
            f"cudagraph-lab: {path}: {refusal.reason}; set aside as {aside.name}, "
            f"the rest goes on; to measure it again: make lab ARGS={path}"
        )
    return read


def reasons_aside(name: str, runs: Path) -> dict[str, list[str]]:
    """By arm, which repeats were set aside and not measured again since, and why."""
    reasons: dict[str, list[str]] = {}
    absent = records_aside(runs)
    for aside in sorted(runs.glob(f"*/rep*.json{SET_ASIDE}*")):
        record = aside.with_name(aside.name.partition(SET_ASIDE)[0])
        if record not in absent:
            continue
        try:
            read_record(aside, name)
            reason = "set aside by hand"
        except NotBelievedError as error:
            reason = error.reason
        reasons.setdefault(aside.parent.name, []).append(
            f"repeat {record.stem.removeprefix('rep')} is not believed and set aside "
            f"as {aside.name}: {reason}"
        )
    return reasons


def nodes_of(records: list[Record]) -> dict[str, dict[str, list[int]]]:
    """Where each repeat of each arm ran: {host and device: {arm: its repeats}}.

    Both as the records know them, hashed; records that name no host are left out.
    """
    nodes: dict[str, dict[str, list[int]]] = {}
    for record in sorted(records, key=lambda record: (record.arm, record.repeat)):
        where = record.environment
        if where.host is None:
            continue
        node = f"{where.host}/{where.device_id}" if where.device_id else where.host
        nodes.setdefault(node, {}).setdefault(record.arm, []).append(record.repeat)
    return nodes


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


def apart(
    nodes: Mapping[str, Mapping[str, list[int]]], contrasts: Mapping[str, Contrast]
) -> list[str]:
    """One line per contrast whose two arms did not run on the same nodes, so that it holds
    their difference as well; an arm that was not measured is not apart.
    """
    lines = []
    for name, contrast in contrasts.items():
        on = [
            {node for node, arms in nodes.items() if side in arms}
            for side in (contrast.numerator, contrast.denominator)
        ]
        if all(on) and on[0] != on[1]:
            how = "never ran on the same node" if not on[0] & on[1] else "ran on different nodes"
            some = "some repeats of " if on[0] & on[1] else ""
            lines.append(
                f"{name}: {some}{contrast.numerator} and {contrast.denominator} {how}, "
                "so that their ratio holds the difference between the nodes too"
            )
    return lines


def shown(path: Path) -> str:
    """A path as others can follow it: shipped files from the top of the repository."""
    return str(path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path)


def refuse_mixture(read: list[tuple[Path, Record]]) -> None:
    """Raise LabError naming file and condition where two records are not of one data set."""
    for name in SHARED_CONDITIONS:
        # A run that failed early could not say everything.
        said = [(p, value) for p, r in read if (value := dotted(r, name)) is not None]
        for path, value in said:
            if value != said[0][1]:
                _refuse((name, value, said[0][1]), path, said[0][0])
    first_of: dict[str, tuple[Path, Record]] = {}
    for path, record in read:
        for key in (record.arm, record.request.purpose):
            other_path, other = first_of.setdefault(key, (path, record))
            found = conflict(record.request, other.request, record.arm == other.arm)
            if found:
                _refuse(found, path, other_path)


def _refuse(difference: tuple[str, Any, Any], path: Path, other: Path) -> NoReturn:
    name, value, expected = difference
    raise LabError(
        f"{path}: {name} is {value!r}, but {expected!r} in {other}; these are two data sets: "
        "give one of them another name (`dataset` in the configuration)"
    )


def refuse_other_design(
    read: list[tuple[Path, Record]], expected: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raise LabError where the configuration asks for something else than was measured.

    `expected` maps an arm to its request; which weights were taken is the data set's own.
    """
    for path, record in read:
        if record.arm not in expected:
            continue
        known = record.request.model_dump()
        chosen = {key: known[key] for key in ("weights", "revision", "order", "dummy_values")}
        asked = Request.model_validate({**expected[record.arm], **chosen})
        found = conflict(asked, record.request, same_arm=True)
        if found:
            name, now, then = found
            raise LabError(
                f"{path}: measured with {name} {then!r}, the configuration asks for {now!r}; "
                "set `dataset` to a new name there, or put the old value back"
            )


def expected_decode_mode(resolved: Resolved, batch: int) -> str:
    """The runtime mode of a pure decode step of this batch size.

    Source: vLLM's dispatcher: above the largest captured size nothing is replayed.
    """
    if batch > max(resolved.capture_sizes, default=0):
        return "NONE"
    return "FULL" if resolved.cudagraph_mode.startswith("FULL") else resolved.cudagraph_mode


def beyond_ladder(records: list[Record], resolved: Resolved) -> list[str]:
    """Which batch sizes of an arm with graphs are above its largest captured size."""
    if resolved.cudagraph_mode == "NONE":
        return []
    top = max(resolved.capture_sizes, default=0)
    batches = sorted({cell.batch for record in records for cell in record.cells})
    return [
        f"batch {batch} is above the largest captured size ({top}): it ran without a graph"
        for batch in batches
        if batch > top
    ]


def decode_steps(call: Call, batch: int) -> dict[tuple[str, int], int]:
    """Steps that carried exactly one token per request: (mode, padded tokens) to count."""
    counted: dict[tuple[str, int], int] = {}
    for step in call.steps or []:
        if step.unpadded_tokens == batch:
            key = (step.mode, step.padded_tokens)
            counted[key] = counted.get(key, 0) + step.count
    return counted


def share_in_mode(call: Call, batch: int, mode: str) -> float | None:
    """Share of the decode steps of a call that ran in this graph mode; None if unobserved."""
    counted = decode_steps(call, batch)
    total = sum(counted.values())
    if not total:
        return None
    return sum(count for (ran, _), count in counted.items() if ran == mode) / total


def judge_arm(records: list[Record]) -> Arm:
    """Whether an arm's numbers count: it ran, and what ran is what its arguments ask for."""
    whole = [record for record in records if record.status == "ok"]
    request = records[0].request
    status: ArmStatus = "ok"
    reason = None
    warnings = [
        f"repeat {record.repeat} failed ({record.failure.kind}): {record.failure.reason}"
        for record in records
        if record.failure
    ]
    resolved = next((r.resolved for r in whole if r.resolved), None)
    if not whole:
        status, reason = "failed", warnings[0]
    elif resolved is not None:
        asked = asks_for_graphs(request.engine_args)
        if records[0].environment.platform != "cuda":
            asked = "no"
        graphs = resolved.cudagraph_mode != "NONE"
        if asked == "yes" and not graphs:
            status = "invalid"
            reason = "asks for CUDA graphs, but vLLM resolved cudagraph_mode to NONE"
        elif graphs and asked == "no":
            status = "invalid"
            reason = f"asks for no graphs, but vLLM resolved {resolved.cudagraph_mode}"
        else:
            status, reason = _judge_replay(whole, resolved)
            warnings += beyond_ladder(whole, resolved)
    return Arm(
        status=status,
        reason=reason,
        purpose=request.purpose,
        engine_args=request.engine_args,
        repeats=len(whole),
        resolved=f"{resolved.compile_mode} / {resolved.cudagraph_mode}" if resolved else None,
        warnings=(warnings if whole else []) + condition_warnings(whole),
    )


# Reasons for lower clocks that say nothing of the measurement.
HARMLESS_CLOCK_REASONS = {"gpu_idle", "applications_clocks_setting", "display_clock_setting"}


def condition_warnings(records: list[Record]) -> list[str]:
    """What a reader should know of the conditions: unsteady iterations, throttling, company."""
    from cudagraph_lab.statistics.estimates import steady_state

    warnings = []
    for record in records:
        where = f"repeat {record.repeat}"
        observed = any(call.steps for cell in record.cells for call in cell.timed())
        timed = record.kind == "measured" and record.request.purpose == "timed"
        if timed and record.cells and not observed:
            warnings.append(f"{where}: which graphs were replayed was not observed")
        for cell in record.cells:
            steadiness = steady_state([call.throughput for call in cell.timed()] or [1.0])
            if steadiness.flagged:
                warnings.append(
                    f"{where}, batch {cell.batch}: {steadiness.reason}; {steadiness.remedy}"
                )
        reasons = {r for c in record.conditions for r in c.throttle_reasons or []}
        if throttled := sorted(reasons - HARMLESS_CLOCK_REASONS):
            warnings.append(f"{where}: the GPU lowered its clocks ({', '.join(throttled)})")
        if any(c.foreign_processes for c in record.conditions):
            warnings.append(f"{where}: another process used the device meanwhile")
    return warnings


def _judge_replay(records: list[Record], resolved: Resolved) -> tuple[ArmStatus, str | None]:
    for record in records:
        for cell in record.cells:
            mode = expected_decode_mode(resolved, cell.batch)
            for call in cell.timed():
                share = share_in_mode(call, cell.batch, mode)
                if share is not None and share < 1 - PROOF_TOLERANCE:
                    return "invalid", (
                        f"repeat {record.repeat}, batch {cell.batch}: only {share:.0%} of the "
                        f"decode steps ran as {mode}"
                    )
    return "ok", None


def observe(record: Record) -> list[Row]:
    """All numbers of one believed record as rows of the table."""
    rows: list[Row] = []

    def add(batch: int | None, role: str, iteration: int, **quantities: float | None) -> None:
        rows.extend(
            (record.arm, record.repeat, batch, role, iteration, quantity, float(value))
            for quantity, value in quantities.items()
            if value is not None
        )

    for cell in record.cells:
        for _, group in groupby(enumerate(cell.calls), key=lambda pair: pair[1].role):
            for iteration, (_, call) in enumerate(group, start=1):
                decode = decode_steps(call, cell.batch)
                steps = sum(decode.values())
                add(
                    cell.batch,
                    call.role,
                    iteration,
                    throughput=call.throughput,
                    decode_s_per_step=fmean(call.decode_s_per_step)
                    if call.decode_s_per_step
                    else None,
                    first_token_s=fmean(call.first_token_s) if call.first_token_s else None,
                    full_share=share_in_mode(call, cell.batch, "FULL"),
                    padded_tokens=sum(padded * n for (_, padded), n in decode.items()) / steps
                    if steps
                    else None,
                )
    startup = record.startup
    if startup is not None:
        for span in startup.spans:
            add(None, "startup", 1, **{f"span_{span.name}_s": span.seconds})
        capture, log = startup.capture, startup.log
        passes: dict[str, int] = {}
        seconds = gib = None
        if capture is not None:
            seconds, gib = capture.seconds, capture.pool_bytes / GIB
            for graph in capture.graphs:
                passes[graph.routine] = passes.get(graph.routine, 0) + 1
        elif log is not None:
            seconds, gib = log.capture_seconds, log.capture_gib
            passes = {p.routine: p.shapes for p in log.passes if p.routine and p.shapes is not None}
        add(
            None,
            "startup",
            1,
            **{f"compile_{startup.compile_cache_was or 'unknown'}_s": startup.compile_seconds},
            capture_seconds=seconds,
            capture_gib=gib,
            capture_graphs=sum(passes.values()) or None,
            # A log that says nothing of graphs tells of no capture only where the engine
            # came up; an engine that came up did.
            passes=len(passes) if capture or not log else len(log.passes),
            shapes_piecewise=passes.get("PIECEWISE"),
            shapes_full=passes.get("FULL"),
            kv_cache_tokens=startup.kv_cache_tokens,
        )
    for profile in record.profile or []:
        add(
            profile.batch,
            "profile",
            1,
            kernels_per_step=profile.kernels_per_step,
            launches_per_step=profile.launches_per_step,
            graph_launches_per_step=profile.graph_launches_per_step,
            device_busy_s_per_step=profile.device_busy_s_per_step,
            operators_per_step=profile.operators_per_step,
        )
    return rows


def compare_outputs(records: list[Record]) -> list[Outputs]:
    """Compare the greedy outputs of all arms, batch by batch, with the first arm's by name.

    An arm differs where any request of any of its repeats does; batches without kept
    outputs are left out.
    """
    by_batch: dict[int, list[tuple[str, Cell]]] = {}
    for record in sorted(records, key=lambda record: (record.arm, record.repeat)):
        for cell in record.cells:
            if cell.output_sha256 and cell.output_token_ids:
                by_batch.setdefault(cell.batch, []).append((record.arm, cell))
    compared = []
    for batch, cells in sorted(by_batch.items()):
        _, reference = cells[0]
        tokens = (reference.output_token_ids or [[]])[0]
        differing: dict[str, str] = {}
        for arm, cell in cells[1:]:
            if cell.output_sha256 == reference.output_sha256 or arm in differing:
                continue
            own = (cell.output_token_ids or [[]])[0]
            fork = next((i for i, pair in enumerate(zip(tokens, own, strict=False), 1)
                         if pair[0] != pair[1]), None)  # fmt: skip
            differing[arm] = (
                f"at token {fork} of the first request"
                if fork
                else ("in another request than the first, whose tokens are not kept")
            )
        compared.append(
            Outputs(
                batch=batch,
                arms=list(dict.fromkeys(arm for arm, _ in cells)),
                differing=differing,
                distinct_tokens=len(set(tokens)),
            )
        )
    return compared


def order_run(records: list[Record]) -> list[list[str]]:
    """Per repeat, the arms in the order in which they began; empty where no time is known."""
    order: dict[int, list[str]] = {}
    begun = sorted((r.measured_at, r.repeat, r.arm) for r in records if r.measured_at)
    for _, repeat, arm in begun:
        order.setdefault(repeat, []).append(arm)
    return [arms for _, arms in sorted(order.items())]


def read_table(path: Path) -> "pd.DataFrame":
    """The observations as they were written: exact values, whole batch sizes."""
    import pandas as pd

    return pd.read_csv(path, dtype={"batch": "Int64"})
