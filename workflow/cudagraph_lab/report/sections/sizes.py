"""How the gain depends on the model's size: measured, forecast before, and scored."""

from collections.abc import Iterator, Sequence

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    BACKTEST_HITS,
    BACKTEST_INFEASIBLE,
    BACKTEST_TESTED,
    BACKTEST_WIDTH,
    SCORE_50,
    SCORE_90,
    SCORE_ERROR,
    SCORE_WIS,
    SKILL,
)
from cudagraph_lab.ledger.index import Index, value_at, with_quantity
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.ledger.selection import Sized, sized
from cudagraph_lab.report.markup import Exempt, Line, Piece, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted, value
from cudagraph_lab.report.phrases import NONE, bullets, key, table, title
from cudagraph_lab.report.sections.crossing import crossing
from cudagraph_lab.report.sections.ranks import rank_lines, rank_table
from cudagraph_lab.report.sections.size_cells import SECTION, forecast_cells, lessons
from cudagraph_lab.report.sections.unknown_hosts import beyond, foretold
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Picture, Section, Table

INNER, OUTER = Exempt("50%", "level"), Exempt("90%", "level")
FAMILIES = {"steps": "steps of each arm", "step-ratios": "speed-ups of a step"}
SCORES = (SCORE_ERROR, SCORE_50, SCORE_90, SCORE_WIS)
COLUMNS = (
    "forecast",
    "median error",
    "inner bounds hold",
    "outer bounds hold",
    "interval score",
    "skill",
)


