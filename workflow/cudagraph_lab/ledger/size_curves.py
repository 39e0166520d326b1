"""At which model size eager stops losing, on a measured host and on one that launches quickly.

The step model's forecasts over the models of MODELS_SHOWN, as numbers of the ledger under the
name OUTLOOK; `cudagraph-lab extrapolate` gives the same for the same question:

    curve/<host>/<device>/<model>/tp<n>/b<batch>            speed-up: median and 90%
    curve_host_s|curve_gpu_s/<arm>/<host>/...               seconds of the two parts of a step
    curve_crossing/<host>/<device>/tp<n>/b<batch>           size at which it falls to LOSING
    curve_launch_us/<host>                                  what the host pays for a launch
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    CURVE,
    CURVE_CROSSING,
    CURVE_GPU_S,
    CURVE_HOST_S,
    CURVE_LAUNCH,
)
from cudagraph_lab.ledger.extrapolations import SEED, forecast_number, machine, outlook_number
from cudagraph_lab.ledger.hosts import CalibratedHost, calibrate, mean_context
from cudagraph_lab.models.architecture import read_devices, read_models
from cudagraph_lab.models.forecast import Answer, Question, answer, forecast
from cudagraph_lab.models.own import with_own
from cudagraph_lab.models.step import Assumed, Host, StepArm, read_assumed, unknown_host
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.shapes import Model

if TYPE_CHECKING:
    import pandas as pd

MODELS_SHOWN = ("opt-125m", "llama-3.2-1b", "llama-3-8b", "qwen2.5-32b", "llama-70b")
QUICK, QUICK_US = "quick", (4.0, 6.25)  # a host of about 5 us a launch: 90% bounds
RANKS = (1, 2, 8)
BATCH = 1
LOSING = 1.1  # speed-up below which the lab speaks of single-digit percents
ARMS: tuple[StepArm, ...] = ("eager", "graphs")
ITSELF = "this is itself a forecast"
_number = partial(forecast_number, unpredicted=ITSELF)


def curve_numbers(datasets: "Sequence[tuple[Dataset, pd.DataFrame]]") -> list[Number]:
    """The curves for the first data set whose host can be calibrated; none where none can.

    On every device of `datasets` with one GPU a replica, on the largest of them with RANKS.
    """
    assumed, devices, models = read_assumed(), read_devices(), read_models()
    found = _first_host(datasets, assumed)
    if found is None:
        return []
    host, context = found
    there = [
        name
        for name, device in devices.items()
        if any(device.reported_as == dataset.device for dataset, _ in datasets)
    ]
    largest = max(there, key=lambda name: devices[name].memory_gib or 0)
    quick = with_own(assumed, QUICK_US, None)
    numbers = [
        _launch_cost(host.dataset, host.calibration.host),
        _launch_cost(QUICK, unknown_host(quick.unknown_host, SEED)),
    ]
    asked = [(host.dataset, name, 1) for name in there if name != largest]
    asked += [(name, largest, tp) for name in (host.dataset, QUICK) for tp in RANKS]
    for name, on, tp in asked:
        calibrated, assumptions = (None, quick) if name == QUICK else (host, assumed)
        constants = machine(calibrated, on, devices[on], assumptions)
        answers = {}
        for model in MODELS_SHOWN:
            same = calibrated is not None and calibrated.model == model
            question = Question(
                models[model], devices[on], BATCH, tp, "bf16", context, same_model=same
            )
            with suppress(LabError):  # it does not fit or does not divide
                answers[model] = answer(question, *constants, assumptions, SEED)
        whole = (name, on, tp) == (host.dataset, largest, 1)
        numbers += _curve(name, on, tp, answers, models, context, parts=whole)
    return numbers


def _first_host(
    datasets: "Sequence[tuple[Dataset, pd.DataFrame]]", assumed: Assumed
) -> tuple[CalibratedHost, int] | None:
    """The first host that can be calibrated, and the tokens that a request held there."""
    devices, models = read_devices(), read_models()
    for dataset, table in datasets:
        if dataset.kind != "measured" or dataset.platform != "cuda" or dataset.series:
            continue
        try:
            host = calibrate(dataset, table, devices, models, assumed, SEED)
            return host, mean_context(dataset)
        except LabError:
            continue  # too few arms, or a model that is too large: the next may do
    return None


def _curve(
    host: str,
    on: str,
    tp: int,
    answers: dict[str, Answer],
    models: dict[str, Model],
    context: int,
    parts: bool,
) -> list[Number]:
    """Speed-ups with their bounds and where they fall to LOSING; `parts` adds those of the step."""
    keys: dict[str, Any] = {"host": host, "device": on, "tp": tp, "batch": BATCH}
    numbers, points = [], []
    for model, said in answers.items():
        ratio = forecast(said.ratio)
        points.append((float(models[model].parameters), ratio.median))
        note = f"{context} tokens a request, bf16"
        numbers.append(_number(CURVE(model=model, **keys), ratio, note=note))
        for arm in ARMS if parts else ():
            step = said.steps[arm]
            for quantity, draws in ((CURVE_HOST_S, step.host_s), (CURVE_GPU_S, step.gpu_s)):
                number = quantity(arm=arm, model=model, **keys)
                numbers.append(_number(number, forecast(draws)))
    if points:
        at = crossing(points, LOSING)
        why = "the curve does not pass this speed-up between the models shown"
        note = f"where the median falls to {LOSING:g}, straight lines between the models"
        missing = why if at is None else None
        number, value = CURVE_CROSSING(**keys), None if at is None else at / 1e9
        fields = {"note": note, "missing": missing, "unpredicted": ITSELF}
        numbers.append(outlook_number(number, value, **fields))
    return numbers


def crossing(points: Sequence[tuple[float, float]], level: float) -> float | None:
    """The size at which a curve of (size, speed-up) falls to `level` for the last time.

    Straight lines on logarithmic axes. None where it stays above or below.
    """
    for (size, ratio), (larger, after) in reversed(list(pairwise(sorted(points)))):
        if ratio > level >= after:
            share = math.log(ratio / level) / math.log(ratio / after)
            return float(size * (larger / size) ** share)
    return None


def _launch_cost(host: str, constants: Host) -> Number:
    cost = forecast(np.asarray(constants.per_launch_s["eager"]) * 1e6)
    method = "fitted" if host != QUICK else "assumed bounds of 90%"
    return _number(CURVE_LAUNCH(host=host), cost, method=method)
