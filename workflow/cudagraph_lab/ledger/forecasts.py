"""Predictions of a data set that is still to be measured, from the step model.

For every model and batch size the step of each arm and the speed-up, each as a median with the
bounds of its central 50% and 90%; beside them the baselines that they are scored against.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cudagraph_lab.design.predictions import BASELINE, FORECAST
from cudagraph_lab.ledger.catalogue import (
    GRAPHS_NEED_LESS,
    NEEDED_IN_EAGER,
    STEP,
    STEP_RATIO,
    TOKENS_TO_PAY,
)
from cudagraph_lab.ledger.hosts import CalibratedHost, speed_on
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.models.architecture import Device, Dtype
from cudagraph_lab.models.forecast import Answer, Question, answer, forecast
from cudagraph_lab.models.launch import IN_WORDS, model_ratios
from cudagraph_lab.models.speculation import Drafting, speculate
from cudagraph_lab.models.step import STEP_ARMS, Assumed, Floats, StepArm
from cudagraph_lab.shapes import Model

DIGITS = 5  # of a value that is registered


@dataclass(frozen=True)
class Plan:
    """What will be measured: a device, a model and batch sizes, under the data set's name."""

    dataset: str  # a shell pattern
    device_name: str
    device: Device
    model_name: str
    model: Model
    batch_sizes: Sequence[int]
    tp: int
    dtype: Dtype
    context: int
    arms: Sequence[StepArm] = STEP_ARMS  # that run without speculation


def forecasts(
    plan: Plan,
    host: CalibratedHost,
    measured_ratios: Mapping[str, Mapping[int, float]],
    assumed: Assumed,
    seed: int,
) -> list[dict[str, Any]]:
    """Entries of a predictions file for one plan.

    `measured_ratios` holds, by the name of a baseline (`same-ratio`, `last-device`), the speed-ups
    that it repeats, by batch size. Raises LabError as `models.forecast.answer` does.
    """
    entries = []
    speed = speed_on(host, plan.device_name, plan.device, assumed, seed)
    source = _source(plan, host) + (f", all-reduce of {host.all_reduce}" if host.all_reduce else "")
    for batch in plan.batch_sizes:
        said = answer(_question(plan, host, batch), host.calibration.host, speed, assumed, seed)
        for arm in plan.arms:
            entries.append(_entry(plan, STEP(arm=arm, batch=batch), said.steps[arm].step_s, source))
        if {"eager", "graphs"} <= set(plan.arms):
            number = STEP_RATIO(contrast="bundle", batch=batch)
            entries.append(_entry(plan, number, said.ratio, source))
            for name, value in _baselines(said, host, measured_ratios, batch).items():
                entries.append(_baseline(plan, number, name, value))
    return entries


def speculation_forecasts(
    plan: Plan,
    drafting: Drafting,
    draft_name: str,
    host: CalibratedHost,
    arms: Mapping[StepArm, str],
    assumed: Assumed,
    seed: int,
) -> list[dict[str, Any]]:
    """Entries of a predictions file for speculating arms of a plan, by the names in `arms`.

    For each arm and batch size its step and the tokens to pay, beside the baseline that a step
    grows as the weights that are read; for the arm with graphs, where eager speculates too, what
    eager needs over it, and the claim that this is more. Raises LabError as
    `models.speculation.speculate` does.
    """
    entries = []
    speed = speed_on(host, plan.device_name, plan.device, assumed, seed)
    draft = drafting.draft
    read = 0.0 if draft is None else draft.parameters_used(1) / plan.model.parameters_used(1)
    source = f"{_source(plan, host)}, {drafting.tokens} tokens drafted by {draft_name}" + (
        ", scheduled asynchronously" if drafting.asynchronous else ""
    )
    where = replace(plan, model_name=f"{plan.model_name}/{draft_name}-k{drafting.tokens}")
    for batch in plan.batch_sizes:
        question = _question(plan, host, batch)
        said = speculate(question, drafting, host.calibration.host, speed, assumed, seed)
        for arm, name in arms.items():
            step_s = said[arm].speculative.step_s
            entries.append(_entry(where, STEP(arm=name, batch=batch), step_s, source))
            number = TOKENS_TO_PAY(arm=name, batch=batch)
            entries.append(_entry(where, number, said[arm].needed, source))
            entries.append(_baseline(where, number, "weights-read", 1 + drafting.tokens * read))
        if {"eager", "graphs"} <= arms.keys():
            ratio = said["eager"].needed / said["graphs"].needed
            number = NEEDED_IN_EAGER(arm=arms["graphs"], batch=batch)
            entries.append(_entry(where, number, ratio, source))
            number = GRAPHS_NEED_LESS(arm=arms["graphs"], batch=batch)
            claim = bool(np.median(ratio) > 1)
            share = f"{source}; in {float(np.mean(ratio > 1)):.0%} of its draws"
            entries.append(_said(where, FORECAST, number, {"value": claim}, share))
    return entries


