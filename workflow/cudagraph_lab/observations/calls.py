"""Raw calls in the order of time, so that a reader sees drift and outliers before any mean."""

from collections.abc import Iterable
from datetime import datetime

from cudagraph_lab.records.record import Record

Calls = dict[str, list[tuple[float, float]]]  # arm: (seconds since the first call, tokens per s)


def calls_over_time(records: Iterable[Record]) -> Calls:
    """The timed calls of each arm at its smallest batch size, in the order of time.

    Seconds count from the earliest of these calls of any arm; values are output tokens per
    second. Calls of which no time was recorded, as published ones, are left out.
    """
    found: Calls = {}
    for record in records:
        if record.measured_at is None or not record.cells or record.request.purpose != "timed":
            continue
        began = datetime.fromisoformat(record.measured_at).timestamp()
        cell = min(record.cells, key=lambda cell: cell.batch)
        found.setdefault(record.arm, []).extend(
            (began + call.started_s, call.throughput)
            for call in cell.timed()
            if call.started_s is not None
        )
    first = min((at for calls in found.values() for at, _ in calls), default=0.0)
    return {
        arm: sorted((round(at - first, 1), float(f"{value:.5g}")) for at, value in calls)
        for arm, calls in found.items()
        if calls
    }
