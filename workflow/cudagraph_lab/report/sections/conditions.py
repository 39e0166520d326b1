"""Under which conditions the data sets were measured, and what was noted then."""

from cudagraph_lab.ledger.index import Index
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Exempt, Line, Time, join, say
from cudagraph_lab.report.numbers import arm_repeats, fact
from cudagraph_lab.report.phrases import NONE, table, title, titles
from cudagraph_lab.report.view import Block, Bullets, Fold, Table

WARNINGS = 40  # of one page; all of them are in the ledger
KINDS = {"measured": "measured", "transcribed": "published", "simulated": "SIMULATED"}


def conditions(index: Index) -> Table:
    """A row for each data set: device, repeats, when and with which vLLM."""
    columns = ["data set", "device", "how", "repeats × calls", "when", "vLLM"]
    return table(("The conditions",), columns, map(_row, index.main))


def _row(dataset: Dataset) -> list[Line]:
    timed = {a: f.repeats for a, f in dataset.arms.items() if f.repeats and f.purpose == "timed"}
    counted = NONE
    if timed:
        ends = min(timed, key=timed.__getitem__), max(timed, key=timed.__getitem__)
        few, many = (arm_repeats(dataset.name, arm, timed[arm]) for arm in ends)
        span: Line = (few,) if few.text == many.text else say("{a} to {b}", a=few, b=many)
        calls = fact(dataset.name, "iterations", dataset.iterations)
        counted = say("{span} × {calls}", span=span, calls=calls)
    when: Line = ("not recorded",)
    if dataset.first_measured_at and dataset.minutes is not None:
        when = say(
            "{day}, within {minutes} min",
            day=Time(dataset.first_measured_at, day=True),
            minutes=fact(dataset.name, "minutes", round(dataset.minutes)),
        )
    return [
        (Exempt(dataset.title),),
        (Exempt(dataset.device),),
        (KINDS[dataset.kind],),
        counted,
        when,
        (Exempt(", ".join(dataset.versions) or dataset.vllm or "not recorded"),),
    ]


def notes_and_warnings(index: Index) -> list[Block]:
    """Notes, the order of the arms, and warnings, each folded."""
    notes = [
        say("{name}: {text}", name=title(index, d), text=prose(note))
        for d in index.main
        for note in d.notes
    ]
    orders = [
        say(
            "{name}: {arms}",
            name=title(index, d),
            arms=join([Code(arm) for arm in arms], " → "),
        )
        for d in index.main
        for arms in d.order[:10]
    ]
    warnings = [
        say("{name}, {arm}: {text}", name=title(index, d), arm=Code(arm), text=Exempt(text))
        for d in index.main
        for arm, facts in d.arms.items()
        for text in facts.warnings
    ]
    if len(warnings) > WARNINGS:
        more = say("and more; all are in {file}", file=Code("results/ledger.json", file=True))
        warnings = [*warnings[:WARNINGS], more]
    unknown = [d for d in index.main if not d.order]
    if unknown:
        names = titles(index, unknown)
        orders.append(say("{names}: the order of the runs is not known.", names=names))
    folds = (
        ("Notes on the data sets", notes),
        ("The order in which the arms ran, a line per repeat", orders),
        ("Warnings: runs that failed, and calls that were not steady", warnings),
    )
    return [Fold((words,), [Bullets(lines)]) for words, lines in folds if lines]


def prose(text: str) -> Line:
    """Text of a record in which backticks enclose names."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return (Exempt(text),)
    return tuple(
        Code(piece) if place % 2 else Exempt(piece) for place, piece in enumerate(pieces) if piece
    )
