"""What graphs cost at start-up, and what to do about it."""

from cudagraph_lab.figures.catalogue import Drawing
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
    ratios,
    short_title,
    value_at,
)
from cudagraph_lab.ledger.selection import arms_shown, cold_arms
from cudagraph_lab.report.advice import advice_sentence, advise
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.sections.payoff import LISTED, break_even, cell, start_costs
from cudagraph_lab.report.sections.sized_starts import sized_starts
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Picture, Row, Section, Table


def startup(index: Index, drawings: dict[str, Drawing]) -> Section:
    """A timeline per arm, and the seconds, GiB and tokens behind it."""
    lines = [line for d in index.main for line in _startup_lines(index, d.name)]
    beside: list[Block] = [Bullets(lines)] if lines else []
    blocks: list[Block] = [Picture(drawings["start-up"], heading=False, beside=beside)]
    blocks += sized_starts(index)
    rows = [row for d in index.main for row in _startup_rows(index, d.name)]
    if rows:
        columns = ["arm", "import", "boot", "of which compiling", "of which capture", "KV cache"]
        caption: Line = ("The phases of start-up, by arm",)
        blocks.append(Fold(("The seconds behind the bars",), [Table(caption, columns, rows)]))
    return Section("startup", "Start-up", drawings["start-up"].title, blocks)


def _startup_lines(index: Index, dataset: str) -> list[Line]:
    name = Strong((Exempt(short_title(index, index.datasets[dataset])),))
    pair = contrast_of_role(index, dataset, "primary")
    lines: list[Line] = []
    if pair is not None:
        boots = [
            value_at(index, dataset, STARTUP(phase="boot", arm=arm))
            for arm in (pair[1].numerator, pair[1].denominator)
        ]
        before = value_at(index, dataset, STARTUP(phase="import", arm=pair[1].numerator))
        if boots[0] and boots[1]:
            lines.append(
                say(
                    "{name}: the engine boots in {graphs} with {a}, in {eager} with {b}."
                    "{cold}{before}",
                    name=name,
                    graphs=noted(index, boots[0]),
                    eager=noted(index, boots[1]),
                    a=Code(pair[1].numerator),
                    b=Code(pair[1].denominator),
                    cold=_cold(index, dataset),
                    before=say(
                        " Importing Python packages takes {x} before that, in any arm.",
                        x=noted(index, before),
                    )
                    if before
                    else (),
                )
            )
    seconds, memory = (value_at(index, dataset, q()) for q in (CAPTURE_S, CAPTURE_GIB))
    shapes = [value_at(index, dataset, q()) for q in (SHAPES_PIECEWISE, SHAPES_FULL)]
    lost = value_at(index, dataset, KV_TOKENS_LOST())
    if seconds:
        lines.append(
            say(
                "{name}: capture takes {s}{shapes}{gib}{lost}.",
                name=name,
                s=noted(index, seconds),
                shapes=say(
                    ", for {a} piecewise and {b} in full",
                    a=noted(index, shapes[0]),
                    b=noted(index, shapes[1]),
                )
                if shapes[0] and shapes[1]
                else (),
                gib=say("; the graphs take {m}", m=noted(index, memory)) if memory else (),
                lost=say("; the KV cache loses {t}", t=noted(index, lost)) if lost else (),
            )
        )
    return lines


def _cold(index: Index, dataset: str) -> Line:
    """What starts from nothing cached cost, where such an arm was run."""
    cold = [
        n
        for arm in cold_arms(index, dataset)
        if (n := value_at(index, dataset, STARTUP(phase="boot", arm=arm)))
    ]
    if cold:
        return say(" With nothing cached it takes {x}.", x=noted(index, cold[0]))
    compiling = [value_at(index, dataset, q()) for q in (COMPILE_COLD_S, COMPILE_WARM_S)]
    if compiling[0] and compiling[1]:
        return say(
            " With an empty cache compilation takes {a} instead of {b}.",
            a=noted(index, compiling[0]),
            b=noted(index, compiling[1]),
        )
    return ()


def _startup_rows(index: Index, dataset: str) -> list[Row]:
    rows = []
    for arm in arms_shown(index, dataset):
        compiling = [
            say("{x} {words}", x=noted(index, n), words=words)
            for phase, words in (("compile_cold", "cold"), ("compile_warm", "warm"))
            if (n := value_at(index, dataset, STARTUP(phase=phase, arm=arm)))
        ]
        cells: list[Line] = [
            say(
                "{name}, {arm}",
                name=Exempt(short_title(index, index.datasets[dataset])),
                arm=Code(arm),
            ),
            cell(index, value_at(index, dataset, STARTUP(phase="import", arm=arm))),
            cell(index, value_at(index, dataset, STARTUP(phase="boot", arm=arm))),
            join(compiling) or ("–",),
            cell(index, value_at(index, dataset, STARTUP(phase="capture", arm=arm))),
            cell(index, value_at(index, dataset, KV_TOKENS(arm=arm))),
        ]
        rows.append(Row(cells))
    return rows


def production(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Break-even, restarts, memory and the ladder of capture sizes, per data set."""
    heading = "What should I set?"
    if not index.main:
        none: list[Block] = [Paragraph(("There is no data set to advise from.",))]
        return Section("production", "What to set", heading, none)
    on = [d.name for d in index.main if advise(index, d.name).action == "on"]
    lines: list[Line] = []
    if on:
        names = join([(Exempt(short_title(index, index.datasets[n])),) for n in on], "; ", "; ")
        lines.append(
            say(
                "{what} At every batch size measured, the whole interval shows a gain ({names}).",
                what=Strong(("Leave graphs on.",)),
                names=names,
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
        table = Table(("What fewer capture sizes would save",), columns, per_set)
        note = Paragraph((_LADDER,), small=True)
        blocks += [Fold(table.caption, [table, note])] if len(per_set) > LISTED else [table, note]
    return Section("production", "What to set", heading, blocks)


_LADDER = (
    "KV cache lost: requests of the full length that no longer fit. Capture sizes that would do: "
    "of all lists of the configured length, the one that pads the configured mix of batch sizes "
    "least. It was computed, not measured."
)


def _upgrades(index: Index) -> list[Line]:
    """One version of vLLM over another, where that was measured."""
    lines = []
    for dataset in having(index, "upgrade"):
        numbers = ratios(index, dataset.name, "upgrade")
        pair = contrast_of_role(index, dataset.name, "upgrade")
        if pair:
            lines.append(
                say(
                    "{name}: {new} runs at {x} the speed of {old} at batch {size}.",
                    name=Exempt(short_title(index, dataset)),
                    new=Code(pair[1].numerator),
                    old=Code(pair[1].denominator),
                    x=noted(index, numbers[min(numbers)]),
                    size=batch(min(numbers)),
                )
            )
    return lines


def _ladder_row(index: Index, dataset: str) -> Row | None:
    known = [value_at(index, dataset, of()) for of in (KV_REQUESTS_LOST, CAPTURE_S_PER_GRAPH)]
    if not any(known):
        return None
    best, default = (value_at(index, dataset, LADDER_GRAPHS(ladder=x)) for x in ("best", "default"))
    saved = value_at(index, dataset, LADDER_SAVED_S())
    sizes: Line = ("–",)
    if best and default and saved:
        sizes = say("{a} instead of {b}", a=noted(index, best), b=noted(index, default))
    return Row(
        [
            (Exempt(short_title(index, index.datasets[dataset])),),
            *(cell(index, number) for number in known),
            sizes,
            cell(index, saved),
        ]
    )
