"""What a reader must know beside numbers that count: steps without a graph, and the conditions."""

from collections import Counter
from collections.abc import Iterable, Iterator

from cudagraph_lab.observations.steps import (
    decode_steps,
    never_replayed,
    speculative_tokens,
    step_tokens,
)
from cudagraph_lab.records.call import Cell
from cudagraph_lab.records.record import Record

# Reasons for lower clocks that say nothing of the measurement.
HARMLESS_CLOCK_REASONS = {"gpu_idle", "applications_clocks_setting", "display_clock_setting"}


def parted_calls(records: Iterable[Record]) -> Iterator[str]:
    """Batches of which some timed calls never ran as one decode step, though others did."""
    for record, cell in cells_of(records):
        tokens = step_tokens(record, cell.batch)
        observed = [call for call in cell.timed() if call.steps]
        parted = sum(not decode_steps(call, tokens) for call in observed)
        if 0 < parted < len(observed):
            yield (
                f"repeat {record.repeat}, batch {cell.batch}: in {parted} of {len(observed)} "
                f"calls no step carried all {tokens} tokens, since requests arrived in waves"
            )


def cells_of(records: Iterable[Record]) -> Iterator[tuple[Record, Cell]]:
    """Every cell with its record."""
    return ((record, cell) for record in records for cell in record.cells)


def steps_without_drafts(records: Iterable[Record]) -> Iterator[str]:
    """Batches whose steps mostly lacked drafts that they could carry, and how they ran.

    A drafter may propose fewer than it can, such as n-grams that find no match. The proof of
    replay is of the steps with all drafts; this accounts for the others.
    """
    for record, cell in cells_of(records):
        drafts, tokens = speculative_tokens(record), step_tokens(record, cell.batch)
        if not drafts:
            continue
        steps = [step for call in cell.timed() for step in call.steps or []]
        others: Counter[str] = Counter()
        for step in steps:
            if step.unpadded_tokens != tokens:
                others[step.mode] += step.count
        total, other = sum(step.count for step in steps), others.total()
        if other > total / 2:
            ran = ", ".join(f"{count} ran as {mode}" for mode, count in sorted(others.items()))
            yield (
                f"repeat {record.repeat}, batch {cell.batch}: {total - other} of {total} steps "
                f"carried the {tokens} tokens of a step with all {drafts} drafts; of the "
                f"others {ran}"
            )


def batch_warnings(records: Iterable[Record]) -> Iterator[str]:
    """Batches that ran without a graph, in part or whole, and batches that never ran as such."""
    for record, cell in cells_of(records):
        resolved, batch = record.resolved, cell.batch
        if resolved is None:
            continue
        if batch > (most := resolved.max_num_seqs):
            yield (
                f"batch {batch}: vLLM ran at most {most} requests at a time (max_num_seqs), "
                f"so its numbers are those of batch {most}, served in turn"
            )
        for tokens in never_replayed(record, batch):
            observed = any(decode_steps(call, tokens) for call in cell.timed())
            ran = "ran" if observed else "were expected to run (not observed)"
            top = max(resolved.capture_sizes, default=0)
            yield (
                f"batch {batch}: decode steps of {tokens} tokens are above the largest "
                f"captured size ({top}): they {ran} without a graph"
            )


def condition_warnings(records: Iterable[Record]) -> Iterator[str]:
    """What a reader should know of the conditions: unsteady iterations, throttling, company."""
    from cudagraph_lab.statistics.steadiness import unsteady

    for record in records:
        where = f"repeat {record.repeat}"
        observed = any(call.steps for cell in record.cells for call in cell.timed())
        timed = record.kind == "measured" and record.request.purpose == "timed"
        if timed and record.cells and not observed:
            yield f"{where}: which graphs were replayed was not observed"
        for cell in record.cells:
            rates = [call.throughput for call in cell.timed()]
            if rates and (found := unsteady(rates)) is not None:
                yield f"{where}, batch {cell.batch}: {found.reason}; {found.remedy}"
        reasons = {r for c in record.conditions for r in c.throttle_reasons or []}
        if throttled := sorted(reasons - HARMLESS_CLOCK_REASONS):
            yield f"{where}: the GPU lowered its clocks ({', '.join(throttled)})"
        if any(c.foreign_processes for c in record.conditions):
            yield f"{where}: another process used the device meanwhile"
        if (load := foreign_load(record)) is not None:
            yield f"{where}: {load}"


def rank_warnings(records: Iterable[Record]) -> Iterator[str]:
    """Where ranks of one engine, which do the same work, are not alike."""
    for record in records:
        for one in record.ranks or []:
            first = (record.ranks or [one])[0]
            what = list(one.differs)
            if one.graphs != first.graphs:
                what.append(f"{one.graphs} captured graphs in place of {first.graphs}")
            if what:
                yield (
                    f"repeat {record.repeat}: rank {one.rank} differs from rank {first.rank} in "
                    f"{', '.join(what)}"
                )


def own_load(record: Record) -> int | None:
    """Cores that a run keeps busy itself; None where the record does not tell.

    On a CPU the worker's threads and vLLM's scheduler; on GPUs one process for each rank and
    the one that calls them.
    """
    if record.environment.platform == "cpu":
        threads = record.environment.threads or record.environment.cores
        return None if threads is None else threads + 1
    ranks = 1
    if record.resolved is not None:
        for size in (
            record.resolved.tensor_parallel_size,
            record.resolved.pipeline_parallel_size,
            record.resolved.data_parallel_size,
        ):
            ranks *= size or 1
    return ranks + 1


def foreign_load(record: Record) -> str | None:
    """What to say of a host that others loaded more than the run itself did; else None."""
    loads = [c.load_average for c in record.conditions if c.load_average is not None]
    own = own_load(record)
    if not loads or own is None or max(loads) <= 2 * own:
        return None
    cores = record.environment.cores
    return (
        f"the host was loaded by others: load average {max(loads):.1f}"
        f"{f' on {cores} cores' if cores else ''}, of which the run itself makes about {own}; "
        "measure again on a host that is idle"
    )
