"""The tables of the report, each ready to be laid out, and the lists that go with them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.verdicts import Verdict
from cudagraph_lab.report.printing import (
    VERDICTS,
    Page,
    anchor_of,
    batch,
    chips,
    count_verdicts,
    find,
    groups,
    has_value,
    in_words,
    is_single,
    label,
    level,
    matching,
    n_of,
    predicted,
    print_number,
    tally,
    title_of,
    value_of,
)

# A prediction of more numbers of a data set than this is folded away on the board.
SPOKEN_OF_FEW = 5


class Drawing(BaseModel):
    """What is said of a figure: its finding in words, and the numbers that it shows.

    A column's heading and a row's are lists of words; a cell is (data set, id of a
    number) or None where the figure shows nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    alt: str
    columns: list[list[str]]
    rows: list[tuple[list[str], list[tuple[str, str] | None]]]


@dataclass(frozen=True)
class Table:
    """A table ready to be laid out; notes are what holds for several of its numbers."""

    columns: list[Markup]
    rows: list[list[Markup]]
    notes: list[Markup]
    single: bool = False  # whether every number in it is one observation
    about: Sequence[tuple[str, str]] = ()  # data set and id of the number that each row is about


def table_of_verdicts(page: Page) -> Table:
    """How many predictions ended how, per data set, and how many of those prove less."""
    columns = [page.form.escape(word) for word in ("", *VERDICTS)]
    rows = []
    for name in groups(page):
        counted = count_verdicts(page, name)
        row = [page.form.exempt(title_of(page, name), "said")]
        for verdict in VERDICTS:
            text = tally(page, name, verdict)
            weaker = [
                Markup("{} {}").format(tally(page, name, f"{verdict} {mark}"), mark)
                for mark in ("in-sample", "post hoc")
                if counted[f"{verdict} {mark}"] and verdict != "not measured"
            ]
            row.append(Markup("{}, of which {}").format(text, in_words(weaker)) if weaker else text)
        rows.append(row)
    return Table(columns, rows, [])


def refuted(page: Page, dataset: str) -> list[Markup]:
    """The refuted predictions of a data set, each once; several numbers missed are counted."""
    pairs = [
        (prediction, number)
        for number in matching(page, dataset, "*")
        for prediction in number.predictions
    ]
    missed = [(p, number) for p, number in pairs if p.verdict == "refuted"]
    items = []
    for name in dict.fromkeys(p.id for p, _ in missed):
        which = [(p, number) for p, number in missed if p.id == name]
        prediction, number = which[0]
        if len(which) == 1:
            what, outcome = label(str(number.id)), value_of(page, number)
        else:
            what = label(str(number.id).rsplit("/", 2)[0])
            counts = {
                "refuted": len(which),
                "all": sum(p.id == name and p.verdict != "not measured" for p, _ in pairs),
            }
            printed = [
                page.form.datum(
                    str(size),
                    {
                        "value": str(size),
                        "data-dataset": dataset,
                        "data-missed": name,
                        "data-of": part,
                    },
                )
                for part, size in counts.items()
            ]
            outcome = Markup("missed by {} of {} numbers").format(*printed)
        items.append(
            Markup("{} ({}): predicted {}, {}").format(
                page.form.exempt(what, "label"),
                page.form.code(name),
                predicted(page, number, prediction),
                outcome if len(which) > 1 else Markup("measured {}").format(outcome),
            )
        )
    return items


def board(page: Page) -> list[tuple[Verdict, Table, Table]]:
    """Every prediction beside its number, per verdict in the order of VERDICTS.

    The first table of a verdict holds the predictions that speak of few numbers, the second
    those that speak of more than SPOKEN_OF_FEW of a data set.
    """
    form = page.form
    columns = ("number", "measured", "predicted", "data set", "n", "by")
    last = {"inconclusive": "to settle it; remarks"}
    said: set[tuple[str, str]] = set()

    def by(prediction: Judged, verdict: str) -> Markup:
        """Who predicted it; why only where it is said for the first time."""
        name = form.code(prediction.id)
        if (verdict, prediction.id) in said:
            return name
        said.add((verdict, prediction.id))
        return Markup("{}: {}").format(name, form.exempt(prediction.source, "said"))

    pairs = [(number, p) for number in page.ledger.numbers for p in number.predictions]
    # A pattern that speaks of many numbers comes after those that speak of one.
    spoken = Counter((number.dataset, p.id) for number, p in pairs)
    places = {dataset.name: place for place, dataset in enumerate(page.ledger.datasets)}
    pairs.sort(
        key=lambda pair: (
            VERDICTS.index(pair[1].verdict),
            spoken[pair[0].dataset, pair[1].id] > SPOKEN_OF_FEW,
            places.get(pair[0].dataset, len(places)),
            spoken[pair[0].dataset, pair[1].id] > 1,
        )
    )
    tables = []
    for verdict, members in groupby(pairs, lambda pair: pair[1].verdict):
        few: list[list[Markup]] = []
        many: list[list[Markup]] = []
        for number, p in members:
            rows = many if spoken[number.dataset, p.id] > SPOKEN_OF_FEW else few
            row = [
                form.target(anchor_of(number, p), form.exempt(label(str(number.id)), "label")),
                value_of(page, number) if has_value(number) else form.escape("–"),
                predicted(page, number, p),
                form.exempt(title_of(page, number.dataset), "said"),
                n_of(page, number) if number.n else form.escape("–"),
                by(p, verdict),
                marks(page, number, p),
            ]
            rows.append(row)
        heads = [form.escape(c) for c in (*columns, last.get(verdict, "remarks"))]
        tables.append((verdict, Table(heads, few, []), Table(heads, many, [])))
    return tables


