"""The calls of a run: what one of them took and brought, and how its steps ran."""

from statistics import fmean
from typing import Annotated, Self

from pydantic import Field, model_validator

from cudagraph_lab.forms import ExactForm
from cudagraph_lab.protocol import Role
from cudagraph_lab.records.request import Count, PositiveSeconds


class StepCount(ExactForm):
    """How many engine steps ran with this graph mode and this padding."""

    mode: str
    unpadded_tokens: Count
    padded_tokens: Count
    count: Annotated[int, Field(gt=0)]


class DraftPasses(ExactForm):
    """How many passes of a draft model ran with this graph mode and this padding.

    Without a graph nothing is padded: then `padded_tokens` is 0.
    """

    mode: str
    padded_tokens: Count
    count: Annotated[int, Field(gt=0)]


class Acceptance(ExactForm):
    """Draft tokens that were verified and accepted, over all requests of a call."""

    verifications: Count  # of one request in one step
    draft_tokens: Count
    accepted_tokens: Count
    accepted_by_position: list[Count]


# Marks the fields of a call that are observations, by their own names.
OBSERVED = "observed"


class Call(ExactForm):
    """One `generate` call. Published calls may know only their tokens per second."""

    role: Role
    seconds: PositiveSeconds | None
    tokens: Count | None
    tokens_per_s: PositiveSeconds | None = None
    # Version 1: since the start of the process. Version 2: since the measuring process began its
    # job, on one clock for all arms of the job.
    started_s: float | None = None
    round: Count | None = None  # of the schedule; None for first calls and warm-ups
    # Microseconds of each step after the first, by the times of the engine core's messages.
    step_us: list[Count] | None = None
    energy_j: Annotated[float, Field(ge=0)] | None = None  # of the whole board, during the call
    decode_s_per_step: Annotated[list[PositiveSeconds] | None, OBSERVED] = None  # one per request
    # One per request, since the call began (by statistics: since the request's arrival).
    first_token_s: Annotated[list[PositiveSeconds] | None, OBSERVED] = None
    steps: list[StepCount] | None = None
    acceptance: Acceptance | None = None  # of speculative decoding
    # Steps after the first token, one per request, where steps brought several tokens; else they
    # are as many as the tokens.
    decode_steps: list[Count] | None = None
    # Of a draft model; counted in calls that are not timed, since the count takes time.
    draft_passes: list[DraftPasses] | None = None

    @model_validator(mode="after")
    def _says_how_fast(self) -> Self:
        if (self.seconds is None or self.tokens is None) and self.tokens_per_s is None:
            raise ValueError("a call needs seconds and tokens, or tokens_per_s where published")
        return self

    @property
    def throughput(self) -> float:
        """Output tokens per second of this call."""
        if self.seconds is not None and self.tokens is not None:
            return self.tokens / self.seconds
        assert self.tokens_per_s is not None  # noqa: S101 - the validator above
        return self.tokens_per_s

    def observed(self) -> dict[str, float | None]:
        """The numbers of this call: of those with a value per request, the mean."""
        numbers: dict[str, float | None] = {"throughput": self.throughput}
        for name, field in type(self).model_fields.items():
            if OBSERVED in field.metadata:
                value = getattr(self, name)
                if isinstance(value, list):
                    value = fmean(value) if value else None
                numbers[name] = value
        return numbers


class Cell(ExactForm):
    """All calls of one batch size within one run."""

    batch: Annotated[int, Field(gt=0)]
    calls: list[Call]
    output_sha256: list[str] | None = None  # of the greedy token ids, one per request
    output_token_ids: list[list[int]] | None = None  # of the first request only, to find a fork

    def timed(self) -> list[Call]:
        """The calls that count."""
        return [call for call in self.calls if call.role == "timed"]


def misfit(call: Call, batch: int, output_tokens: int) -> str | None:
    """What of a call's own figures cannot be, beside each other; else None."""
    if call.seconds is None:
        return "a measured call has no seconds"
    decode, first = call.decode_s_per_step, call.first_token_s
    for name, values in (("decode_s_per_step", decode), ("first_token_s", first)):
        if values is not None and len(values) != batch:
            return f"{name} has {len(values)} values"
    steps = call.decode_steps or [output_tokens - 1] * batch
    if len(steps) != batch:
        return f"decode_steps has {len(steps)} values"
    # Parts of a call that last longer than all of it were read from a clock that jumped.
    if decode and max(s * n for s, n in zip(decode, steps, strict=True)) > call.seconds:
        return "a request decoded longer than the call lasted"
    if first and max(first) > call.seconds:
        return "a first token came later than the call ended"
    return None
