"""Numbers about hardware and models that nobody here has touched: brackets and their back-test.

They are numbers of the ledger like all others, under the name OUTLOOK in place of a
data set, since no run of ours is behind them:

    extrapolation/<device>/<model>/tp<n>/<dtype>/b<batch>   a bracket: low and high, no value
    backtest/<pair>                                         a published ratio, its bracket predicted
    backtest/hits|tested|hit_rate|median_width|infeasible   over all pairs out of sample
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cudagraph_lab.ledger.build import Judged, Number, Origin
from cudagraph_lab.ledger.catalogue import (
    BACKTEST,
    BACKTEST_HIT_RATE,
    BACKTEST_HITS,
    BACKTEST_INFEASIBLE,
    BACKTEST_TESTED,
    BACKTEST_WIDTH,
    EXTRAPOLATION,
    NumberId,
)
from cudagraph_lab.ledger.verdicts import judge
from cudagraph_lab.models.extrapolation import (
    FILES,
    Backtest,
    BacktestRow,
    Bracket,
    Claim,
    ClaimVerdict,
    backtest,
    extrapolate,
    find,
    judge_claim,
    read_anchors,
    read_devices,
    read_models,
    resolve_constants,
)
from cudagraph_lab.models.own import own_device, read_model_config, unchecked

OUTLOOK = "outlook"


def answer(
    question: Mapping[str, Any],
    launch_us: tuple[float, float] | None = None,
    kernels_per_layer: tuple[float, float] | None = None,
) -> Bracket:
    """The bracket for one question: device, model, batch, tp, dtype, context.

    `launch_us` and `kernels_per_layer` (low, high) take the place of the published
    constants where a profile was measured. Raises LabError naming what is not known or does
    not fit.
    """
    anchors, devices, models = _tables()
    constants = resolve_constants(anchors, models)
    return extrapolate(
        find(devices, question["device"], "device"),
        find(models, question["model"], "model"),
        question["batch"],
        question["tp"],
        question["dtype"],
        context=question["context"],
        launch_us=launch_us or constants.launch_us,
        kernels_per_layer=kernels_per_layer or constants.kernels_per_layer,
        replay_us=constants.replay_us,
    )


def answer_own(
    question: Mapping[str, Any],
    launch_us: tuple[float, float] | None = None,
    kernels_per_layer: tuple[float, float] | None = None,
) -> tuple[Bracket, list[str]]:
    """The bracket for one's own model or device, and what of it was never checked.

    As `answer`, where `model` may be the path of a config.json, `device` None beside
    `bandwidth_tb_s` and `peak_tflops`, and `weight_bits` bits per weight or None.
    """
    anchors, devices, models = _tables()
    constants = resolve_constants(anchors, models)
    name = question["model"]
    notes: list[str] = []
    if name not in models and ("/" in name or name.endswith(".json")):
        model, notes = read_model_config(Path(name))
    else:
        model = find(models, name, "model")
    base = find(devices, question["device"], "device") if question["device"] else None
    device = own_device(question["bandwidth_tb_s"], question["peak_tflops"], base)
    bracket = extrapolate(
        device,
        model,
        question["batch"],
        question["tp"],
        question["dtype"],
        context=question["context"],
        launch_us=launch_us or constants.launch_us,
        kernels_per_layer=kernels_per_layer or constants.kernels_per_layer,
        replay_us=constants.replay_us,
        weight_bits=question["weight_bits"],
    )
    changed = question["bandwidth_tb_s"] or question["peak_tflops"]
    named = {**question, "device": "of your own figures" if changed else question["device"]}
    outside = unchecked(named, model, models, anchors)
    return replace(bracket, assumptions=[*bracket.assumptions, *notes]), outside


def outlook_numbers(questions: list[Mapping[str, Any]]) -> list[Number]:
    """The configured extrapolations, the claims about them, and the back-test behind them."""
    anchors, devices, models = _tables()
    brackets: dict[NumberId, Number] = {}
    for question in questions:
        number = _bracket_number(question, answer(question), [])
        brackets[number.id] = number
    for name, claim in anchors.claims.items():
        for verdict in judge_claim(name, anchors, devices, models):
            question = {
                "device": claim.device,
                "model": claim.model,
                "context": claim.context,
                **verdict.setting.model_dump(),
            }
            number = _bracket_number(question, verdict.bracket, [_claimed(name, claim, verdict)])
            brackets[number.id] = number
    tested = backtest(anchors, devices, models)
    return [*brackets.values(), *(_backtested(row) for row in tested.rows), *_summary(tested)]


def _tables() -> Any:
    paths: dict[str, Path] = {path.stem: path for path in FILES}
    return (
        read_anchors(paths["anchors"]),
        read_devices(paths["devices"]),
        read_models(paths["models"]),
    )


def _number(id: NumberId, value: float | None, **fields: Any) -> Number:
    empty: dict[str, Any] = {
        "n": 0, "low": None, "high": None, "method": None, "note": None, "missing": None,
        "predictions": [], "unpredicted": "no prediction was registered for this number",
    }  # fmt: skip
    return Number(
        id=id,
        dataset=OUTLOOK,
        value=value,
        unit=id.quantity.unit,
        origin=Origin(rule="build_ledger", files=[f"config/{path.name}" for path in FILES]),
        **{**empty, **fields},
    )


def _bracket_number(question: Mapping[str, Any], bracket: Bracket, judged: list[Judged]) -> Number:
    keys = ("device", "model", "tp", "dtype", "batch")
    return _number(
        EXTRAPOLATION(**{key: question[key] for key in keys}),
        None,
        low=bracket.low,
        high=bracket.high,
        method="from overlap to additive over the ends of the constants",
        note="; ".join(bracket.assumptions),
        missing="a bracket holds no single value",
        predictions=judged,
        unpredicted=None if judged else "this is itself a prediction; nobody here measured it",
    )


def _claimed(name: str, claim: Claim, verdict: ClaimVerdict) -> Judged:
    words = {"supported": "confirmed", "contradicted": "refuted", "undecided": "inconclusive"}
    return Judged.model_validate(
        {
            "id": f"claim/{name}",
            "source": f"{claim.source}: {claim.text}; {claim.reading}",
            "value": None,
            "low": claim.low,
            "high": claim.high,
            "in_sample": False,
            "post_hoc": False,
            "verdict": words[verdict.verdict],
            "settle": "a measurement there" if verdict.verdict == "undecided" else None,
        }
    )


def _backtested(row: BacktestRow) -> Number:
    notes = [f"{key} inferred: {reason}" for key, reason in row.inferred.items()]
    if row.below_floor:
        notes.insert(
            0,
            f"the published graph step of {row.graph_step_s * 1000:.3g} ms is below the "
            f"roofline of {row.floor_s * 1000:.3g} ms: no evidence either way",
        )
    return _number(
        BACKTEST(pair=row.pair),
        row.published,
        n=1,
        note="; ".join(notes) or None,
        predictions=[
            Judged(
                id=f"extrapolation/{row.pair}",
                source="our extrapolation, one set of constants for all rows",
                value=None,
                low=row.bracket.low,
                high=row.bracket.high,
                in_sample=row.in_sample,
                post_hoc=True,
                verdict=judge(row.published, None, None, row.bracket.low, row.bracket.high),
                settle=None,
            )
        ],
        unpredicted=None,
    )


def _summary(tested: Backtest) -> list[Number]:
    none = "no pair out of sample"
    return [
        _number(BACKTEST_HITS(), tested.hits, n=tested.tested),
        _number(BACKTEST_TESTED(), tested.tested, n=tested.tested),
        _number(BACKTEST_INFEASIBLE(), tested.infeasible, n=tested.tested,
                note="published faster than the roofline allows; a hit there is no evidence"),
        _number(BACKTEST_HIT_RATE(), tested.hit_rate, n=tested.tested,
                missing=None if tested.tested else none),
        _number(BACKTEST_WIDTH(), tested.median_width, n=tested.tested,
                missing=None if tested.tested else none,
                note="high over low of the brackets: how little a hit says"),
    ]  # fmt: skip