def _question(plan: Plan, host: CalibratedHost, batch: int) -> Question:
    return Question(
        plan.model, plan.device, batch, plan.tp, plan.dtype, plan.context,
        same_model=plan.model_name == host.model,
    )  # fmt: skip


def _source(plan: Plan, host: CalibratedHost) -> str:
    return (
        f"step model, host of {host.dataset}, {plan.model_name} on {plan.tp} x {plan.device_name}"
    )


def _entry(plan: Plan, number: NumberId, draws: Floats, source: str) -> dict[str, Any]:
    said = forecast(draws)
    bounds = {
        "value": said.median,
        "low": said.low_90,
        "high": said.high_90,
        "low_50": said.low_50,
        "high_50": said.high_50,
    }
    return _said(plan, FORECAST, number, {k: _short(v) for k, v in bounds.items()}, source)


def _baseline(plan: Plan, number: NumberId, name: str, value: float) -> dict[str, Any]:
    said = {"value": _short(value), "baseline": name}
    return _said(plan, f"{BASELINE}/{name}", number, said, BASELINES[name])


def _said(
    plan: Plan, kind: str, number: NumberId, said: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """One entry. Its id tells the same forecast for another data set apart."""
    applies = {"platform": "cuda", "dataset": plan.dataset}
    if plan.device.reported_as:
        applies["device"] = f"{plan.device.reported_as}*"
    if plan.model.hub:
        applies["model"] = plan.model.hub
    place = f"{_slug(plan.dataset.strip('*-'))}/{plan.device_name}/{plan.model_name}/tp{plan.tp}"
    return {
        "id": f"{kind}/{place}/{_slug(str(number))}",
        "number": str(number),
        "applies_to": applies,
        **said,
        "unit": number.quantity.unit,
        "source": source,
    }


BASELINES = {
    "weights-read": "a step grows as the weights that are read: those of the draft k times",
    "same-ratio": "the speed-up of the model that the host was calibrated on, at the same batch",
    "last-device": "the speed-up of the same model on the device measured last, at the same batch",
    **{name: f"the lab's {name} model: {words}" for name, words in IN_WORDS.items()},
}


def _baselines(
    said: Answer, host: CalibratedHost, ratios: Mapping[str, Mapping[int, float]], batch: int
) -> dict[str, float]:
    """What was measured elsewhere, repeated; and the lab's two models, which know launches and
    GPU work, and no other work of the host.
    """
    eager, graphs = said.steps["eager"], said.steps["graphs"]
    fixed = host.calibration.host
    beside = float(np.median(fixed.fixed_s + fixed.per_request_s * batch))
    bill, gpu = float(np.median(eager.host_s)) - beside, float(np.median(graphs.gpu_s))
    repeated = {name: interpolated(known, batch) for name, known in ratios.items()}
    return {**repeated, **model_ratios(gpu, bill)}


def interpolated(ratios: Mapping[int, float], batch: int) -> float:
    """The ratio at a batch size, on a straight line in log batch and log ratio between two.

    Beyond the ends it is that of the end.
    """
    sizes = sorted(ratios)
    logs = np.interp(np.log(batch), np.log(sizes), np.log([ratios[size] for size in sizes]))
    return float(np.exp(logs))


def _slug(number: str) -> str:
    return number.replace("/", "-")


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
