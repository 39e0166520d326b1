"""What speculation would cost a step where nothing was measured, and what it must yield to pay."""

from dataclasses import dataclass

import numpy as np

from cudagraph_lab.ledger.extrapolations import SEED, Posed
from cudagraph_lab.models.forecast import Forecast, forecast
from cudagraph_lab.models.speculation import drafting_of, speculate


@dataclass(frozen=True)
class SpeculatedArm:
    """One arm: its speculative step, the tokens it must yield to pay, and medians of its parts.

    All times in seconds. `can_pay` is the share of the draws in which accepting every draft pays.
    """

    step_s: Forecast
    tokens_to_pay: Forecast
    draft_gpu_s: float
    verify_gpu_s: float
    host_s: float
    can_pay: float


@dataclass(frozen=True)
class Speculated:
    """The answer for every arm; `fewer_with_graphs` is the share of draws in which graphs need
    fewer tokens to pay than eager, and `eager_over_graphs` how many times as many eager needs.
    """

    draft: str
    tokens: int
    arms: dict[str, SpeculatedArm]
    eager_over_graphs: Forecast
    fewer_with_graphs: float
    rests_on: list[str]


def extrapolate_speculation(
    posed: Posed, draft: str, tokens: int, *, asynchronous: bool, replayed: bool
) -> Speculated:
    """Answer for a draft model by its name or config.json, or for `ngram`.

    `tokens` are drafted for a step; `asynchronous` says whether vLLM is told to schedule so,
    `replayed` whether the draft replays graphs.
    Raises LabError for a draft that is not known and for less than one token.
    """
    drafting, notes = drafting_of(
        draft, tokens, posed.models, asynchronous=asynchronous, replayed=replayed
    )
    said = speculate(posed.question, drafting, posed.host, posed.speed, posed.assumed, SEED)
    arms: dict[str, SpeculatedArm] = {
        arm: SpeculatedArm(
            step_s=forecast(one.speculative.step_s),
            tokens_to_pay=forecast(one.needed),
            draft_gpu_s=float(np.median(one.draft_gpu_s)),
            verify_gpu_s=float(np.median(one.verify_gpu_s)),
            host_s=float(np.median(one.speculative.host_s)),
            can_pay=float(np.mean(one.needed < 1 + tokens)),
        )
        for arm, one in said.items()
    }
    ratio = said["eager"].needed / said["graphs"].needed
    scheduling = (
        "scheduling is asynchronous, as asked for"
        if asynchronous
        else "scheduling is not asynchronous, as vLLM 0.22.1 has it with draft models and n-grams"
    )
    passes = (
        "the draft's passes replay graphs piecewise where there are graphs"
        if replayed
        else "the draft's passes launch every kernel, also with graphs, as in vLLM 0.22.1"
    )
    return Speculated(
        draft=draft,
        tokens=tokens,
        arms=arms,
        eager_over_graphs=forecast(ratio),
        fewer_with_graphs=float(np.mean(ratio > 1)),
        rests_on=[scheduling, *([passes] if drafting.draft is not None else []), *notes],
    )
