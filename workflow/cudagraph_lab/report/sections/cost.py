"""What graphs cost at start-up, and what to do about it."""

from collections.abc import Iterator

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    CAPTURE_GIB,
    CAPTURE_S,
    CAPTURE_S_PER_GRAPH,
    COMPILE_COLD_S,
    COMPILE_WARM_S,
    KV_REQUESTS_LOST,
    KV_TOKENS,
    KV_TOKENS_LOST,
    LADDER_GRAPHS,
    LADDER_SAVED_S,
    SHAPES_FULL,
    SHAPES_PIECEWISE,
    STARTUP,
)
from cudagraph_lab.ledger.index import (
    Index,
    contrast_of_role,
    having,
    of_primary,
    ratios,
    value_at,
)
from cudagraph_lab.ledger.selection import arms_shown, cold_arms
from cudagraph_lab.report.advice import advice_sentence, advise
from cudagraph_lab.report.markup import Code, Line, Strong, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.phrases import (
    NONE,
    bullets,
    cell,
    cell_at,
    compiling,
    table,
    title,
    titles,
)
from cudagraph_lab.report.sections.payoff import LISTED, break_even, start_costs
from cudagraph_lab.report.sections.sized_starts import sized_starts
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Picture, Section


def startup(index: Index, drawings: dict[str, Drawing]) -> Section:
    """A timeline per arm, and the seconds, GiB and tokens behind it."""
    beside = bullets(line for d in index.main for line in _startup_lines(index, d.name))
    blocks: list[Block] = [Picture(drawings["start-up"], heading=False, beside=beside)]
    blocks += sized_starts(index)
    rows = [row for d in index.main for row in _startup_rows(index, d.name)]
    if rows:
        columns = ["arm", "import", "boot", "of which compiling", "of which capture", "KV cache"]
        phases = table(("The phases of start-up, by arm",), columns, rows)
        blocks.append(Fold(("The seconds behind the bars",), [phases]))
    return Section("startup", "Start-up", drawings["start-up"].title, blocks)


def _startup_lines(index: Index, dataset: str) -> Iterator[Line]:
    name = Strong((title(index, dataset),))
    if boots := of_primary(index, dataset, STARTUP, phase="boot"):
        eager, graphs = boots
        before = value_at(index, dataset, STARTUP(phase="import", arm=str(graphs.id.arm)))
        yield say(
            "{name}: the engine boots in {graphs} with {a}, in {eager} with {b}.{cold}{before}",
            name=name,
            graphs=noted(index, graphs),
            eager=noted(index, eager),
            a=Code(str(graphs.id.arm)),
            b=Code(str(eager.id.arm)),
            cold=_cold(index, dataset),
            before=say(
                " Importing Python packages takes {x} before that, in any arm.",
                x=noted(index, before),
            )
            if before
            else (),
        )
    seconds, memory = (value_at(index, dataset, q()) for q in (CAPTURE_S, CAPTURE_GIB))
    piecewise, full = (value_at(index, dataset, q()) for q in (SHAPES_PIECEWISE, SHAPES_FULL))
    lost = value_at(index, dataset, KV_TOKENS_LOST())
    if seconds:
        shapes: Line = ()
        if piecewise and full:
            a, b = noted(index, piecewise), noted(index, full)
            shapes = say(", for {a} piecewise and {b} in full", a=a, b=b)
        yield say(
            "{name}: capture takes {s}{shapes}{gib}{lost}.",
            name=name,
            s=noted(index, seconds),
            shapes=shapes,
            gib=say("; the graphs take {m}", m=noted(index, memory)) if memory else (),
            lost=say("; the KV cache loses {t}", t=noted(index, lost)) if lost else (),
        )


def _cold(index: Index, dataset: str) -> Line:
    """What starts from nothing cached cost, where such an arm was run."""
    if cold := cold_boot(index, dataset):
        return say(" With nothing cached it takes {x}.", x=noted(index, cold))
    empty, warm = (value_at(index, dataset, q()) for q in (COMPILE_COLD_S, COMPILE_WARM_S))
    if empty and warm:
        return say(
            " With an empty cache compilation takes {a} instead of {b}.",
            a=noted(index, empty),
            b=noted(index, warm),
        )
    return ()


