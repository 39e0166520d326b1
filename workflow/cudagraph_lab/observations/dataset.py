"""From the records of one data set to a tidy table of observations, and what is known beside them.

Arms that cannot be believed keep their reason and lose their numbers here, in one place.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.design.runs import SIMULATED
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.observations.mixture import refuse_mixture, refuse_other_design
from cudagraph_lab.observations.outputs import Outputs, compare_outputs
from cudagraph_lab.observations.starts import first_starts, found_cache
from cudagraph_lab.observations.table import COLUMNS, Row, observe
from cudagraph_lab.observations.validity import Arm, ArmStatus, judge_arm
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.store import (
    SET_ASIDE,
    NotBelievedError,
    log_of,
    measured_again,
    read_record,
    records_aside,
    stays,
)

if TYPE_CHECKING:
    import pandas as pd


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
    dtype: str | None = None  # as vLLM resolved it, `bfloat16`
    tensor_parallel_size: int = 1
    prompt_tokens: int | None = None  # None where the prompt was a text
    output_tokens: int
    max_model_len: int
    batch_sizes: list[int]
    iterations: int
    warmups: int
    source: str
    first_measured_at: str | None
    last_measured_at: str | None
    measured: Literal["apart", "in_turn"] = "apart"  # how the timed arms shared the device
    observed: Literal["statistics", "messages"] = "statistics"  # as in the records
    order: list[list[str]]  # per repeat, the arms in the order in which they really ran
    arms: dict[str, Arm]
    contrasts: dict[str, Contrast]
    series: Literal["sizes"] | None = None  # one of several that are shown together
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
    and a table with COLUMNS. A record that is not believed is left out and said to be.
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
    refuse_other_design(read, expected)
    by_arm: dict[str, list[tuple[Path, Record]]] = {}
    for path, record in read:
        by_arm.setdefault(record.arm, []).append((path, record))
    arms, rows = _judged(by_arm, left_out)
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
        dtype=whole.resolved and whole.resolved.dtype.removeprefix("torch."),
        tensor_parallel_size=(whole.resolved and whole.resolved.tensor_parallel_size) or 1,
        prompt_tokens=len(example.request.workload.prompt_token_ids)
        if example.request.workload.prompt_token_ids
        else None,
        output_tokens=example.request.workload.output_tokens,
        max_model_len=example.request.workload.max_model_len,
        batch_sizes=sorted({b for r in timed for b in r.request.workload.batch_sizes}),
        iterations=example.request.iterations,
        warmups=example.request.warmups,
        source=example.source,
        first_measured_at=min(times, default=None),
        last_measured_at=max(times, default=None),
        measured=example.request.measured,
        observed=example.request.observed,
        order=order_run([record for _, record in read]),
        arms=arms,
        contrasts=compared,
        series=description.get("series"),
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


def mends_of(members: list[tuple[Path, Record]]) -> dict[int, str]:
    """By repeat, what to do about a failed run; nothing about a shipped one, which is git's."""
    shipped = REPOSITORY / "resources"
    return {r.repeat: stays(path) for path, r in members if not path.is_relative_to(shipped)}


def _judged(
    by_arm: Mapping[str, list[tuple[Path, Record]]], left_out: Mapping[str, list[str]]
) -> tuple[dict[str, Arm], list[Row]]:
    """Every arm with what is to be said of it, and the rows of those that count."""
    first = first_starts([record for members in by_arm.values() for _, record in members])
    arms: dict[str, Arm] = {}
    rows: list[Row] = []
    for arm, members in sorted(by_arm.items()):
        those = sorted((record for _, record in members), key=lambda record: record.repeat)
        arms[arm] = judge_arm(those, mends_of(members))
        if arms[arm].status == "ok":
            for record in those:
                if record.status == "ok":
                    rows += observe(record, found_cache(record, first))
    for arm, reasons in left_out.items():
        if arm in arms:
            arms[arm] = arms[arm].model_copy(update={"warnings": arms[arm].warnings + reasons})
        else:
            arms[arm] = absent_arm("missing", "; ".join(reasons))
    return arms, rows


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


def read_believed(
    name: str, paths: list[Path]
) -> tuple[list[tuple[Path, Record]], dict[str, list[str]]]:
    """The records that are believed, and by arm why others are left out, as the terminal is told.

    No file is renamed or changed. Where none is believed, that is no damage to a file, but
    another directory or another version; and files of this repository git brings back.
    Raises LabError in both cases, naming a file.
    """
    read: list[tuple[Path, Record]] = []
    refused: list[tuple[Path, NotBelievedError]] = []
    for path in paths:
        try:
            read.append((path, read_record(path, name)))
        except NotBelievedError as error:
            refused.append((path, error))
    reasons: dict[str, list[str]] = {}
    for path, refusal in refused:
        if not read or path.is_relative_to(REPOSITORY / "resources"):
            raise refusal
        mend = measured_again(path)
        say(f"cudagraph-lab: {path}: {refusal.reason}; left out, the rest goes on; {mend}")
        reasons.setdefault(path.parent.name, []).append(
            f"repeat {path.stem.removeprefix('rep')} is not believed and left out: "
            f"{refusal.reason}; {mend}"
        )
    return read, reasons


def reasons_aside(runs: Path) -> dict[str, list[str]]:
    """By arm, which repeats were set aside and not measured again since."""
    reasons: dict[str, list[str]] = {}
    absent = records_aside(runs)
    for aside in sorted(runs.glob(f"*/rep*.json{SET_ASIDE}*")):
        record = aside.with_name(aside.name.partition(SET_ASIDE)[0])
        if record not in absent:
            continue
        reasons.setdefault(aside.parent.name, []).append(
            f"repeat {record.stem.removeprefix('rep')} was set aside as {aside.name} and is not "
            "measured again yet"
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


def order_run(records: list[Record]) -> list[list[str]]:
    """Per repeat, the arms in the order in which they began; empty where no time is known."""
    order: dict[int, list[str]] = {}
    begun = sorted((r.measured_at, r.repeat, r.arm) for r in records if r.measured_at)
    for _, repeat, arm in begun:
        order.setdefault(repeat, []).append(arm)
    return [arms for _, arms in sorted(order.items())]
