"""Numbers about hardware and models that nobody here has touched: forecasts and their back-test.

They are numbers of the ledger like all others, under the name OUTLOOK in place of a
data set, since no run of ours is behind them:

    extrapolation/<device>/<model>/tp<n>/<dtype>/b<batch>   a forecast: its median and 90%
    backtest/<pair>                                         a published ratio, forecast before
    backtest/hits|tested|median_width|infeasible            over all pairs
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.hosts import CalibratedHost, read_host, speed_on
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.verdicts import judge
from cudagraph_lab.models.anchors import BacktestRow, Claim, backtest, read_anchors
from cudagraph_lab.models.architecture import TABLES, Device, find, read_devices, read_models
from cudagraph_lab.models.forecast import Forecast, Question, answer, forecast
from cudagraph_lab.models.launch import model_ratios
from cudagraph_lab.models.own import own_device, read_model, rests_on, unchecked, with_own
from cudagraph_lab.models.step import (
    Assumed,
    Host,
    Speed,
    assumed_speed,
    read_assumed,
    unknown_host,
)
from cudagraph_lab.shapes import Model

OUTLOOK = "outlook"
BOUNDS = "bounds of 90% of the step model"  # the method of an interval
SEED = 1  # of the draws: the same question has the same answer


@dataclass(frozen=True)
class Extrapolated:
    """The answer to a question about what was not measured.

    `ratio` is the speed-up of graphs over eager, `step_s` each arm's decode step; `host_s` and
    `gpu_s` are medians of its two parts; `lab` is what the lab's additive and overlap models say
    with the same launch cost and GPU work; all times in seconds.
    """

    ratio: Forecast
    step_s: dict[str, Forecast]
    host_s: dict[str, float]
    gpu_s: dict[str, float]
    lab: dict[str, float]
    rests_on: list[str]
    unchecked: list[str]


@dataclass(frozen=True)
class Posed:
    """A question with the machine that it is about; `on` names the device, `notes` what was read.

    `asked` is the question in names; `calibrated` is the measured host, None one that nobody
    measured.
    """

    asked: Mapping[str, Any]
    question: Question
    host: Host
    speed: Speed
    assumed: Assumed
    models: Mapping[str, Model]
    calibrated: CalibratedHost | None
    on: str
    notes: list[str]


def pose(
    asked: Mapping[str, Any],
    host: str | None = None,
    launch_us: tuple[float, float] | None = None,
    kernels_per_layer: tuple[float, float] | None = None,
) -> Posed:
    """The question of device, model, batch, tp, dtype and context, for `extrapolate`.

    `model` is a name of config/models.yaml or the path of a config.json; `device` a name of
    config/devices.yaml, or None beside `bandwidth_tb_s` and `peak_tflops`; `weight_bits` are bits
    per weight. `host` names a data set whose host it shall be; None is a host that nobody
    measured, with `launch_us` (low, high, 90%) where it is known. `kernels_per_layer` are those of
    eager code. Raises LabError naming what is not known.
    """
    assumed = with_own(read_assumed(), launch_us, kernels_per_layer)
    devices, models = read_devices(), read_models()
    model, notes = read_model(asked["model"], models, "model")
    if kernels_per_layer is not None:
        model = model.model_copy(update={"kernels": None})  # one's own take the place of counts
    name = asked.get("device")
    changed = asked.get("bandwidth_tb_s") or asked.get("peak_tflops")
    base = find(devices, name, "device") if name else None
    device = own_device(asked.get("bandwidth_tb_s"), asked.get("peak_tflops"), base)
    calibrated = read_host(host, assumed, SEED) if host else None
    same = calibrated is not None and calibrated.model == asked["model"]
    question = Question(
        model, device, asked["batch"], asked["tp"], asked["dtype"], asked["context"],
        asked.get("weight_bits"), same_model=same,
    )  # fmt: skip
    on = "of your own figures" if changed or name is None else name
    there, speed = machine(calibrated, on, device, assumed)
    return Posed(asked, question, there, speed, assumed, models, calibrated, on, notes)


def extrapolate(posed: Posed) -> Extrapolated:
    """The answer to a question. Raises LabError naming what does not fit."""
    question, calibrated = posed.question, posed.calibrated
    said = answer(question, posed.host, posed.speed, posed.assumed, SEED)
    eager, graphs = said.steps["eager"], said.steps["graphs"]
    bill = float(np.median(eager.host_s - graphs.host_s))
    gpu = float(np.median(graphs.gpu_s))
    return Extrapolated(
        ratio=forecast(said.ratio),
        step_s={arm: forecast(step.step_s) for arm, step in said.steps.items()},
        host_s={arm: float(np.median(step.host_s)) for arm, step in said.steps.items()},
        gpu_s={arm: float(np.median(step.gpu_s)) for arm, step in said.steps.items()},
        lab=model_ratios(gpu, bill),
        rests_on=[
            *rests_on(question, calibrated.dataset if calibrated else None),
            *posed.notes,
        ],
        unchecked=unchecked(
            {**posed.asked, "device": posed.on}, question.model, posed.models, read_anchors()
        ),
    )


def machine(
    calibrated: CalibratedHost | None, name: str, device: Device, assumed: Assumed
) -> tuple[Host, Speed]:
    """A measured host with a device, or one that nobody measured, as `assumed` has it."""
    if calibrated is None:
        return unknown_host(assumed.unknown_host, SEED), assumed_speed(device, assumed.device, SEED)
    return calibrated.calibration.host, speed_on(calibrated, name, device, assumed, SEED)


def outlook_numbers(questions: Sequence[Mapping[str, Any]]) -> list[Number]:
    """The configured extrapolations, the claims about them, and the back-test behind them."""
    anchors = read_anchors()
    forecasts: dict[NumberId, Number] = {}
    for question in questions:
        number = _forecast_number(question, extrapolate(pose(question)), [])
        forecasts[number.id] = number
    for name, claim in anchors.claims.items():
        for setting in claim.settings:
            question = {
                "device": claim.device,
                "model": claim.model,
                "context": claim.context,
                **setting.model_dump(),
            }
            said = extrapolate(pose(question))
            number = _forecast_number(question, said, [_claimed(name, claim, said)])
            forecasts[number.id] = number
    rows = backtest(anchors, read_devices(), read_models(), read_assumed(), SEED)
    return [*forecasts.values(), *(_backtested(row) for row in rows), *_summary(rows)]


def outlook_number(id: NumberId, value: float | None, **fields: Any) -> Number:
    """A number that no run of ours is behind; `fields` are those of Number."""
    why = None if "predictions" in fields else "no prediction was registered for this number"
    known = {"unpredicted": why, "files": [f"config/{path.name}" for path in TABLES]}
    return Number(id=id, dataset=OUTLOOK, value=value, unit=id.quantity.unit, **{**known, **fields})


def forecast_number(id: NumberId, said: Forecast, method: str = BOUNDS, **fields: Any) -> Number:
    """A forecast: its median with the bounds of 90%."""
    return outlook_number(
        id, said.median, low=said.low_90, high=said.high_90, method=method, **fields
    )


def _forecast_number(
    question: Mapping[str, Any], said: Extrapolated, judged: list[Judged]
) -> Number:
    keys = ("device", "model", "tp", "dtype", "batch")
    half = f"50% between {said.ratio.low_50:.3g} and {said.ratio.high_50:.3g}"
    return forecast_number(
        catalogue.EXTRAPOLATION(**{key: question[key] for key in keys}),
        said.ratio,
        note="; ".join([half, *said.rests_on]),
        predictions=judged,
        unpredicted=None if judged else "this is itself a prediction; nobody here measured it",
    )


def _claimed(name: str, claim: Claim, said: Extrapolated) -> Judged:
    verdict = judge(said.ratio.median, said.ratio.low_90, said.ratio.high_90, claim.low, claim.high)
    return Judged(
        id=f"claim/{name}",
        source=f"{claim.source}: {claim.text}; {claim.reading}",
        value=None,
        low=claim.low,
        high=claim.high,
        verdict=verdict,
        settle="a measurement there" if verdict == "inconclusive" else None,
    )


def _backtested(row: BacktestRow) -> Number:
    notes = [f"{key} inferred: {reason}" for key, reason in row.inferred.items()]
    if row.below_floor:
        notes.insert(
            0,
            f"the published graph step of {row.graph_step_s * 1000:.3g} ms is below the "
            f"roofline of {row.floor_s * 1000:.3g} ms: no evidence either way",
        )
    said = row.forecast
    judged = Judged(
        id=f"backtest/{row.pair}",
        source="our step model on a host that nobody measured",
        value=said.median,
        low=said.low_90,
        high=said.high_90,
        post_hoc=True,
        verdict=judge(row.published, None, None, said.low_90, said.high_90),
    )
    return outlook_number(
        catalogue.BACKTEST(pair=row.pair),
        row.published,
        n=1,
        note="; ".join(notes) or None,
        predictions=[] if row.below_floor else [judged],
        unpredicted="published faster than the hardware allows" if row.below_floor else None,
    )


def _summary(rows: Sequence[BacktestRow]) -> list[Number]:
    """The back-test as a whole; what cannot be as published is counted and not judged."""
    said = [(row.published, row.forecast) for row in rows if not row.below_floor]
    hits = sum(one.low_90 <= published <= one.high_90 for published, one in said)
    n, width = len(said), median(one.high_90 / one.low_90 for _, one in said)
    return [
        outlook_number(catalogue.BACKTEST_HITS(), hits, n=n),
        outlook_number(catalogue.BACKTEST_TESTED(), n, n=n),
        outlook_number(catalogue.BACKTEST_INFEASIBLE(), len(rows) - n, n=len(rows),
                note="published faster than the roofline allows; a hit there is no evidence"),
        outlook_number(catalogue.BACKTEST_WIDTH(), width, n=n,
                note="high over low of the bounds of 90%: how little a hit says"),
    ]  # fmt: skip
