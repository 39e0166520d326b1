"""What a reader must know beside numbers that count: steps without a graph, and the conditions."""

from cudagraph_lab.observations.steps import (
    decode_steps,
    never_replayed,
    speculative_tokens,
    step_tokens,
)
from cudagraph_lab.records.record import Record

# Reasons for lower clocks that say nothing of the measurement.
HARMLESS_CLOCK_REASONS = {"gpu_idle", "applications_clocks_setting", "display_clock_setting"}


def parted_calls(records: list[Record]) -> list[str]:
    """Batches of which some timed calls never ran as one decode step, though others did."""
    warnings = []
    for record in records:
        for cell in record.cells:
            tokens = step_tokens(record, cell.batch)
            observed = [call for call in cell.timed() if call.steps]
            parted = sum(not decode_steps(call, tokens) for call in observed)
            if 0 < parted < len(observed):
                warnings.append(
                    f"repeat {record.repeat}, batch {cell.batch}: in {parted} of {len(observed)} "
                    f"calls no step carried all {tokens} tokens, since requests arrived in waves"
                )
    return warnings


def steps_without_drafts(records: list[Record]) -> list[str]:
    """Batches whose steps mostly lacked drafts that they could carry, and how they ran.

    A drafter may propose fewer than it can, such as n-grams that find no match. The proof of
    replay is of the steps with all drafts; this accounts for the others.
    """
    warnings = []
    for record in records:
        drafts = speculative_tokens(record)
        for cell in record.cells if drafts else []:
            tokens = step_tokens(record, cell.batch)
            steps = [step for call in cell.timed() for step in call.steps or []]
            others: dict[str, int] = {}
            for step in steps:
                if step.unpadded_tokens != tokens:
                    others[step.mode] = others.get(step.mode, 0) + step.count
            total = sum(step.count for step in steps)
            if (other := sum(others.values())) > total / 2:
                ran = ", ".join(f"{count} ran as {mode}" for mode, count in sorted(others.items()))
                warnings.append(
                    f"repeat {record.repeat}, batch {cell.batch}: {total - other} of {total} steps "
                    f"carried the {tokens} tokens of a step with all {drafts} drafts; of the "
                    f"others {ran}"
                )
    return warnings


def batch_warnings(records: list[Record]) -> list[str]:
    """Batches that ran without a graph, in part or whole, and batches that never ran as such."""
    warnings: dict[str, None] = {}
    for record in records:
        resolved = record.resolved
        if resolved is None:
            continue
        for cell in record.cells:
            batch, most = cell.batch, resolved.max_num_seqs
            if batch > most:
                warnings[
                    f"batch {batch}: vLLM ran at most {most} requests at a time (max_num_seqs), "
                    f"so its numbers are those of batch {most}, served in turn"
                ] = None
            for tokens in never_replayed(record, batch):
                observed = any(decode_steps(call, tokens) for call in cell.timed())
                ran = "ran" if observed else "were expected to run (not observed)"
                top = max(resolved.capture_sizes, default=0)
                warnings[
                    f"batch {batch}: decode steps of {tokens} tokens are above the largest "
                    f"captured size ({top}): they {ran} without a graph"
                ] = None
    return list(warnings)


def condition_warnings(records: list[Record]) -> list[str]:
    """What a reader should know of the conditions: unsteady iterations, throttling, company."""
    from cudagraph_lab.statistics.steadiness import unsteady

    warnings = []
    for record in records:
        where = f"repeat {record.repeat}"
        observed = any(call.steps for cell in record.cells for call in cell.timed())
        timed = record.kind == "measured" and record.request.purpose == "timed"
        if timed and record.cells and not observed:
            warnings.append(f"{where}: which graphs were replayed was not observed")
        for cell in record.cells:
            rates = [call.throughput for call in cell.timed()]
            if rates and (found := unsteady(rates)) is not None:
                warnings.append(f"{where}, batch {cell.batch}: {found.reason}; {found.remedy}")
        reasons = {r for c in record.conditions for r in c.throttle_reasons or []}
        if throttled := sorted(reasons - HARMLESS_CLOCK_REASONS):
            warnings.append(f"{where}: the GPU lowered its clocks ({', '.join(throttled)})")
        if any(c.foreign_processes for c in record.conditions):
            warnings.append(f"{where}: another process used the device meanwhile")
        if (load := foreign_load(record)) is not None:
            warnings.append(f"{where}: {load}")
    return warnings


def rank_warnings(records: list[Record]) -> list[str]:
    """Where ranks of one engine, which do the same work, are not alike."""
    warnings: dict[str, None] = {}
    for record in records:
        ranks = record.ranks or []
        for one in ranks:
            what = list(one.differs)
            if one.graphs != ranks[0].graphs:
                what.append(f"{one.graphs} captured graphs in place of {ranks[0].graphs}")
            if what:
                warnings[
                    f"repeat {record.repeat}: rank {one.rank} differs from rank "
                    f"{ranks[0].rank} in {', '.join(what)}"
                ] = None
    return list(warnings)


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
