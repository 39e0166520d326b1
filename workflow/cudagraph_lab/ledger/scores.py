"""Scores of the forecasts of a data set, by family: what kind of number they were about.

Scored is what states bounds of 50% and 90%, was registered before the data set was measured, and
was not read from it.
"""

from collections.abc import Mapping, Sequence

from cudagraph_lab.design.predictions import Prediction
from cudagraph_lab.ledger.catalogue import SCORE_50, SCORE_90, SCORE_ERROR, SCORE_WIS, SKILL
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.registered_names import predicted_as, speaks_of
from cudagraph_lab.ledger.results import Result
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.scores import Scored, score, skill

# By the first part of a number's template.
FAMILIES = {
    "step": "steps",
    "step_ratio": "step-ratios",
    "ratio": "ratios",
    "speculation": "speculation",
}


def score_results(
    results: Sequence[Result],
    dataset: Dataset,
    predictions: Sequence[Prediction],
    registered: Mapping[str, str],
) -> list[Result]:
    """The scores of a data set's forecasts, and their skill against each baseline.

    `predictions` are those about the data set, `registered` the hashes that were registered before.
    """
    in_time = [
        one
        for one in predictions
        if registered.get(one.id) == one.sha256() and dataset.name not in one.in_sample_for
    ]
    forecasts = [one for one in in_time if one.low_50 is not None]
    baselines = [one for one in in_time if one.baseline is not None]
    found: dict[str, list[tuple[Result, Prediction]]] = {}
    for result in results:
        family = FAMILIES.get(result.id.quantity.template.partition("/")[0])
        if not (family and result.value):
            continue
        names = predicted_as(result.id, dataset.contrasts)
        for one in forecasts:
            if speaks_of(one.number, names):
                found.setdefault(str(family), []).append((result, one))
    scores: list[Result] = []
    for family, pairs in found.items():
        scores += _of_family(family, pairs)
        scores += _skills(family, pairs, baselines, dataset)
    return scores


def _of_family(family: str, pairs: Sequence[tuple[Result, Prediction]]) -> list[Result]:
    made = score([_scored(result, one) for result, one in pairs])
    arms = list(dict.fromkeys(arm for result, _ in pairs for arm in result.arms))
    return [
        _number(quantity(family=family), value, made.cells, arms)
        for quantity, value in (
            (SCORE_WIS, made.interval_score),
            (SCORE_ERROR, made.median_error),
            (SCORE_50, made.within_50),
            (SCORE_90, made.within_90),
        )
    ]


def _skills(
    family: str,
    pairs: Sequence[tuple[Result, Prediction]],
    baselines: Sequence[Prediction],
    dataset: Dataset,
) -> list[Result]:
    skills = []
    for name in dict.fromkeys(str(one.baseline) for one in baselines):
        both = [
            (float(said.value), float(one.value), float(result.value), result.arms)
            for result, said in pairs
            for one in baselines
            if one.baseline == name
            and speaks_of(one.number, predicted_as(result.id, dataset.contrasts))
            and said.value is not None and one.value is not None and result.value is not None
        ]  # fmt: skip
        if both:
            ours, theirs, seen, arms = zip(*both, strict=True)
            named = list(dict.fromkeys(arm for group in arms for arm in group))
            number = SKILL(family=family, baseline=name)
            skills.append(_number(number, skill(ours, theirs, seen), len(both), named))
    return skills


def _scored(result: Result, one: Prediction) -> Scored:
    bounds = (result.value, one.value, one.low_50, one.high_50, one.low, one.high)
    return Scored(*(float(bound) for bound in bounds if bound is not None))


def _number(number: NumberId, value: float, cells: int, arms: list[str]) -> Result:
    return Result(
        id=number,
        value=value,
        n=cells,
        note="n counts cells of arm and batch size",
        exact=True,
        arms=arms,
        unpredicted="a score of predictions",
    )
