"""What speaks for the numbers, and against them."""

from cudagraph_lab.engine.graph_modes import asks_for_graphs
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    OUTPUTS_DIFFERING,
    REPLAYED_SHARE,
    SPREAD_BETWEEN,
    SPREAD_NODES,
)
from cudagraph_lab.ledger.index import Index, having, ratios, short_title, with_quantity
from cudagraph_lab.ledger.selection import differs_from_itself
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, Time, join, say
from cudagraph_lab.report.numbers import arm_repeats, batch, batches, fact, noted
from cudagraph_lab.report.sections.raw_calls import raw_calls
from cudagraph_lab.report.sections.residence import co_residence
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Row, Section, Table

LISTED = 4  # data sets that stand open; the others are folded
WARNINGS = 40  # of one page; all of them are in the ledger
KINDS = {"measured": "measured", "transcribed": "published", "simulated": "SIMULATED"}


def trust(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Resolution, proof of replay, order, conditions, failures."""
    heading = "Can I trust it?"
    datasets = index.main
    if not datasets:
        none: list[Block] = [Paragraph(("There is nothing to trust or to doubt: no data set.",))]
        return Section("trust", "Trust", heading, none)
    blocks: list[Block] = [
        Paragraph(
            (
                Strong(("How small an effect could be seen?",)),
                " An arm against itself should come out at one. What lies inside its interval "
                "cannot be told from noise",
                "; the first picture shows it in grey." if having(index, "a_a") else ".",
            )
        ),
        Bullets(_resolution(index)),
        *raw_calls(index),
        Paragraph((Strong(("What was checked:",)),)),
        Bullets(_spread(index) + _replay(index) + _outputs(index) + co_residence(index)),
    ]
    alike: dict[str, list[Line]] = {}
    for d in datasets:
        if d.caveat:
            alike.setdefault(d.caveat, []).append((Exempt(short_title(index, d)),))
    caveats = [
        say("{names}: {text}", names=Strong(join(names, "; ", "; ")), text=_prose(text))
        for text, names in alike.items()
    ]
    simulated = [
        say(
            "{name}: simulated, not measured. Every number of it comes from a program.",
            name=Strong((Exempt(short_title(index, d)),)),
        )
        for d in datasets
        if d.kind == "simulated"
    ]
    lacking = [line for d in datasets for line in _lacking(index, d)]
    for words, lines in (
        ("Know before you believe a number:", simulated + caveats),
        ("Arms without numbers:", lacking),
    ):
        if lines:
            rest = lines[2 * LISTED :]
            blocks += [Paragraph((words,)), Bullets(lines[: 2 * LISTED])]
            blocks += [Fold(("More of them",), [Bullets(rest)])] if rest else []
    table = Table(
        ("The conditions",),
        ["data set", "device", "how", "repeats × calls", "when", "vLLM"],
        [_conditions(index, d) for d in datasets],
    )
    blocks.append(Fold(table.caption, [table]) if len(datasets) > LISTED + 1 else table)
    blocks += _folded(index)
    return Section("trust", "Trust", heading, blocks)


def _resolution(index: Index) -> list[Line]:
    lines: list[Line] = []
    for dataset in having(index, "a_a"):
        numbers = ratios(index, dataset.name, "a_a")
        widest = max(numbers, key=lambda size: _width(numbers[size]))
        name = Exempt(short_title(index, dataset))
        apart = differs_from_itself(index, dataset.name)
        text = say(
            "{name}: {x} at batch {size}, where it is least precise.",
            name=name,
            size=batch(widest),
            x=noted(index, numbers[widest]),
        )
        if apart:
            text = (
                *text,
                *say(
                    " At batch {at} the arm differs from itself by more than chance, so doubt "
                    "the numbers of that batch size.",
                    at=batches(apart),
                ),
            )
        lines.append(text)
    without = [d for d in index.main if d not in having(index, "a_a")]
    if without:
        names = join([(Exempt(short_title(index, d)),) for d in without])
        lines.append(
            say("{names}: no arm was run against itself, so the noise is not known.", names=names)
        )
    return lines


def _width(number: Number) -> float:
    if number.low is None or number.high is None or number.low <= 0:
        return 0.0
    return number.high / number.low


def _replay(index: Index) -> list[Line]:
    """The least share of steps replayed where graphs were asked for, the most where not."""
    asked: list[Number] = []
    unasked: list[Number] = []
    for dataset in index.main:
        for number in with_quantity(index, dataset.name, REPLAYED_SHARE):
            arm = dataset.arms.get(str(number.id.arm))
            if arm is None or arm.purpose != "timed":
                continue
            if "FULL" in (arm.resolved or ""):
                asked.append(number)
            elif asks_for_graphs(arm.engine_args, arm.vllm) == "no":
                unasked.append(number)
    lines: list[Line] = []
    if asked:
        least = min(asked, key=lambda n: float(n.value or 0))
        lines.append(
            say(
                "{what} vLLM reports the mode of every step. The arm with full graphs that "
                "replayed them least did so in {x} of its steps ({arm}, {name}).",
                what=Strong(("Were graphs really replayed?",)),
                x=noted(index, least),
                arm=Code(str(least.id.arm)),
                name=Exempt(short_title(index, index.datasets[least.dataset])),
            )
        )
    if unasked:
        most = max(unasked, key=lambda n: float(n.value or 0))
        lines.append(
            say(
                "The arm without graphs that replayed them most did so in {x} of its steps.",
                x=noted(index, most),
            )
        )
    return lines or [("Whether graphs were really replayed was not observed.",)]


def _spread(index: Index) -> list[Line]:
    """How far repeats differ at most, and nodes where there were several."""
    lines: list[Line] = []
    for quantity, words in (
        (SPREAD_BETWEEN, "Repeats of one arm"),
        (SPREAD_NODES, "The means of an arm on different devices or machines"),
    ):
        largest: list[Line] = []
        for dataset in index.main:
            numbers = with_quantity(index, dataset.name, quantity)
            if numbers:
                most = max(numbers, key=lambda n: float(n.value or 0))
                name = Exempt(short_title(index, dataset))
                largest.append(say("{x} ({name})", x=noted(index, most, interval=False), name=name))
        if largest:
            lines.append(
                say(
                    "{what} differ, in the arm and batch size where they differ most, by {all}.",
                    what=Strong((words,)),
                    all=join(largest[:LISTED], ", "),
                )
            )
    return lines


def _outputs(index: Index) -> list[Line]:
    numbers = [n for d in index.main for n in with_quantity(index, d.name, OUTPUTS_DIFFERING)]
    if not numbers:
        return []
    worst = max(numbers, key=lambda n: float(n.value or 0))
    note = worst.note or ""
    if not worst.value:
        return [
            say(
                "{what} Yes, in every data set and at every batch size. With random weights "
                "that is weak evidence ({note}).",
                what=Strong(("Do all arms write the same tokens?",)),
                note=Exempt(note),
            )
        ]
    return [
        say(
            "{what} No: {x} differ at batch {size} on {name}.",
            what=Strong(("Do all arms write the same tokens?",)),
            x=noted(index, worst),
            size=batch(int(worst.id.batch)),
            name=Exempt(short_title(index, index.datasets[worst.dataset])),
        )
    ]


def _lacking(index: Index, dataset: Dataset) -> list[Line]:
    return [
        say(
            "{name}, {arm}: {status}{why}.",
            name=Exempt(short_title(index, dataset)),
            arm=Code(arm),
            status=Strong((Exempt(facts.status.replace("_", " ")),)),
            why=say(", {reason}", reason=Exempt(facts.reason)) if facts.reason else (),
        )
        for arm, facts in dataset.arms.items()
        if facts.status != "ok"
    ]


def _conditions(index: Index, dataset: Dataset) -> Row:
    timed = {
        arm: f.repeats for arm, f in dataset.arms.items() if f.repeats and f.purpose == "timed"
    }
    least, most = (
        (min(timed, key=timed.__getitem__), max(timed, key=timed.__getitem__))
        if timed
        else ("", "")
    )
    counted: Line = ("–",)
    if timed:
        few = arm_repeats(dataset.name, least, timed[least])
        many = arm_repeats(dataset.name, most, timed[most])
        span: Line = (few,) if timed[least] == timed[most] else say("{a} to {b}", a=few, b=many)
        counted = say(
            "{span} × {calls}",
            span=span,
            calls=fact(dataset.name, "iterations", dataset.iterations),
        )
    when: Line = ("not recorded",)
    if dataset.first_measured_at and dataset.minutes is not None:
        when = say(
            "{day}, within {minutes} min",
            day=Time(dataset.first_measured_at, day=True),
            minutes=fact(dataset.name, "minutes", round(dataset.minutes)),
        )
    cells: list[Line] = [
        (Exempt(dataset.title),),
        (Exempt(dataset.device),),
        (KINDS[dataset.kind],),
        counted,
        when,
        (Exempt(", ".join(dataset.versions) or dataset.vllm or "not recorded"),),
    ]
    return Row(cells)


def _folded(index: Index) -> list[Block]:
    notes = [
        say("{name}: {text}", name=Exempt(short_title(index, d)), text=_prose(note))
        for d in index.main
        for note in d.notes
    ]
    orders = [
        say(
            "{name}: {arms}",
            name=Exempt(short_title(index, d)),
            arms=join([(Code(arm),) for arm in arms], " → ", " → "),
        )
        for d in index.main
        for arms in d.order[:10]
    ]
    warnings = [
        say(
            "{name}, {arm}: {text}",
            name=Exempt(short_title(index, d)),
            arm=Code(arm),
            text=Exempt(text),
        )
        for d in index.main
        for arm, facts in d.arms.items()
        for text in facts.warnings
    ]
    if len(warnings) > WARNINGS:
        more = say("and more; all are in {file}", file=Code("results/ledger.json", file=True))
        warnings = [*warnings[:WARNINGS], more]
    unknown = [d for d in index.main if not d.order]
    if unknown:
        names = join([(Exempt(short_title(index, d)),) for d in unknown])
        orders.append(say("{names}: the order of the runs is not known.", names=names))
    folds = (
        ("Notes on the data sets", notes),
        ("The order in which the arms ran, a line per repeat", orders),
        ("Warnings: runs that failed, and calls that were not steady", warnings),
    )
    return [Fold((words,), [Bullets(lines)]) for words, lines in folds if lines]


def _prose(text: str) -> Line:
    """Text of a record in which backticks enclose names."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return (Exempt(text),)
    return tuple(
        Code(piece) if place % 2 else Exempt(piece) for place, piece in enumerate(pieces) if piece
    )
