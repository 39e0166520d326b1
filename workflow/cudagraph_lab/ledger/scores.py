"""Scores of the forecasts of a data set, by family: what kind of number they were about.

Scored is what states bounds of 50% and 90%, was registered before the data set was measured, and
was not read from it.
"""

from collections.abc import Iterable, Mapping, Sequence

from cudagraph_lab.design.predictions import Prediction
from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.quantity import NumberId, Quantity
from cudagraph_lab.ledger.results import Result
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.scores import Scored, score, skill

Forecasted = tuple[Result, Prediction, Mapping[str, float]]  # with baselines by their names
# What is forecast with two pairs of bounds.
FAMILIES: dict[Quantity, str] = {
    catalogue.STEP: "steps",
    catalogue.STEP_RATIO: "step-ratios",
    catalogue.RATIO: "ratios",
    catalogue.TOKENS_TO_PAY: "speculation",
    catalogue.NEEDED_IN_EAGER: "speculation",
}


def score_results(
    said: Iterable[tuple[Result, Sequence[Prediction]]],
    dataset: Dataset,
    registered: Mapping[str, str],
) -> list[Result]:
    """The scores of a data set's forecasts, and their skill against each baseline.

    `said` holds each result with the predictions of it, `registered` the hashes that were
    registered before the data set was measured.
    """
    found: dict[str, list[Forecasted]] = {}
    for result, predictions in said:
        family = FAMILIES.get(result.id.quantity)
        if not (family and result.value):
            continue
        in_time = [
            one
            for one in predictions
            if registered.get(one.id) == one.sha256() and dataset.name not in one.in_sample_for
        ]
        baselines = {str(one.baseline): float(one.value or 0) for one in in_time if one.baseline}
        for one in in_time:
            if one.low_50 is not None:
                found.setdefault(family, []).append((result, one, baselines))
    return [number for family, rows in found.items() for number in _of_family(family, rows)]


def _of_family(family: str, rows: Sequence[Forecasted]) -> list[Result]:
    made = score([_scored(result, one) for result, one, _ in rows])
    values = {
        catalogue.SCORE_WIS(family=family): made.interval_score,
        catalogue.SCORE_ERROR(family=family): made.median_error,
        catalogue.SCORE_50(family=family): made.within_50,
        catalogue.SCORE_90(family=family): made.within_90,
    }
    every = [result for result, _, _ in rows]
    scores = [_number(number, value, every) for number, value in values.items()]
    for name in dict.fromkeys(name for _, _, baselines in rows for name in baselines):
        both = [row for row in rows if name in row[2]]
        ours = [float(one.value or 0) for _, one, _ in both]
        theirs = [baselines[name] for _, _, baselines in both]
        seen = [float(result.value or 0) for result, _, _ in both]
        number = catalogue.SKILL(family=family, baseline=name)
        scores.append(_number(number, skill(ours, theirs, seen), [row[0] for row in both]))
    return scores


def _scored(result: Result, one: Prediction) -> Scored:
    bounds = (result.value, one.value, one.low_50, one.high_50, one.low, one.high)
    return Scored(*(float(bound) for bound in bounds if bound is not None))


def _number(number: NumberId, value: float, of: Sequence[Result]) -> Result:
    return Result(
        id=number,
        value=value,
        n=len(of),
        note="n counts cells of arm and batch size",
        exact=True,
        arms=list(dict.fromkeys(arm for result in of for arm in result.arms)),
        unpredicted="a score of predictions",
    )
