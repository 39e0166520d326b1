"""The step model of speculative decoding: passes of a draft, and the pass that verifies them.

    launching = target's launches + k * (draft's launches + of a pass) + of the verification
    host      = fixed + per_request * batch + launching
    gpu       = target over batch * (1 + k) tokens
                + draft over batch * (2 + k) tokens + (k - 1) * draft over batch tokens
    step      = late + max(host - late, gpu) + serial_share * min(host - late, gpu)

With graphs the target's pass is one replay. The draft's passes launch every kernel of compiled
code, or are replayed piecewise: a replay and the launches of attention for each layer. `late` is
the scheduler's work that waits for the GPU's results; it is 0 with asynchronous scheduling. Without
a draft model (n-grams) only the verification is left. A step yields 1 to 1 + k tokens to a request,
so that speculation pays where it yields more than step over plain step.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.forecast import Answer, Question, answer, machine_asked, work_asked
from cudagraph_lab.models.own import read_model
from cudagraph_lab.models.step import (
    STEP_ARMS,
    Assumed,
    Floats,
    Host,
    Speed,
    StepArm,
    StepTime,
    gpu_s,
)
from cudagraph_lab.shapes import Model


@dataclass(frozen=True)
class Drafting:
    """How a step is speculated: the draft model (None for n-grams) and its tokens, k.

    `asynchronous` says whether the next step is scheduled while the GPU works; `replayed`, whether
    the draft's passes replay graphs piecewise where the arm has graphs.
    """

    draft: Model | None
    tokens: int
    asynchronous: bool = False
    replayed: bool = False


NGRAM = "ngram"


def drafting_of(
    name: str,
    tokens: int,
    models: Mapping[str, Model],
    *,
    asynchronous: bool = False,
    replayed: bool = False,
) -> tuple[Drafting, list[str]]:
    """Drafting by n-grams or by a model, as `own.read_model` takes it; and what was assumed.

    Raises LabError for a name that is not known and for no token.
    """
    if tokens < 1:
        raise LabError(f"--speculative-tokens: at least 1, got {tokens}")
    draft, notes = (None, []) if name == NGRAM else read_model(name, models, "draft")
    return Drafting(draft, tokens, asynchronous, replayed), notes


@dataclass(frozen=True)
class SpeculativeStep:
    """A speculative step beside the plain one of the same arm, in seconds; arrays of draws."""

    plain: StepTime
    speculative: StepTime
    draft_gpu_s: Floats
    verify_gpu_s: Floats
    needed: Floats  # tokens a step must yield to a request to pay: step over plain step


def speculate(
    question: Question, drafting: Drafting, host: Host, speed: Speed, assumed: Assumed, seed: int
) -> Mapping[StepArm, SpeculativeStep]:
    """Every arm's speculative step; the plain ones are those of `forecast.answer`.

    Raises LabError as `architecture.roofline` does.
    """
    plain: Answer = answer(question, host, speed, assumed, seed)
    there, speed = machine_asked(question, host, speed, assumed, seed)
    rng = np.random.default_rng([seed + 2, question.batch])
    common = assumed.transfer.step.draw(rng)  # as in the plain step
    rng = np.random.default_rng([seed + 3, question.batch])
    beliefs = assumed.speculation
    per_pass, once = beliefs.pass_launches.draw(rng), beliefs.verify_launches.draw(rng)
    piecewise, not_hidden = beliefs.piecewise_per_layer.draw(rng), beliefs.not_hidden.draw(rng)
    k, batch = drafting.tokens, question.batch
    target = work_asked(question, question.model, 1 + k, assumed, seed)
    scheduling = there.fixed_s + there.per_request_s * batch
    late = np.zeros_like(scheduling) if drafting.asynchronous else scheduling * not_hidden
    late = np.minimum(late, scheduling)
    steps = {}
    for arm in STEP_ARMS:
        cost = there.per_launch_s["compiled" if arm == "graphs" else arm]
        verify = gpu_s(speed, target, arm) + speed.kernel_s * once
        launches, draft = target.launches(arm) + once, np.zeros_like(scheduling)
        if drafting.draft is not None:
            first, later = (
                work_asked(question, drafting.draft, tokens, assumed, seed + 11)
                for tokens in (2 + k, 1)
            )
            draft = gpu_s(speed, first, arm) + (k - 1) * gpu_s(speed, later, arm)
            layers = later.launches("compiled" if arm == "graphs" else arm)
            if arm == "graphs" and drafting.replayed:
                layers = piecewise * drafting.draft.layers
            launches = launches + k * (layers + per_pass)
        host_s, on_gpu = scheduling + cost * launches, verify + draft
        beside = host_s - late
        longer, shorter = np.maximum(beside, on_gpu), np.minimum(beside, on_gpu)
        left_out = common * assumed.transfer.arm.draw(rng)
        step_s = (late + longer + speed.serial_share * shorter) * left_out
        steps[arm] = SpeculativeStep(
            plain=plain.steps[arm],
            speculative=StepTime(host_s, on_gpu, step_s),
            draft_gpu_s=draft,
            verify_gpu_s=verify,
            needed=step_s / plain.steps[arm].step_s,
        )
    return steps