def sizes(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Speed-up against model size, and how the forecasts of it did."""
    devices = sized(index)
    lines = [line for device, rows in devices.items() for line in _course(index, device, rows)]
    lines += [*rank_lines(index), *foretold(index), *beyond(index)]
    blocks: list[Block] = [Picture(drawings["sizes"], heading=False, beside=[Bullets(lines)])]
    blocks += lessons(index)
    blocks += rank_table(index)
    blocks += crossing(index, drawings)
    if (rows := _score_rows(index)) is not None:
        inside = [*bullets(_scored(index)), rows]
        blocks.append(Fold(("How good the forecasts were, by data set",), inside))
    blocks += forecast_cells(index)
    if published := list(_backtest(index)):
        blocks.append(Paragraph(join(published, " "), small=True))
    return Section(SECTION, "Sizes", drawings["sizes"].title, blocks)


def _course(index: Index, device: str, rows: Sequence[Sized]) -> Iterator[Line]:
    """From the smallest to the largest model of a device, at its smallest batch size."""
    first, last = rows[0], rows[-1]
    size = min(first.ratios.keys() & last.ratios.keys(), default=None)
    if size is None:
        return
    if first is last:
        yield say(
            "One size was measured on {device}: {label}. How the gain falls with size is not "
            "known.",
            device=Exempt(device),
            label=Exempt(first.label),
        )
        return
    yield say(
        "{device}, batch {size}, the decode step alone: graphs and compilation make it {x} as "
        "fast for {small}, and {y} for {large}.",
        device=Strong((Exempt(device),)),
        size=batch(size),
        x=noted(index, first.ratios[size]),
        y=noted(index, last.ratios[size]),
        small=Exempt(first.label),
        large=Exempt(last.label),
    )


def _scored(index: Index) -> Iterator[Line]:
    """How the forecasts of the larger models did, the worst of each device beside the best."""
    for device, (first, *larger) in sized(index).items():
        errors = [
            (row, error)
            for row in larger
            if (error := value_at(index, row.dataset, SCORE_ERROR(family="steps")))
        ]
        inside = [
            number
            for row, _ in errors
            if (number := value_at(index, row.dataset, SCORE_90(family="steps")))
        ]
        if not errors or not inside:
            continue
        errors.sort(key=lambda one: float(one[1].value or 0))
        (best, least), (worst, most) = errors[0], errors[-1]
        spread = say("is {x} for {model}", x=noted(index, most), model=Exempt(worst.label))
        if best is not worst:
            spread = say(
                "lies between {x} for {model} and {y} for {other}",
                x=noted(index, least),
                model=Exempt(best.label),
                y=noted(index, most),
                other=Exempt(worst.label),
            )
        yield say(
            "{device}: the steps of the larger models were forecast before they were measured, "
            "from a calibration on {small} alone. Their median error {spread}. Of a model’s "
            "steps, {inside} lie inside the {outer} bounds.{rule}",
            device=Strong((Exempt(device),)),
            small=Exempt(first.label),
            spread=spread,
            inside=_least_and_most(index, inside),
            outer=OUTER,
            rule=_beside_rule(index, [row for row, _ in errors], first.label),
        )


def _least_and_most(index: Index, numbers: Sequence[Number]) -> Line:
    least, *_, most = sorted([*numbers, *numbers], key=lambda n: float(n.value or 0))
    if least.value == most.value:
        return noted(index, least)
    return say("{a} to {b}", a=noted(index, least), b=noted(index, most))


def _beside_rule(index: Index, rows: Sequence[Sized], small: str) -> Line:
    """For which models the forecast speed-up was nearer than the small model's."""
    nearer: list[Piece] = []
    farther: list[Piece] = []
    for row in sorted(rows, key=lambda row: row.parameters):
        skill = value_at(index, row.dataset, SKILL(family="step-ratios", baseline="same-ratio"))
        if skill is not None:
            (nearer if float(skill.value or 0) > 0 else farther).append(Exempt(row.label))
    if not nearer and not farther:
        return ()
    return say(
        " The speed-up came nearer to the forecast than to the simple rule “as for {small}” for "
        "{nearer}{farther}.",
        small=Exempt(small),
        nearer=join(nearer) or ("no model",),
        farther=say(", not for {models}", models=join(farther)) if farther else (),
    )


def _score_rows(index: Index) -> Table | None:
    """A row per data set and family of forecasts."""
    rows: list[list[Line]] = []
    for dataset in index.ledger.datasets:
        for family, words in FAMILIES.items():
            numbers = [value_at(index, dataset.name, of(family=family)) for of in SCORES]
            if numbers[0] is None:
                continue
            skills = [
                say("{x} over {name}", x=value(number), name=key(number.id.baseline))
                for number in with_quantity(index, dataset.name, SKILL)
                if number.id.family == family
            ]
            forecast = say(
                "{name}, {words}", name=title(index, dataset), words=Exempt(words, "label")
            )
            scores = [value(number) if number else NONE for number in numbers]
            rows.append([forecast, *scores, join(skills, ", ") or NONE])
    if not rows:
        return None
    caption = say(
        "Scores of forecasts that were registered before, from a calibration on a small model. "
        "Good inner bounds hold in {inner} of the cells, good outer bounds in {outer}. Skill: "
        "how much smaller the error is than that of a simpler rule: same-ratio, as for the "
        "small model; additive, the host’s and the GPU’s work added up; overlap, the longer of "
        "the two.",
        inner=INNER,
        outer=OUTER,
    )
    return table(caption, COLUMNS, rows)


def _backtest(index: Index) -> Iterator[Line]:
    """The step model on published pairs, whose hosts are not known."""
    wanted: tuple[Quantity, ...] = (
        BACKTEST_TESTED, BACKTEST_HITS, BACKTEST_WIDTH, BACKTEST_INFEASIBLE
    )  # fmt: skip
    for name in index.groups:
        tested, hits, width, infeasible = (value_at(index, name, of()) for of in wanted)
        if not (tested and hits and width):
            continue
        yield say(
            "The step model was also held against {tested} that others published, on hosts of "
            "unknown speed: {hits} lie inside its {outer} bounds. That is weak evidence, since "
            "the upper bound is {width} the lower one in the median.",
            outer=OUTER,
            tested=noted(index, tested),
            hits=noted(index, hits),
            width=noted(index, width),
        )
        if infeasible and infeasible.value:
            yield say(
                "Left out as faster than the hardware allows: {n}.", n=noted(index, infeasible)
            )
