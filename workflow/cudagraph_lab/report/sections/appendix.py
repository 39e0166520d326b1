"""Every number, and what it was made from: arms, files and functions."""

from itertools import pairwise
from pathlib import Path

from cudagraph_lab import REPOSITORY
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import Index, has_value
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import (
    Chip,
    Code,
    Exempt,
    Line,
    Link,
    Piece,
    RowId,
    clean,
    join,
    say,
)
from cudagraph_lab.report.numbers import (
    arm_repeats,
    named_bounds,
    repeats,
    row_anchor,
    runs_anchor,
    value,
)
from cudagraph_lab.report.phrases import NONE, key, table
from cudagraph_lab.report.sections.size_cells import SECTION, has_cell
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Row, Section, Table

FILES_NAMED = 2  # of more only the first and last of each unbroken row are named
ARMS_NAMED = 2


def appendix(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Every number, and the runs that it was made from."""
    blocks: list[Block] = [
        Paragraph(
            (
                "All that the ledger holds, in full: values, repeats, predictions with their "
                "verdicts, and the arms that a number was made from where it is more than the arm "
                "that it names. What the forecasts over model sizes said stands under “Sizes”.",
            )
        )
    ]
    for name in index.groups:
        title = Exempt(index.datasets[name].title if name in index.datasets else name)
        numbers = [n for n in index.ledger.numbers if n.dataset == name]
        rows = [_row(index, n) for n in numbers if has_value(n)]
        inside: list[Block] = []
        if rows:
            columns = ["number", "value", "n", "predicted", "made from"]
            caption = say("Numbers of {title}", title=title)
            inside.append(Table(caption, columns, rows, dataset=name))
        inside += _missing([n for n in numbers if not has_value(n)])
        if name in index.datasets:
            inside.append(_runs(index, index.datasets[name]))
        if inside:
            blocks.append(Fold(say("All numbers and runs of {title}", title=title), inside))
    if index.ledger.numbers:
        blocks.append(Fold(("What computes each kind of number",), [_computed(index)]))
    return Section("appendix", "All numbers", "Every number", blocks)


def _computed(index: Index) -> Table:
    """The functions behind each quantity of the page."""
    quantities = dict.fromkeys(number.id.quantity for number in index.ledger.numbers)
    kinds = dict.fromkeys((q.label, q.unit, q.better, q.computed_by) for q in quantities)
    rows: list[list[Line]] = [
        [
            (Exempt(label, "label"),),
            (unit,),
            (better or "–",),
            join([Code(name) for name in functions]),
        ]
        for label, unit, better, functions in kinds
    ]
    caption = say(
        "Functions of {package}, in the order in which they are called",
        package=Code("cudagraph_lab"),
    )
    return table(caption, ["number", "unit", "better", "computed by"], rows)


def _row(index: Index, number: Number) -> Row:
    predicted = [
        say(
            "{b}: {chip}",
            b=(Link(SECTION, ("forecast",)),)
            if has_cell(index, number, p)
            else named_bounds(number, p, about=False),
            chip=Chip(p.verdict),
        )
        for p in number.predictions
    ]
    cells: list[Line] = [
        (RowId(str(number.id)),),
        value(number, about=False),
        repeats(number, about=False) if number.n else NONE,
        join(predicted, "; ") or NONE,
        _made_from(index, number),
    ]
    return Row(cells, row_anchor(index, number))


def _made_from(index: Index, number: Number) -> Line:
    arms = dict.fromkeys(index.arm_of_file.get(file) for file in number.files)
    if list(arms) == [(number.dataset, number.id.arm)]:
        return ("",)
    links: list[Piece] = [
        Link(runs_anchor(index, *arm), (key(arm[1]),)) for arm in arms if arm is not None
    ]
    others = [file for file in number.files if file not in index.arm_of_file]
    links += [Code(shown(file), file=True) for file in dict.fromkeys(others)]
    if len(links) > ARMS_NAMED:
        links = [*links[:ARMS_NAMED], "others"]
    return join(links) or NONE


def _missing(numbers: list[Number]) -> list[Block]:
    """Numbers without a value, by reason: they have nothing else to say."""
    reasons: dict[str, list[Line]] = {}
    for number in numbers:
        reasons.setdefault(number.missing or "no reason is given", []).append(_unmeasured(number))
    lines = [say("{why}: {ids}.", why=Exempt(why), ids=join(ids)) for why, ids in reasons.items()]
    return [Paragraph(("Not measured, and why:",)), Bullets(lines)] if lines else []


def _unmeasured(number: Number) -> Line:
    predicted = [named_bounds(number, judged) for judged in number.predictions]
    name: Line = (Code(str(number.id)),)
    return (*name, " (predicted ", *join(predicted), ")") if predicted else name


def _runs(index: Index, dataset: Dataset) -> Table:
    rows = [
        Row(
            [
                (Code(arm),),
                (facts.purpose,),
                (Code(str(facts.engine_args)),) if facts.engine_args else ("defaults",),
                (Exempt(facts.resolved),) if facts.resolved else NONE,
                (arm_repeats(dataset.name, arm, facts.repeats),),
                _files(dataset.files.get(arm, []) + dataset.logs.get(arm, [])),
            ],
            runs_anchor(index, dataset.name, arm),
        )
        for arm, facts in dataset.arms.items()
    ]
    columns = ["arm", "purpose", "engine arguments", "vLLM made of them", "repeats", "files"]
    return Table(say("Runs of {title}", title=Exempt(dataset.title)), columns, rows)


def _files(files: list[str]) -> Line:
    """Files by folder, each by its name; of many, the first and last of each unbroken row."""
    alike: dict[tuple[Path, str], list[Path]] = {}
    for path in (Path(shown(clean(file))) for file in files):
        alike.setdefault((path.parent, path.suffix), []).append(path)
    folders: dict[Path, list[Line]] = {}
    for (folder, _), members in alike.items():
        for span in _spans(sorted(members, key=_repeat), len(members) > FILES_NAMED):
            line = join([Code(str(path), file=True) for path in span], " to ")
            folders.setdefault(folder, []).append(line)
    return join([join(names, ", ") for names in folders.values()], "; ") or NONE


def _repeat(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.stem)) or 0)


def _spans(paths: list[Path], together: bool) -> list[list[Path]]:
    """Each path alone or, if they are to be joined, the ends of each row of repeats."""
    spans = [[paths[0]]]
    for before, after in pairwise(paths):
        if together and _repeat(after) == _repeat(before) + 1:
            spans[-1] = [spans[-1][0], after]
        else:
            spans.append([after])
    return spans


def shown(file: str) -> str:
    """A file as seen from the project, without the machine."""
    path = Path(file)
    if not path.is_absolute():
        return file
    if path.is_relative_to(REPOSITORY):
        return str(path.relative_to(REPOSITORY))
    return str(Path(*path.parts[-5:]))  # results/<data set>/runs/<arm>/<file>
