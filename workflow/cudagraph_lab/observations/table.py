"""All numbers of the records as one long table: a row per observed number.

A row has arm, repeat, batch, role and iteration, so that every figure later is an aggregate of
one `quantity`.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cudagraph_lab.engine.profile_trace import StepProfile
from cudagraph_lab.observations.drafts import accepted_share, replayed_share, tokens_per_step
from cudagraph_lab.observations.steps import decode_steps, share_in_mode, step_tokens
from cudagraph_lab.records.call import Call, Cell
from cudagraph_lab.records.record import Record, StartUp

if TYPE_CHECKING:
    import pandas as pd

GIB = 1 << 30
COLUMNS = ["arm", "repeat", "batch", "role", "iteration", "quantity", "value"]
Row = tuple[str, int, int | None, str, int, str, float]


# Batch size, role and iteration, and numbers by quantity; None is a number that is not known.
Numbers = Mapping[str, float | None]
Observed = tuple[int | None, str, int, Numbers]


def observe(record: Record, cache: Literal["warm", "cold"] | None) -> list[Row]:
    """All numbers of one believed record as rows of the table.

    `cache` is what its start found, as `compile_cache.found_cache` tells.
    """
    observed = [
        *_of_calls(record),
        *_of_start(record, cache),
        *((profile.batch, "profile", 1, _of_profile(profile)) for profile in record.profile or []),
    ]
    return [
        (record.arm, record.repeat, batch, role, iteration, quantity, float(value))
        for batch, role, iteration, numbers in observed
        for quantity, value in numbers.items()
        if value is not None
    ]


def _of_calls(record: Record) -> Iterator[Observed]:
    for cell in record.cells:
        tokens = step_tokens(record, cell.batch)
        for role, calls in groupby(cell.calls, key=lambda call: call.role):
            for iteration, call in enumerate(calls, start=1):
                yield cell.batch, role, iteration, call.observed() | _of_steps(call, tokens)
        yield cell.batch, "timed", 1, {
            "energy_j_per_token": _energy_j_per_token(cell),
            **_of_drafts(cell, record.request.workload.output_tokens),
        }  # fmt: skip
    ended_s = _ended_s(record.cells)
    if record.request.purpose == "timed" and ended_s is not None:
        timed = [call.seconds for cell in record.cells for call in cell.timed()]
        in_calls_s = fsum(seconds for seconds in timed if seconds is not None)
        yield None, "run", 1, {"timed_calls_s": in_calls_s, "run_s": ended_s}


def _of_drafts(cell: Cell, output_tokens: int) -> dict[str, float | None]:
    return {
        "accepted_share": accepted_share(cell.timed()),
        "tokens_per_step": tokens_per_step(cell.timed(), output_tokens),
        "draft_replayed_share": replayed_share(cell),
    }


def _of_steps(call: Call, tokens: int | None) -> dict[str, float | None]:
    decode = decode_steps(call, tokens)
    padded = sum(padded * count for (_, padded), count in decode.items())
    return {
        "full_share": share_in_mode(call, tokens, "FULL"),
        "padded_tokens": padded / sum(decode.values()) if decode else None,
    }


def _of_start(record: Record, cache: Literal["warm", "cold"] | None) -> Iterator[Observed]:
    startup = record.startup
    if startup is None:
        return
    yield None, "startup", 1, _of_graphs(startup)
    # Engines that boot at the same time wait for each other's processors: what their start-up
    # took is not what it takes alone. The memory of the graphs is read as memory of the device
    # that is gone, so the other engines are in it. Counts are what they are.
    if record.request.measured == "in_turn" and record.request.boots == "together":
        return
    for span in startup.spans:
        yield None, "startup", 1, {f"span_{span.name}_s": span.seconds}
        if span.name == "boot" and cache is not None:
            yield None, "startup", 1, {f"boot_{cache}_s": span.seconds}
    capture, log = startup.capture, startup.log
    seconds = gib = None
    if capture is not None:
        seconds, gib = capture.seconds, capture.pool_bytes / GIB
    elif log is not None:
        seconds, gib = log.capture_seconds, log.capture_gib
    found = startup.compile_cache_was or "unknown"
    yield None, "startup", 1, {
        f"compile_{found}_s": startup.compile_seconds,
        "capture_seconds": seconds,
        "capture_gib": gib,
    }  # fmt: skip


def _of_graphs(startup: StartUp) -> Numbers:
    """What was captured, in numbers of graphs."""
    capture, log = startup.capture, startup.log
    shapes: Mapping[str, int] = {}
    if capture is not None:
        shapes = Counter(graph.routine for graph in capture.graphs)
    elif log is not None:
        shapes = {p.routine: p.shapes for p in log.passes if p.routine and p.shapes is not None}
    return {
        "capture_graphs": sum(shapes.values()) or None,
        # A log that says nothing of graphs tells of no capture only where the engine
        # came up; an engine that came up did.
        "passes": len(shapes) if capture or not log else len(log.passes),
        "shapes_piecewise": shapes.get("PIECEWISE"),
        "shapes_full": shapes.get("FULL"),
        "kv_cache_tokens": startup.kv_cache_tokens,
    }


def _of_profile(profile: StepProfile) -> Numbers:
    return profile.model_dump(
        include={
            "kernels_per_step",
            "launches_per_step",
            "graph_launches_per_step",
            "device_busy_s_per_step",
            "operators_per_step",
            "draft_busy_s_per_step",
        }
    )


def _ended_s(cells: Sequence[Cell]) -> float | None:
    """When the last call ended, in seconds since the job began; None where that is not known."""
    ends = [
        call.started_s + call.seconds
        for cell in cells
        for call in cell.calls
        if call.started_s is not None and call.seconds is not None
    ]
    return max(ends, default=None)


def _energy_j_per_token(cell: Cell) -> float | None:
    """Joules per output token over all timed calls of a cell; None where a call has none.

    The counter of the board moves in steps, so that a short call can read 0; their sum is right
    to one step.
    """
    calls = [(call.energy_j, call.tokens) for call in cell.timed()]
    joules = [energy for energy, _ in calls if energy is not None]
    tokens = [count for _, count in calls if count is not None]
    if not calls or len(joules) < len(calls) or len(tokens) < len(calls) or not sum(joules):
        return None
    return fsum(joules) / sum(tokens)


def table_text(rows: Sequence[Row]) -> str:
    """The rows as CSV, with exact values; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def as_table(rows: Sequence[Row]) -> "pd.DataFrame":
    """The rows as a table with COLUMNS."""
    # Here, since whoever collects writes rows and waits for no pandas.
    import pandas as pd

    return pd.DataFrame(rows, columns=COLUMNS).astype({"batch": "Int64"})


def grouped(table: "pd.DataFrame", keys: Sequence[str]) -> dict[tuple[Any, ...], list[float]]:
    """The values of a table by the values of these columns, in ascending order of the latter.

    A batch size that is missing is None, and stands last. Each group keeps the order of the rows;
    pandas has the same, and makes a table of each group, of which there are thousands.
    """
    columns = [_plain(table[key]) for key in keys]
    found: dict[tuple[Any, ...], list[float]] = {}
    for key, value in zip(zip(*columns, strict=True), table["value"].tolist(), strict=True):
        found.setdefault(key, []).append(value)
    order = sorted(found, key=lambda key: [(part is None, part or 0) for part in key])
    return {key: found[key] for key in order}


def _plain(column: "pd.Series[Any]") -> list[Any]:
    """The values of a column; None for those that are missing."""
    values: list[Any] = column.to_numpy(dtype=object).tolist()
    missing = column.isna().to_numpy()
    if not missing.any():
        return values
    return [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]


def read_table(path: Path) -> "pd.DataFrame":
    """The observations as they were written: exact values, whole batch sizes."""
    import pandas as pd

    return pd.read_csv(path, dtype={"batch": "Int64"})
