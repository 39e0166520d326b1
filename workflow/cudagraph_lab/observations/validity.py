"""Whether an arm's numbers count, and what a reader must know beside them.

Judged by what vLLM resolved and by the steps that were observed. What cannot be proven is said
to be unproven, with the reason; it is never "ok" in silence.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from cudagraph_lab.engine.graph_modes import asks_for_graphs
from cudagraph_lab.forms import Form
from cudagraph_lab.observations.drafts import draft_warnings
from cudagraph_lab.observations.steps import expected_decode_mode, share_in_mode, step_tokens
from cudagraph_lab.observations.warnings import (
    batch_warnings,
    condition_warnings,
    parted_calls,
    rank_warnings,
    steps_without_drafts,
)
from cudagraph_lab.records.call import Call
from cudagraph_lab.records.record import Record, Resolved

# Decode steps that may run in another mode than the arm's before it is not believed:
# the last and first steps of a staggered batch are mixed.
PROOF_TOLERANCE = 0.05

ArmStatus = Literal["ok", "failed", "invalid", "unproven", "not_measurable", "missing"]


class Arm(Form):
    """One arm of a data set: whether its numbers count, and why not where they do not."""

    status: ArmStatus
    reason: str | None
    purpose: str
    engine_args: dict[str, Any]
    vllm: str | None = None  # the version that was asked for
    env: dict[str, str] = Field({})  # environment variables of this arm alone
    measured: Literal["apart", "in_turn"] = "apart"
    repeats: int
    resolved: str | None  # compile mode / graph mode that vLLM chose
    warnings: list[str]

    @property
    def settings(self) -> tuple[dict[str, Any], str | None, dict[str, str]]:
        """All that the arm is asked for: arms with equal settings are one arm, twice."""
        return self.engine_args, self.vllm, self.env


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
            for some in (batch_warnings, parted_calls, steps_without_drafts, draft_warnings):
                warnings += dict.fromkeys(some(whole))
    return Arm(
        status=status,
        reason=reason,
        purpose=request.purpose,
        engine_args=request.engine_args,
        vllm=request.vllm,
        env=request.env,
        measured=request.measured,
        repeats=len(whole),
        resolved=f"{resolved.compile_mode} / {resolved.cudagraph_mode}" if resolved else None,
        warnings=[
            *(warnings if whole else []),
            *dict.fromkeys(rank_warnings(whole)),
            *condition_warnings(whole),
        ],
    )


def _judge_mode(record: Record, resolved: Resolved) -> tuple[ArmStatus, str | None]:
    cuda = record.environment.platform == "cuda"
    request = record.request
    asked = asks_for_graphs(request.engine_args, request.vllm) if cuda else "no"
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
