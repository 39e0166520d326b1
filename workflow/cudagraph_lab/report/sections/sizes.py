"""How the gain depends on the model's size: measured, forecast before, and scored."""

from collections.abc import Sequence

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
from cudagraph_lab.ledger.index import Index, short_title, value_at, with_quantity
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.ledger.selection import Sized, sized
from cudagraph_lab.report.markup import Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted, value
from cudagraph_lab.report.sections.crossing import crossing
from cudagraph_lab.report.sections.ranks import rank_lines, rank_table
from cudagraph_lab.report.sections.size_cells import SECTION, forecast_cells, lessons
from cudagraph_lab.report.sections.unknown_hosts import beyond, foretold
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Picture, Row, Section, Table

INNER, OUTER = Exempt("50%", "level"), Exempt("90%", "level")
FAMILIES = {"steps": "steps of each arm", "step-ratios": "speed-ups of a step"}


def sizes(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Speed-up against model size, and how the forecasts of it did."""
    devices = sized(index)
    lines = [line for device, rows in devices.items() for line in _course(index, device, rows)]
    lines += [*rank_lines(index), *foretold(index), *beyond(index)]
    beside: list[Block] = [Bullets(lines)]
    blocks: list[Block] = [Picture(drawings["sizes"], heading=False, beside=beside)]
    blocks += lessons(index)
    blocks += rank_table(index)
    blocks += crossing(index, drawings)
    if (rows := _score_rows(index)) is not None:
        scored = [Bullets(said)] if (said := _scored(index)) else []
        blocks.append(Fold(("How good the forecasts were, by data set",), [*scored, rows]))
    blocks += forecast_cells(index)
    if published := _backtest(index):
        blocks.append(Paragraph(join(published, " ", " "), small=True))
    return Section(SECTION, "Sizes", drawings["sizes"].title, blocks)


def _course(index: Index, device: str, rows: Sequence[Sized]) -> list[Line]:
    """From the smallest to the largest model of a device, at its smallest batch size."""
    first, last = rows[0], rows[-1]
    size = min(first.ratios.keys() & last.ratios.keys(), default=None)
    if size is None:
        return []
    if first is last:
        return [
            say(
                "One size was measured on {device}: {label}. How the gain falls with size is not "
                "known.",
                device=Exempt(device),
                label=Exempt(first.label),
            )
        ]
    return [
        say(
            "{device}, batch {size}, the decode step alone: graphs and compilation make it {x} as "
            "fast for {small}, and {y} for {large}.",
            device=Strong((Exempt(device),)),
            size=batch(size),
            x=noted(index, first.ratios[size]),
            y=noted(index, last.ratios[size]),
            small=Exempt(first.label),
            large=Exempt(last.label),
        )
    ]


def _scored(index: Index) -> list[Line]:
    """How the forecasts of the larger models did, the worst of each device beside the best."""
    lines: list[Line] = []
    for device, (first, *larger) in sized(index).items():
        errors = [
            (float(error.value or 0), row, error)
            for row in larger
            if (error := value_at(index, row.dataset, SCORE_ERROR(family="steps")))
        ]
        inside = [
            number
            for _, row, _ in errors
            if (number := value_at(index, row.dataset, SCORE_90(family="steps")))
        ]
        if not errors or not inside:
            continue
        errors.sort(key=lambda one: one[0])
        (_, best, least), (_, worst, most) = errors[0], errors[-1]
        spread = say("is {x} for {model}", x=noted(index, most), model=Exempt(worst.label))
        if best is not worst:
            spread = say(
                "lies between {x} for {model} and {y} for {other}",
                x=noted(index, least),
                model=Exempt(best.label),
                y=noted(index, most),
                other=Exempt(worst.label),
            )
        lines.append(
            say(
                "{device}: the steps of the larger models were forecast before they were measured, "
                "from a calibration on {small} alone. Their median error {spread}. Of a model’s "
                "steps, {inside} lie inside the {outer} bounds.{rule}",
                device=Strong((Exempt(device),)),
                small=Exempt(first.label),
                spread=spread,
                inside=_least_and_most(index, inside),
                outer=OUTER,
                rule=_beside_rule(index, [row for _, row, _ in errors], first.label),
            )
        )
    return lines


def _least_and_most(index: Index, numbers: Sequence[Number]) -> Line:
    least, *_, most = sorted([*numbers, *numbers], key=lambda n: float(n.value or 0))
    if least.value == most.value:
        return noted(index, least)
    return say("{a} to {b}", a=noted(index, least), b=noted(index, most))


def _beside_rule(index: Index, rows: Sequence[Sized], small: str) -> Line:
    """For which models the forecast speed-up was nearer than the small model's."""
    nearer: list[Line] = []
    farther: list[Line] = []
    for row in sorted(rows, key=lambda row: row.parameters):
        skill = value_at(index, row.dataset, SKILL(family="step-ratios", baseline="same-ratio"))
        if skill is not None:
            (nearer if float(skill.value or 0) > 0 else farther).append((Exempt(row.label),))
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
    columns = (SCORE_ERROR, SCORE_50, SCORE_90, SCORE_WIS)
    rows = []
    for dataset in index.ledger.datasets:
        for family, words in FAMILIES.items():
            numbers = [value_at(index, dataset.name, of(family=family)) for of in columns]
            if numbers[0] is None:
                continue
            skills = [
                say("{x} over {name}", x=value(number), name=_baseline(number))
                for number in with_quantity(index, dataset.name, SKILL)
                if number.id.family == family
            ]
            cells: list[Line] = [
                say(
                    "{name}, {words}",
                    name=Exempt(short_title(index, dataset)),
                    words=Exempt(words, "label"),
                ),
                *[value(number) if number else ("–",) for number in numbers],
                join(skills, ", ", ", ") if skills else ("–",),
            ]
            rows.append(Row(cells))
    if not rows:
        return None
    return Table(
        say(
            "Scores of forecasts that were registered before, from a calibration on a small model. "
            "Good inner bounds hold in {inner} of the cells, good outer bounds in {outer}. Skill: "
            "how much smaller the error is than that of a simpler rule: same-ratio, as for the "
            "small model; additive, the host’s and the GPU’s work added up; overlap, the longer of "
            "the two.",
            inner=INNER,
            outer=OUTER,
        ),
        [
            "forecast",
            "median error",
            "inner bounds hold",
            "outer bounds hold",
            "interval score",
            "skill",
        ],
        rows,
    )


def _baseline(number: Number) -> Exempt:
    return Exempt(str(number.id.baseline), "key")


def _backtest(index: Index) -> list[Line]:
    """The step model on published pairs, whose hosts are not known."""
    wanted: tuple[Quantity, ...] = (
        BACKTEST_TESTED, BACKTEST_HITS, BACKTEST_WIDTH, BACKTEST_INFEASIBLE
    )  # fmt: skip
    lines: list[Line] = []
    for name in index.groups:
        tested, hits, width, infeasible = (value_at(index, name, of()) for of in wanted)
        if not (tested and hits and width):
            continue
        lines.append(
            say(
                "The step model was also held against {tested} that others published, on hosts of "
                "unknown speed: {hits} lie inside its {outer} bounds. That is weak evidence, since "
                "the upper bound is {width} the lower one in the median.",
                outer=OUTER,
                tested=noted(index, tested),
                hits=noted(index, hits),
                width=noted(index, width),
            )
        )
        if infeasible and infeasible.value:
            lines.append(
                say(
                    "Left out as faster than the hardware allows: {n}.",
                    n=noted(index, infeasible),
                )
            )
    return lines
