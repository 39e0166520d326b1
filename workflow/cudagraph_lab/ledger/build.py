"""The ledger: every number that the report prints, with its predictions and verdicts.

A number reaches a page only from here, by data set and id; the ids are those of
`cudagraph_lab.ledger.catalogue`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field

from cudagraph_lab.config.contrast import headline_of
from cudagraph_lab.design.predictions import Prediction
from cudagraph_lab.errors import LabError
from cudagraph_lab.forms import Form
from cudagraph_lab.ledger.catalogue import WrittenId, parse
from cudagraph_lab.ledger.registered_names import is_wild, named_here, predicted_as, speaks_of
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.verdicts import Verdict, judge, judge_claim
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.side_by_side import side_by_side

if TYPE_CHECKING:
    import pandas as pd

    from cudagraph_lab.ledger.results import Result

SCHEMA_VERSION = 1
MANY_REPEATS = 100  # beyond it the exact number is no advice


class LedgerPart(Form):
    """Base of the ledger's parts."""

    model_config = ConfigDict(allow_inf_nan=False)


class Judged(LedgerPart):
    """A prediction beside what came out."""

    id: str
    source: str
    value: float | bool | None
    low: float | None = None  # None where there is no lower bound
    high: float | None = None
    in_sample: bool = False
    post_hoc: bool = False  # not registered before the data set was measured
    verdict: Verdict
    settle: str | None = None  # what would settle an inconclusive one


class Number(LedgerPart):
    """One number of the report."""

    id: WrittenId
    dataset: str
    value: float | bool | None
    unit: str
    n: int = 0
    low: float | None = None
    high: float | None = None
    method: str | None = None
    note: str | None = None
    missing: str | None = None  # why there is no value
    predictions: list[Judged] = Field([])
    baselines: dict[str, float] = Field({})  # what simple rules say, by their names
    unpredicted: str | None = None  # why nothing was predicted of it
    files: list[str] = Field([])  # that it was made from


class Ledger(LedgerPart):
    """All numbers, and the data sets that they are about."""

    schema_version: int
    headline: str
    measured_here: list[str]  # data sets measured in this directory; the one named leads
    absent: list[str]  # names in `compare` that no data set has
    datasets: list[Dataset]
    numbers: list[Number]


def build_ledger(
    datasets: list["tuple[Dataset, pd.DataFrame]"],
    predictions: list[Prediction],
    registered: Mapping[str, Mapping[str, str]],
    settings: Settings,
    measured_here: Sequence[str],
    further: Sequence[Number] = (),
    absent_datasets: Sequence[str] = (),
    processes: int = 1,
) -> Ledger:
    """Every number of every data set, judged, and `further` ones that no data set holds.

    `registered` maps a data set to the hashes registered for it. Data sets are judged side by
    side, by so many processes. Raises LabError where an observation cannot be a measurement (not
    positive, not finite).
    """
    # Here, since the page needs the shapes of this module and waits for no SciPy.
    from cudagraph_lab.ledger.dataset_results import dataset_results
    from cudagraph_lab.ledger.judged_once import judged_once
    from cudagraph_lab.ledger.quantities.co_residence import co_residence_results
    from cudagraph_lab.ledger.quantities.comparison import comparison_results
    from cudagraph_lab.ledger.scores import score_results

    datasets = in_order(datasets, settings.headline, measured_here)

    def numbers_of(pair: "tuple[Dataset, pd.DataFrame]") -> list[Number]:
        dataset, table = pair
        results = dataset_results(dataset, table, settings)
        if pair is datasets[0]:
            results += comparison_results(datasets)
        if dataset.series is None:
            results += co_residence_results(dataset, table, datasets)
        about = [p for p in predictions if _speaks_about(p, dataset)]
        before = registered.get(dataset.name, {})
        said = {result.id: _said_of(result, about, dataset) for result in results}
        further_results = score_results(((r, said[r.id]) for r in results), dataset, before)
        further_results += _not_observed(results, dataset, about)
        said |= {result.id: _said_of(result, about, dataset) for result in further_results}
        results += further_results
        return [_judge_result(result, dataset, said[result.id], before) for result in results]

    numbers = [n for found in side_by_side(numbers_of, datasets, processes) for n in found]
    names = (headline_of(dataset.contrasts, settings.headline) for dataset, _ in datasets)
    return Ledger(
        schema_version=SCHEMA_VERSION,
        headline=settings.headline or next(filter(None, names), "primary"),
        measured_here=list(measured_here),
        absent=list(absent_datasets),
        datasets=[dataset for dataset, _ in datasets],
        numbers=[*judged_once(numbers, [dataset for dataset, _ in datasets]), *further],
    )


