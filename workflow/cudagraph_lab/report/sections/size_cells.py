"""Every forecast of a step beside what was measured, and what the verdicts on size teach."""

from collections.abc import Iterator, Sequence

from cudagraph_lab.design.predictions import FORECAST, predicted_by
from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import (
    Index,
    contrast_of_role,
    everywhere,
    has_value,
    short_device,
    short_model,
    value_at,
    with_quantity,
)
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.claims import key_of
from cudagraph_lab.report.markup import Chip, Code, Datum, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, count, fact, level, median_and_bounds, value
from cudagraph_lab.report.phrases import bullets, key
from cudagraph_lab.report.view import Block, Fold, Paragraph, Row, Table

SECTION = "sizes"  # where the cells stand
SERIES = "sizes"
CELLS = (catalogue.STEP, catalogue.STEP_RATIO)
LAB_70B = "lab/70b-moderate-batch"


def forecast_cells(index: Index) -> list[Block]:
    """A table for each data set of the series: model, arm and batch size, forecast and measured."""
    tables: list[Block] = [
        made for dataset in _of_series(index) if (made := _table(index, dataset)) is not None
    ]
    if not tables:
        return []
    lead = say(
        "A forecast is its median and its {outer} bounds, registered before the measurement; a "
        "measured value has its {level} interval.",
        outer=Exempt("90%", "level"),
        level=level(),
    )
    summary = ("Every forecast of a step beside what was measured",)
    return [Fold(summary, [Paragraph(lead, small=True), *tables])]


def has_cell(index: Index, number: Number, judged: Judged) -> bool:
    """Whether a forecast stands in one of the tables of `forecast_cells`."""
    dataset = index.datasets.get(number.dataset)
    of_step = number.id.quantity in CELLS and has_value(number)
    return bool(dataset and dataset.series == SERIES and of_step and judged is _forecast_of(number))


def _of_series(index: Index) -> list[Dataset]:
    return [dataset for dataset in index.ledger.datasets if dataset.series == SERIES]


def _forecast_of(number: Number) -> Judged | None:
    return next((one for one in number.predictions if predicted_by(one.id) == FORECAST), None)


def _table(index: Index, dataset: Dataset) -> Table | None:
    rows = [
        Row(
            [
                say(
                    "{what}, {size}",
                    what=key(number.id.arm or "speed-up"),
                    size=batch(int(number.id.batch)),
                ),
                median_and_bounds(number, said),
                value(number, about=False),
                (Chip(said.verdict),),
            ],
            number=str(number.id),
        )
        for quantity in CELLS
        for number in with_quantity(index, dataset.name, quantity)
        if (said := _forecast_of(number)) is not None
    ]
    if not rows:
        return None
    scores = [
        say(
            "{family}: median error {error}, {inside} inside the bounds",
            family=words,
            error=value(error),
            inside=value(inside),
        )
        for family, words in (("steps", "steps"), ("step-ratios", "speed-ups"))
        if (error := value_at(index, dataset.name, catalogue.SCORE_ERROR(family=family)))
        and (inside := value_at(index, dataset.name, catalogue.SCORE_90(family=family)))
    ]
    caption = say(
        "{title}{scores}",
        title=Exempt(dataset.title),
        scores=say(" ({all})", all=join(scores, "; ")) if scores else (),
    )
    columns = ["arm, batch size", "forecast", "measured", "verdict"]
    return Table(caption, columns, rows, dataset=dataset.name)


def lessons(index: Index) -> list[Block]:
    """At most three sentences of what was learned, each by rule from verdicts."""
    return bullets([*_by_size(index), *_of_70b(index), *_by_arm(index)])


def _by_size(index: Index) -> Iterator[Line]:
    """The lab's claim of small models and small batches, device by device."""
    told = []
    for quantity, words in (
        (catalogue.FALLS_WITH_SIZE, "with the model’s size, on"),
        (catalogue.FALLS_WITH_BATCH, "with the batch, on"),
    ):
        verdicts = [
            say(
                "{device}: {chip}",
                device=key(number.id.device.upper()),
                chip=Chip(number.predictions[0].verdict),
            )
            for number in everywhere(index, quantity)
            if number.predictions
        ]
        if verdicts:
            told.append(say("{words} {verdicts}", words=words, verdicts=join(verdicts, ", ")))
    if told:
        yield say(
            "{lead} The course lab says that the gain falls {told}.",
            lead=Strong(("Small models, small batches.",)),
            told=join(told, "; "),
        )


def _of_70b(index: Index) -> Iterator[Line]:
    """The lab's claim of 70B, by how many GPUs share the model."""
    found = [
        (dataset, number, judged)
        for dataset in sorted(_of_series(index), key=lambda one: one.tensor_parallel_size)
        for number in with_quantity(index, dataset.name, catalogue.RATIO)
        for judged in number.predictions
        if judged.id == LAB_70B
    ]
    told = [
        say(
            "{n} {device} {x}: {chip}",
            n=fact(dataset.name, "tensor_parallel_size", dataset.tensor_parallel_size),
            device=Exempt(short_device(dataset)),
            x=value(number),
            chip=Chip(judged.verdict),
        )
        for dataset, number, judged in found
    ]
    if told:
        yield say(
            "{lead} The course lab expects single-digit percents at moderate batch. Measured on "
            "{told}.",
            lead=Strong(say("{model}.", model=Exempt(short_model(found[0][0])))),
            told=join(told, "; "),
        )


def _by_arm(index: Index) -> Iterator[Line]:
    """Whether steps in eager or with graphs were forecast better, by the shares refuted."""
    found: dict[str, list[Judged]] = {}
    for dataset in _of_series(index):
        sides = contrast_of_role(index, dataset.name, "primary")
        for arm in (sides.denominator, sides.numerator) if sides else ():
            found.setdefault(arm, []).extend(
                said
                for number in with_quantity(index, dataset.name, catalogue.STEP)
                if number.id.arm == arm and (said := _forecast_of(number)) is not None
            )
    if len(found) != 2 or not all(found.values()):
        return
    shares = {
        arm: sum(said.verdict == "refuted" for said in judged) / len(judged)
        for arm, judged in found.items()
    }
    best, worst = sorted(shares, key=lambda arm: shares[arm])
    if shares[best] == shares[worst]:
        lead: Line = ("Steps of all arms were forecast alike.",)
    else:
        lead = say("Steps of {arm} were forecast better.", arm=Code(best))
    told = [
        say(
            "of {n} forecasts of {arm} {bad} were refuted and {open} not settled",
            bad=_count("refuted", arm, found[arm]),
            open=_count("inconclusive", arm, found[arm]),
            n=_count("measured", arm, found[arm]),
            arm=Code(arm),
        )
        for arm in (best, worst)
    ]
    yield say(
        "{lead} Over all models and numbers of GPUs, {told}.",
        lead=Strong(lead),
        told=join(told, "; "),
    )


def _count(what: str, arm: str, judged: Sequence[Judged]) -> Datum:
    """How many of an arm's forecasts ended so; `measured` counts them all."""
    size = sum(what in (said.verdict, "measured") for said in judged)
    family = key_of(FORECAST, catalogue.STEP)
    return count(size, what, family=family, series=SERIES, arm=arm)