def cold_boot(index: Index, dataset: str) -> Number | None:
    """Seconds of a boot with nothing cached, where such an arm was run."""
    boots = (
        value_at(index, dataset, STARTUP(phase="boot", arm=arm))
        for arm in cold_arms(index, dataset)
    )
    return next(filter(None, boots), None)


def _startup_rows(index: Index, dataset: str) -> list[list[Line]]:
    return [
        [
            say("{name}, {arm}", name=title(index, dataset), arm=Code(arm)),
            cell_at(index, dataset, STARTUP(phase="import", arm=arm)),
            cell_at(index, dataset, STARTUP(phase="boot", arm=arm)),
            compiling(index, dataset, arm),
            cell_at(index, dataset, STARTUP(phase="capture", arm=arm)),
            cell_at(index, dataset, KV_TOKENS(arm=arm)),
        ]
        for arm in arms_shown(index, dataset)
    ]


def production(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Break-even, restarts, memory and the ladder of capture sizes, per data set."""
    heading = "What should I set?"
    if not index.main:
        none: list[Block] = [Paragraph(("There is no data set to advise from.",))]
        return Section("production", "What to set", heading, none)
    on = [d.name for d in index.main if advise(index, d.name).action == "on"]
    lines: list[Line] = []
    if on:
        lines.append(
            say(
                "{what} At every batch size measured, the whole interval shows a gain ({names}).",
                what=Strong(("Leave graphs on.",)),
                names=titles(index, on, "; "),
            )
        )
    lines += [advice_sentence(index, d.name) for d in index.main if d.name not in on]
    lines += _upgrades(index)
    blocks: list[Block] = [Bullets(lines[: LISTED + 1])]
    if len(lines) > LISTED + 1:
        blocks.append(Fold(("The other data sets",), [Bullets(lines[LISTED + 1 :])]))
    blocks += start_costs(index) + break_even(index)
    per_set = [row for d in index.main if (row := _ladder_row(index, d.name))]
    if per_set:
        columns = [
            "data set",
            "KV cache lost",
            "one more graph",
            "capture sizes that would do",
            "would save at every start",
        ]
        ladders = table(("What fewer capture sizes would save",), columns, per_set)
        below: list[Block] = [ladders, Paragraph((_LADDER,), small=True)]
        blocks += [Fold(ladders.caption, below)] if len(per_set) > LISTED else below
    return Section("production", "What to set", heading, blocks)


_LADDER = (
    "KV cache lost: requests of the full length that no longer fit. Capture sizes that would do: "
    "of all lists of the configured length, the one that pads the configured mix of batch sizes "
    "least. It was computed, not measured."
)


def _upgrades(index: Index) -> Iterator[Line]:
    """One version of vLLM over another, where that was measured."""
    for dataset in having(index, "upgrade"):
        numbers = ratios(index, dataset.name, "upgrade")
        if sides := contrast_of_role(index, dataset.name, "upgrade"):
            yield say(
                "{name}: {new} runs at {x} the speed of {old} at batch {size}.",
                name=title(index, dataset),
                new=Code(sides.numerator),
                old=Code(sides.denominator),
                x=noted(index, numbers[min(numbers)]),
                size=batch(min(numbers)),
            )


def _ladder_row(index: Index, dataset: str) -> list[Line]:
    known = [value_at(index, dataset, of()) for of in (KV_REQUESTS_LOST, CAPTURE_S_PER_GRAPH)]
    if not any(known):
        return []
    best, default = (value_at(index, dataset, LADDER_GRAPHS(ladder=x)) for x in ("best", "default"))
    saved = value_at(index, dataset, LADDER_SAVED_S())
    sizes = NONE
    if best and default and saved:
        sizes = say("{a} instead of {b}", a=noted(index, best), b=noted(index, default))
    cells = [cell(index, number) for number in known]
    return [(title(index, dataset),), *cells, sizes, cell(index, saved)]
