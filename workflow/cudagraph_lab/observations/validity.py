"""Whether an arm's numbers count, and what a reader must know beside them.

Judged by what vLLM resolved and by the steps that were observed. What cannot be proven is said
to be unproven, with the reason; it is never "ok" in silence.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cudagraph_lab.engine.graph_modes import asks_for_graphs
from cudagraph_lab.observations.steps import expected_decode_mode, share_in_mode, step_tokens
from cudagraph_lab.observations.warnings import (
    batch_warnings,
    condition_warnings,
    parted_calls,
    steps_without_drafts,
)
from cudagraph_lab.records.record import Call, Record, Resolved

# Decode steps that may run in another mode than the arm's before it is not believed:
# the last and first steps of a staggered batch are mixed.
PROOF_TOLERANCE = 0.05

ArmStatus = Literal["ok", "failed", "invalid", "unproven", "not_measurable", "missing"]


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


def judge_arm(records: list[Record], mends: Mapping[int, str] = MappingProxyType({})) -> Arm:
    """Whether an arm's numbers count: it ran, and what ran is what its arguments ask for.

    `records` are the repeats of one arm, at least one; `mends` says by repeat what to do about
    a failure.
    """
    whole = [record for record in records if record.status == "ok"]
    request = records[0].request
    status: ArmStatus = "ok"
    reason = None
    warnings = [
        f"repeat {record.repeat} failed ({record.failure.kind}): {record.failure.reason}"
        + (f"; {mends[record.repeat]}" if record.repeat in mends else "")
        for record in records
        if record.failure
    ]
    resolved = next((r.resolved for r in whole if r.resolved), None)
    if not whole:
        status, reason = "failed", warnings[0]
    elif resolved is not None:
        status, reason = _judge_mode(records[0], resolved)
        if status == "ok":
            status, reason = _judge_replay(whole)
            warnings += batch_warnings(whole) + parted_calls(whole) + steps_without_drafts(whole)
    return Arm(
        status=status,
        reason=reason,
        purpose=request.purpose,
        engine_args=request.engine_args,
        repeats=len(whole),
        resolved=f"{resolved.compile_mode} / {resolved.cudagraph_mode}" if resolved else None,
        warnings=(warnings if whole else []) + condition_warnings(whole),
    )


def _judge_mode(record: Record, resolved: Resolved) -> tuple[ArmStatus, str | None]:
    cuda = record.environment.platform == "cuda"
    asked = asks_for_graphs(record.request.engine_args) if cuda else "no"
    graphs = resolved.cudagraph_mode != "NONE"
    if asked == "yes" and not graphs:
        return "invalid", "asks for CUDA graphs, but vLLM resolved cudagraph_mode to NONE"
    if asked == "no" and graphs:
        return "invalid", f"asks for no graphs, but vLLM resolved {resolved.cudagraph_mode}"
    return "ok", None


def _judge_replay(records: list[Record]) -> tuple[ArmStatus, str | None]:
    unproven = None
    for record in records:
        resolved = record.resolved
        if resolved is None:
            continue
        for cell in record.cells:
            where = f"repeat {record.repeat}, batch {cell.batch}"
            tokens = step_tokens(record, cell.batch)
            observed = [call for call in cell.timed() if call.steps]  # else the conditions say so
            mode = "NONE" if tokens is None else expected_decode_mode(resolved, tokens)
            shares = [share_in_mode(call, tokens, mode) for call in observed]
            if resolved.cudagraph_mode == "NONE":
                shares = [
                    _share_without_graph(call) if share is None else share
                    for call, share in zip(observed, shares, strict=True)
                ]
            known = [share for share in shares if share is not None]
            if known and min(known) < 1 - PROOF_TOLERANCE:
                return "invalid", (
                    f"{where}: only {min(known):.0%} of the decode steps ran as {mode}"
                )
            # A slow host can part the requests of one call into waves; the other calls tell.
            if observed and not known and unproven is None:
                unproven = f"{where}: which graphs were replayed is unproven: " + (
                    "how many tokens a step of speculative decoding carries is not known"
                    if tokens is None
                    else f"no step carried the {tokens} tokens that were expected"
                )
    return ("ok", None) if unproven is None else ("unproven", unproven)


def _share_without_graph(call: Call) -> float:
    """Share of all steps of a call that ran without a graph."""
    steps = call.steps or []
    return sum(s.count for s in steps if s.mode == "NONE") / sum(s.count for s in steps)
<<<<<<< HEAD


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
    from cudagraph_lab.statistics.steadiness import steady_state

    warnings = []
    for record in records:
        where = f"repeat {record.repeat}"
        observed = any(call.steps for cell in record.cells for call in cell.timed())
        timed = record.kind == "measured" and record.request.purpose == "timed"
        if timed and record.cells and not observed:
            warnings.append(f"{where}: which graphs were replayed was not observed")
        for cell in record.cells:
            steadiness = steady_state(
                [call.throughput for call in cell.timed()] or [1.0], faster="higher"
            )
            if steadiness.flagged:
                warnings.append(
                    f"{where}, batch {cell.batch}: {steadiness.reason}; {steadiness.remedy}"
                )
        reasons = {r for c in record.conditions for r in c.throttle_reasons or []}
        if throttled := sorted(reasons - HARMLESS_CLOCK_REASONS):
            warnings.append(f"{where}: the GPU lowered its clocks ({', '.join(throttled)})")
        if any(c.foreign_processes for c in record.conditions):
            warnings.append(f"{where}: another process used the device meanwhile")
        if (load := foreign_load(record)) is not None:
            warnings.append(f"{where}: {load}")
    return warnings


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
=======
>>>>>>> c14
