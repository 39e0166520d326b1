"""Which starts can be set against each other: those with a warm cache, those with an empty one."""

from collections.abc import Sequence
from typing import Literal

from cudagraph_lab.records.record import Record

Run = tuple[str, int]  # arm, repeat


def first_starts(records: Sequence[Record]) -> set[Run]:
    """The run that started first on each machine, which found the shared cache empty.

    Without graphs as well: vLLM's own kernels are compiled and kept there too.
    """
    first: dict[tuple[str | None, str | None], Record] = {}
    for record in records:
        if record.measured_at is None or record.request.compile_cache != "shared":
            continue
        machine = record.environment.host, record.environment.device_id
        known = first.get(machine)
        if known is None or _began(record) < _began(known):
            first[machine] = record
    return {(record.arm, record.repeat) for record in first.values()}


def _began(record: Record) -> tuple[str, int]:
    """When a run began; of those that began together, by the place at which it booted."""
    order = record.request.order
    place = order.index(record.arm) if record.arm in order else len(order)
    return str(record.measured_at), place


def found_cache(record: Record, first: set[Run]) -> Literal["warm", "cold"] | None:
    """What a start found in its cache; None where that is neither all nor nothing.

    A shared cache that this arm had not filled yet may hold what other arms have in common with
    it.
    """
    if record.request.compile_cache == "cold":
        return "cold"
    compiled = record.startup is not None and record.startup.compile_cache_was == "cold"
    return None if compiled or (record.arm, record.repeat) in first else "warm"