def marks(page: Page, number: Number, prediction: Judged) -> Markup:
    """What weakens a verdict, or what would settle it."""
    said = []
    if prediction.settle:
        said.append(page.form.exempt(prediction.settle, "said"))
    if prediction.in_sample:
        said.append(page.form.escape("in-sample"))
    if prediction.post_hoc:
        said.append(page.form.escape("post hoc"))
    if number.n == 1 and number.value is not None:
        said.append(page.form.escape("single observation"))
    if number.missing and not has_value(number):
        said.append(page.form.exempt(number.missing, "said"))
    return Markup("; ").join(said)


def grid(
    page: Page,
    dataset: str,
    rows: Sequence[int | str],
    columns: Sequence[tuple[str, str]],
    corner: str,
) -> Table | None:
    """A table of numbers: a row per batch size or arm, a column per (heading, pattern of ids).

    `{}` in a pattern stands for the row, `b8` for a batch size of 8. Rows and columns
    that the ledger does not speak of are left out; None where nothing is left.
    """
    keys = {row: f"b{row}" if isinstance(row, int) else row for row in rows}
    cells = {
        (row, pattern): find(page, dataset, pattern.format(key))
        for row, key in keys.items()
        for _, pattern in columns
    }
    kept_columns = [c for c in columns if any(cells[row, c[1]] is not None for row in rows)]
    kept_rows = [row for row in rows if any(cells[row, c[1]] is not None for c in kept_columns)]
    if not kept_columns or not kept_rows:
        return None
    kept = [number for number in cells.values() if number is not None]
    body = [
        [
            batch(page, row) if isinstance(row, int) else page.form.code(row),
            *(
                _cell(page, cells[row, pattern], mark=not _all_single(kept))
                for _, pattern in kept_columns
            ),
        ]
        for row in kept_rows
    ]
    heads = [page.form.escape(corner), *(page.form.exempt(c, "head") for c, _ in kept_columns)]
    return Table(heads, body, _notes(page, kept), _all_single(kept))


def _all_single(numbers: Sequence[Number]) -> bool:
    known = [number for number in numbers if number.value is not None]
    return bool(known) and all(is_single(number) for number in known)


def _cell(page: Page, number: Number | None, mark: bool = True) -> Markup:
    if number is None:
        return page.form.escape("–")
    if not has_value(number):
        # The verdict says it already where there is one; the reason is in the notes.
        return chips(page, number) or page.form.escape("not measured")
    text = print_number(page, number.dataset, str(number.id), "cell")
    return (
        Markup("{} {}").format(text, page.form.escape("single"))
        if mark and is_single(number)
        else text
    )


def _notes(page: Page, numbers: Sequence[Number]) -> list[Markup]:
    """What the cells of a table leave out: repeats and method, reasons, missing predictions."""
    form = page.form
    notes = []
    ranged = [n for n in numbers if n.low is not None]
    if ranged:
        sizes = {number.n: number for number in sorted(ranged, key=lambda n: n.n)}
        printed = in_words([n_of(page, number) for number in sizes.values()])
        methods = in_words([form.exempt(m, "said") for m in {n.method or "": 0 for n in ranged}])
        notes.append(
            Markup("In brackets: {} intervals over {} repeats ({}).").format(
                level(page), printed, methods
            )
        )
    if any(is_single(number) for number in numbers) and not _all_single(numbers):
        notes.append(form.escape("“single” is one observation; it has no interval."))
    reasons = dict.fromkeys(n.missing for n in numbers if n.missing and not has_value(n))
    if reasons:
        notes.append(
            Markup("Not measured: {}.").format(
                Markup("; ").join(form.exempt(r, "said") for r in reasons)
            )
        )
    for number in numbers:
        if number.note and "in-sample" in number.note:
            notes.append(
                Markup("{}: {}.").format(
                    form.exempt(label(str(number.id)), "label"), form.exempt(number.note, "said")
                )
            )
    bare = [n for n in numbers if not n.predictions and n.value is not None]
    why = dict.fromkeys(n.unpredicted for n in bare if n.unpredicted)
    if bare:
        notes.append(
            Markup("Numbers without a verdict: {}.").format(
                Markup("; ").join(form.exempt(reason, "said") for reason in why)
            )
        )
    return notes


def figure_table(page: Page, drawing: Drawing) -> Table:
    """The numbers that a figure shows."""
    cells = [
        [find(page, *cell) if cell is not None else None for cell in row] for _, row in drawing.rows
    ]
    heads = [
        page.form.escape(""),
        *(
            Markup(", ").join(page.form.exempt(word, "head") for word in words)
            for words in drawing.columns
        ),
    ]
    kept = [number for row in cells for number in row if number is not None]
    rows = [
        [
            Markup(", ").join(page.form.exempt(word, "head") for word in words),
            *(_cell(page, number, mark=not _all_single(kept)) for number in row),
        ]
        for (words, _), row in zip(drawing.rows, cells, strict=True)
    ]
    return Table(heads, rows, _notes(page, kept), _all_single(kept))
