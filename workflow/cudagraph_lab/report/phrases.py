"""What several sections say alike: titles, cells of tables, numbers with their batch size."""

from collections.abc import Iterable, Sequence

from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import STARTUP
from cudagraph_lab.ledger.index import Index, short_title, value_at
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Exempt, Line, join, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.view import Block, Bullets, Row, Table

NONE: Line = ("–",)


def title(index: Index, dataset: str | Dataset) -> Exempt:
    """What tells a data set from the others."""
    facts = index.datasets[dataset] if isinstance(dataset, str) else dataset
    return Exempt(short_title(index, facts))


def titles(index: Index, datasets: Iterable[str | Dataset], between: str | None = None) -> Line:
    """Data sets as an enumeration."""
    return join([title(index, dataset) for dataset in datasets], between)


def key(given: object) -> Exempt:
    """A part of an id, as a label."""
    return Exempt(str(given), "key")


def at_batch(index: Index, number: Number) -> Line:
    """A number and the batch size that it is of."""
    return say("{x} at batch {size}", x=noted(index, number), size=batch(int(number.id.batch)))


def cell(index: Index, number: Number | None) -> Line:
    """A number in a table, or a dash."""
    return NONE if number is None else noted(index, number)


def cell_at(index: Index, dataset: str, number: NumberId) -> Line:
    """The number of a data set in a table, or a dash where it has no value."""
    return cell(index, value_at(index, dataset, number))


def compiling(index: Index, dataset: str, arm: str) -> Line:
    """Seconds of compilation in a start of this arm, with an empty and with a warm cache."""
    lines = [
        say("{x} {words}", x=noted(index, number), words=words)
        for phase, words in (("compile_cold", "cold"), ("compile_warm", "warm"))
        if (number := value_at(index, dataset, STARTUP(phase=phase, arm=arm)))
    ]
    return join(lines) or NONE


def table(caption: Line, columns: Sequence[str], rows: Iterable[Sequence[Line]]) -> Table:
    """A table whose rows are about no single number each."""
    return Table(caption, columns, [Row(cells) for cells in rows])


def bullets(lines: Iterable[Line]) -> list[Block]:
    """A list of these lines; no block where there is none."""
    found = list(lines)
    return [Bullets(found)] if found else []
