"""All numbers of the records as one long table: a row per observed number.

A row has arm, repeat, batch, role and iteration, so that every figure later is an aggregate of
one `quantity`.
"""

from collections.abc import Sequence
from itertools import groupby
from math import fsum
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from cudagraph_lab.observations.validity import decode_steps, share_in_mode, step_tokens
from cudagraph_lab.records.record import Cell, Record

if TYPE_CHECKING:
    import pandas as pd

GIB = 1 << 30
COLUMNS = ["arm", "repeat", "batch", "role", "iteration", "quantity", "value"]
Row = tuple[str, int, int | None, str, int, str, float]


def observe(record: Record, cache: Literal["warm", "cold"] | None) -> list[Row]:
    """All numbers of one believed record as rows of the table.

    `cache` is what its start found, as `starts.found_cache` tells.
    """
    rows: list[Row] = []

    def add(batch: int | None, role: str, iteration: int, **quantities: float | None) -> None:
        rows.extend(
            (record.arm, record.repeat, batch, role, iteration, quantity, float(value))
            for quantity, value in quantities.items()
            if value is not None
        )

    for cell in record.cells:
        tokens = step_tokens(record, cell.batch)
        for _, group in groupby(enumerate(cell.calls), key=lambda pair: pair[1].role):
            for iteration, (_, call) in enumerate(group, start=1):
                decode = decode_steps(call, tokens)
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
                    full_share=share_in_mode(call, tokens, "FULL"),
                    padded_tokens=sum(padded * n for (_, padded), n in decode.items()) / steps
                    if steps
                    else None,
                )
        add(cell.batch, "timed", 1, energy_j_per_token=_energy_j_per_token(cell))
    timed = [call for cell in record.cells for call in cell.timed()]
    if record.request.purpose == "timed" and (ended := _ended_s(record.cells)) is not None:
        in_calls = fsum(call.seconds for call in timed if call.seconds is not None)
        add(None, "run", 1, timed_calls_s=in_calls, run_s=ended)
    startup = record.startup
    if startup is not None:
        # Engines in turn boot at the same time and wait for each other's processors: what their
        # start-up took is not what it takes alone. The memory of the graphs is read as memory of
        # the device that is gone, so the other engines are in it. Counts are what they are.
        alone = record.request.measured == "apart"
        for span in startup.spans if alone else []:
            add(None, "startup", 1, **{f"span_{span.name}_s": span.seconds})
            if span.name == "boot" and cache is not None:
                add(None, "startup", 1, **{f"boot_{cache}_s": span.seconds})
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
            **{
                f"compile_{startup.compile_cache_was or 'unknown'}_s": startup.compile_seconds
                if alone
                else None
            },
            capture_seconds=seconds if alone else None,
            capture_gib=gib if alone else None,
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


def read_table(path: Path) -> "pd.DataFrame":
    """The observations as they were written: exact values, whole batch sizes."""
    import pandas as pd

    return pd.read_csv(path, dtype={"batch": "Int64"})
