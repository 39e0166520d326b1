"""What a page consists of: sections of blocks, ready to be laid out.

Templates loop over these and decide nothing. Every text is a `Line` of
`cudagraph_lab.report.markup`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.report.markup import Line


@dataclass(frozen=True)
class Paragraph:
    """One paragraph."""

    kind: ClassVar[str] = "paragraph"
    line: Line
    small: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list; each line may have a heading of its own."""

    kind: ClassVar[str] = "bullets"
    lines: Sequence[Line]


@dataclass(frozen=True)
class Answers:
    """Short answers, each under a word or two."""

    kind: ClassVar[str] = "answers"
    rows: Sequence[tuple[str, Line]]


@dataclass(frozen=True)
class Picture:
    """A figure, beside it the blocks that say what it shows, and below it those that explain."""

    kind: ClassVar[str] = "picture"
    drawing: Drawing
    heading: bool  # whether the question stands above it; the section's own heading may say it
    beside: Sequence["Block"] = ()
    below: Sequence["Block"] = ()


@dataclass(frozen=True)
class Strips:
    """Small drawings of raw calls, each with its name, its words and its SVG."""

    kind: ClassVar[str] = "strips"
    strips: Sequence[tuple[Line, Line, Markup]]


@dataclass(frozen=True)
class Row:
    """A row of a table: its cells, and the number that it is about where it is about one."""

    cells: Sequence[Line]
    anchor: str = ""
    number: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of each row heads it."""

    kind: ClassVar[str] = "table"
    caption: Line
    columns: Sequence[str]
    rows: Sequence[Row]
    dataset: str = ""  # the data set of the numbers that its rows are about


@dataclass(frozen=True)
class Fold:
    """Blocks that are closed until they are opened."""

    kind: ClassVar[str] = "fold"
    summary: Line
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Scores:
    """Families of claims, a row each; a row unfolds to its single numbers."""

    kind: ClassVar[str] = "scores"
    columns: Sequence[str]
    families: Sequence["Family"]


@dataclass(frozen=True)
class Family:
    """A family of claims: the cells of its row, and a line per number."""

    key: str  # what its counts are of
    cells: Sequence[Line]
    verdict: str  # the name of the style of its row
    lines: Sequence[Line]


@dataclass(frozen=True)
class Commands:
    """Commands to copy, a line each."""

    kind: ClassVar[str] = "commands"
    lines: Sequence[str]


Block = Paragraph | Bullets | Answers | Picture | Strips | Table | Fold | Scores | Commands


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    id: str
    menu: str  # what the menu calls it
    heading: str
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True)
class View:
    """The page: the first section is the answer, the last one the appendix."""

    sections: Sequence[Section]
    short_answer: Sequence[Line]
