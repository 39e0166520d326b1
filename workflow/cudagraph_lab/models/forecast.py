"""A forecast of a decode step: median, and the bounds of its central 50% and 90%.

Brings together a host, a device's speed and a model's work (`models.step`), with what changes
between where a constant was fitted and where it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cudagraph_lab.models.architecture import Device, Dtype, Roofline, roofline
from cudagraph_lab.models.step import (
    STEP_ARMS,
    Assumed,
    Floats,
    Host,
    Speed,
    StepArm,
    StepTime,
    Work,
    among_ranks,
    carried_over,
    step,
    with_ranks,
    work_of,
)
from cudagraph_lab.shapes import Model

QUANTILES = (0.5, 0.25, 0.75, 0.05, 0.95)


@dataclass(frozen=True)
class Forecast:
    """Median and central intervals of a quantity, in its unit."""

    median: float
    low_50: float
    high_50: float
    low_90: float
    high_90: float


@dataclass(frozen=True)
class Question:
    """What is asked: `context` is the mean number of tokens that a request holds."""

    model: Model
    device: Device
    batch: int
    tp: int
    dtype: Dtype
    context: int
    weight_bits: float | None = None
    same_model: bool = False  # the model that the host was fitted on


@dataclass(frozen=True)
class Answer:
    """Draws of every arm's step, and of the speed-up of graphs over eager."""

    steps: Mapping[StepArm, StepTime]
    ratio: Floats


def machine_asked(
    question: Question, host: Host, speed: Speed, assumed: Assumed, seed: int
) -> tuple[Host, Speed]:
    """Host and device where the question is asked: another day, model and number of ranks."""
    there = carried_over(host, assumed.transfer, same_model=question.same_model, seed=seed + 1)
    there = with_ranks(there, assumed.transfer, question.tp, seed + 3)
    return there, among_ranks(speed, assumed.transfer, question.tp, seed + 4)


def roof_asked(question: Question, model: Model, tokens: int) -> Roofline:
    """The least work of a pass of `model` with so many tokens of each request."""
    asked = question
    return roofline(
        asked.device, model, asked.batch, asked.tp, asked.dtype, asked.context, asked.weight_bits,
        tokens=tokens,
    )  # fmt: skip


def work_asked(question: Question, model: Model, tokens: int, assumed: Assumed, seed: int) -> Work:
    """The work of that pass."""
    roof = roof_asked(question, model, tokens)
    return work_of(model, roof, question.batch * tokens, question.tp, assumed.kernels, seed)


def answer(question: Question, host: Host, speed: Speed, assumed: Assumed, seed: int) -> Answer:
    """Every arm's step and the speed-up; the same draws for the same seed.

    Raises LabError as `architecture.roofline` does: a `tp` that does not divide the heads, a
    dtype that the device lacks, weights and cache that do not fit its memory.
    """
    work = work_asked(question, question.model, 1, assumed, seed)
    there, speed = machine_asked(question, host, speed, assumed, seed)
    rng = np.random.default_rng([seed + 2, question.batch])
    common = assumed.transfer.step.draw(rng)
    steps = {}
    for arm in STEP_ARMS:
        made = step(there, speed, work, arm)
        left_out = common * assumed.transfer.arm.draw(rng)
        steps[arm] = StepTime(made.host_s, made.gpu_s, made.step_s * left_out)
    return Answer(steps, steps["eager"].step_s / steps["graphs"].step_s)


def forecast(draws: Floats) -> Forecast:
    """Median and central intervals of draws."""
    return Forecast(*(float(value) for value in np.quantile(draws, QUANTILES)))