def in_order(
    datasets: list["tuple[Dataset, pd.DataFrame]"],
    headline: str | None,
    measured_here: Sequence[str],
) -> list["tuple[Dataset, pd.DataFrame]"]:
    """What was measured here first, then what answers the headline's question, then the rest."""

    place = {name: position for position, name in enumerate(measured_here)}

    def rank(pair: "tuple[Dataset, pd.DataFrame]") -> tuple[int, bool, bool, bool, bool, bool]:
        dataset, _ = pair
        contrast = dataset.contrasts.get(headline_of(dataset.contrasts, headline) or "")
        answers = contrast is not None and all(
            side in dataset.arms and dataset.arms[side].status == "ok"
            for side in (contrast.numerator, contrast.denominator)
        )
        # Arms in turn resolve what arms apart leave open.
        return (
            place.get(dataset.name, len(place)),
            dataset.series is not None,
            not answers,
            dataset.platform == "cpu",
            dataset.measured != "in_turn",
            # Measured to answer another question: its gains are judged elsewhere.
            dataset.gains_judged_in is not None,
        )

    return sorted(datasets, key=rank)


def _not_observed(
    results: list["Result"], dataset: Dataset, predictions: list[Prediction]
) -> list["Result"]:
    """The numbers that predictions name and that a data set does not have.

    Raises LabError where no quantity has such an id.
    """
    from cudagraph_lab.ledger.dataset_results import in_series
    from cudagraph_lab.ledger.results import absent

    known = {text for result in results for text in predicted_as(result.id, dataset.contrasts)}
    missing = {}
    for prediction in predictions:
        wild = is_wild(prediction.number)
        if prediction.baseline is not None or wild or prediction.number in known:
            continue
        try:
            number = parse(prediction.number)
        except ValueError as error:
            raise LabError(f"prediction {prediction.id}: {error}; correct its number") from None
        here = named_here(number, dataset.contrasts)
        if in_series(dataset, here):
            missing[number] = absent(here, "not observed in this data set")
    return list(missing.values())


def _speaks_about(prediction: Prediction, dataset: Dataset) -> bool:
    return prediction.speaks_about(
        dataset.name, dataset.platform, dataset.device, dataset.model, dataset.device_memory_gib
    )


def _said_of(result: "Result", predictions: list[Prediction], dataset: Dataset) -> list[Prediction]:
    """The predictions of a number, baselines among them."""
    names = predicted_as(result.id, dataset.contrasts)
    return [one for one in predictions if speaks_of(one.number, names)]


def _judge_result(
    result: "Result",
    dataset: Dataset,
    predictions: list[Prediction],
    registered: Mapping[str, str],
) -> Number:
    judged = [
        _judge_prediction(result, dataset, prediction, registered)
        for prediction in predictions
        if prediction.baseline is None
    ]
    unpredicted = None
    if not judged:
        unpredicted = result.unpredicted or "no prediction was registered for this number"
    files = [file for arm in result.arms for file in dataset.files.get(arm, [])]
    files += result.files
    fields = result.model_dump(
        exclude={"id", "arms", "files", "exact", "outcome", "settle", "unpredicted"}
    )
    return Number(
        id=result.id,
        unit=result.id.quantity.unit,
        **fields,
        dataset=dataset.name,
        predictions=judged,
        baselines={
            str(one.baseline): float(one.value)
            for one in predictions
            if one.baseline is not None and one.value is not None
        },
        unpredicted=unpredicted,
        files=files,
    )


def _judge_prediction(
    result: "Result", dataset: Dataset, prediction: Prediction, registered: Mapping[str, str]
) -> Judged:
    low, high = prediction.low, prediction.high
    settle = None
    verdict: Verdict
    if isinstance(prediction.value, bool):
        if result.value is None or result.outcome is None:
            verdict = "not measured"
        else:
            verdict = judge_claim(
                result.outcome, result.n == 1, bool(result.value), prediction.value
            )
        if verdict == "inconclusive":
            settle = "more repeats"
    else:
        if low is None or high is None:
            raise LabError(f"prediction {prediction.id}: a number needs low and high")
        verdict = judge(result.value, result.low, result.high, low, high)
        if result.value is not None and result.low is None and result.n > 1 and not result.exact:
            # Several repeats without an interval: the bare value settles nothing.
            verdict = "inconclusive"
        if verdict == "inconclusive":
            more = result.settle(low, high) if result.settle else None
            settle = "more repeats may not settle it"
            if more and more.more > MANY_REPEATS:
                settle = f"more than {MANY_REPEATS} more repeats per arm"
            elif more and more.more:
                plural = "s" if more.more > 1 else ""
                settle = (
                    f"about {more.more} more repeat{plural} per arm, with a chance of "
                    f"{more.chance:.0%}"
                )
    return Judged(
        id=prediction.id,
        source=prediction.source,
        value=prediction.value,
        low=low if low is not None and math.isfinite(low) else None,
        high=high if high is not None and math.isfinite(high) else None,
        in_sample=dataset.name in prediction.in_sample_for,
        post_hoc=registered.get(prediction.id) != prediction.sha256(),
        verdict=verdict,
        settle=settle,
    )
