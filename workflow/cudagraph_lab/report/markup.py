"""What a sentence is made of, and the one way to mark it up.

A sentence is a `Line`: plain words and pieces. Digits of a result stand in a `Datum`, which
says where in the ledger they come from; digits of a name, a record or the configuration stand
in an `Exempt` or a `Code`. `html`, `plain` and `words` write a line for the page, for Markdown and
as text alone.
"""

import html as escaping
import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

from cudagraph_lab.ledger.verdicts import WORDINGS, Verdict, style_name


@dataclass(frozen=True)
class Datum:
    """Digits of a result, and where they come from; an attribute may be a bare word."""

    text: str
    attributes: tuple[tuple[str, str], ...]

    def html(self) -> Markup:
        """The digits with their origin as attributes."""
        pairs = "".join(
            f" {key}={_attribute(value)}" if value else f" {key}" for key, value in self.attributes
        )
        return Markup(f"<var{pairs}>{escape(self.text)}</var>")  # noqa: S704

    def plain(self) -> str:
        """The digits."""
        return escape_markdown(self.text)


@dataclass(frozen=True)
class Exempt:
    """Words from a record or the configuration; `why` says which: said, batch or level."""

    text: str
    why: str = "said"

    def html(self) -> Markup:
        """The words, marked where they hold digits."""
        if not re.search(r"\d", self.text):
            return escape(clean(self.text))
        why = "" if self.why == "said" else f"={self.why}"
        return Markup(f"<span data-why{why}>{{}}</span>").format(clean(self.text))  # noqa: S704

    def plain(self) -> str:
        """The words."""
        return escape_markdown(self.text)


@dataclass(frozen=True)
class Code:
    """A name, an argument or a command. `file` says that it is a file of the project."""

    text: str
    file: bool = False

    def html(self) -> Markup:
        """As code; a file says that it is one."""
        if self.file:
            return Markup("<code data-file>{0}</code>").format(clean(self.text))
        return Markup("<code>{}</code>").format(clean(self.text))

    def plain(self) -> str:
        """As code, also in a table's cell."""
        inside = clean(self.text).replace("`", "'").replace("|", "\\|")
        return f"`{inside}`"


@dataclass(frozen=True)
class RowId:
    """The id of the number that a row is about; the row's own `id` says it to scripts."""

    text: str

    def html(self) -> Markup:
        """The id without marks: a page has thousands, and the style sheet sets them as code."""
        return escape(self.text)

    def plain(self) -> str:
        """The id as code."""
        return Code(self.text).plain()


@dataclass(frozen=True)
class Time:
    """A moment, as ISO 8601 writes it; `day` shows no more than the day."""

    text: str
    day: bool = False

    def html(self) -> Markup:
        """The moment to read, and as machines read it."""
        return Markup('<time datetime="{}">{}</time>').format(self.text, self.plain())

    def plain(self) -> str:
        """The moment to read."""
        if self.day:
            return self.text.partition("T")[0]
        return self.text.replace("T", " ").removesuffix("+00:00") + " UTC"


@dataclass(frozen=True)
class Chip:
    """A verdict."""

    verdict: Verdict

    def html(self) -> Markup:
        """The verdict's word on its colour."""
        return Markup("<b class={}>{}</b>").format(
            style_name(self.verdict), WORDINGS[self.verdict].words
        )

    def plain(self) -> str:
        """The verdict's sign and word."""
        return f"{WORDINGS[self.verdict].sign} {WORDINGS[self.verdict].words}"


@dataclass(frozen=True)
class Strong:
    """What stands out."""

    line: "Line"

    def html(self) -> Markup:
        """The line, set off."""
        return Markup("<strong>{}</strong>").format(html(self.line))

    def plain(self) -> str:
        """The line, set off."""
        return f"**{plain(self.line)}**"


@dataclass(frozen=True)
class Link:
    """A link to a place on the page; a quiet one looks like the text around it."""

    anchor: str
    line: "Line"
    quiet: bool = False

    def html(self) -> Markup:
        """The line as a link."""
        look = " class=bare" if self.quiet else ""
        address = _attribute(f"#{self.anchor}")
        return Markup(f"<a{look} href={address}>{html(self.line)}</a>")  # noqa: S704

    def plain(self) -> str:
        """The line; Markdown has no such places."""
        return plain(self.line)


@dataclass(frozen=True)
class About:
    """The data set and id that the parts inside are of."""

    dataset: str
    number: str
    line: "Line"

    def html(self) -> Markup:
        """The line, which names its number to scripts."""
        names = f"data-dataset={_attribute(self.dataset)} data-id={_attribute(self.number)}"
        return Markup(f"<span {names}>") + html(self.line) + Markup("</span>")  # noqa: S704

    def plain(self) -> str:
        """The line."""
        return plain(self.line)


@dataclass(frozen=True)
class Predicted:
    """The prediction that the parts inside are of; where it is "", its name stands inside."""

    prediction: str
    line: "Line"

    def html(self) -> Markup:
        """The line, which names its prediction to scripts."""
        named = f"={_attribute(self.prediction)}" if self.prediction else ""
        name = f"data-prediction{named}"
        return Markup(f"<span {name}>") + html(self.line) + Markup("</span>")  # noqa: S704

    def plain(self) -> str:
        """The line."""
        return plain(self.line)


@dataclass(frozen=True)
class Noted:
    """A number with a mark that opens what is known of it: predictions, verdicts, repeats."""

    line: "Line"
    verdict: Verdict  # the mark
    note: tuple["Line", ...]

    def html(self) -> Markup:
        """The number, its mark and, hidden until asked for, the note."""
        note = Markup("").join(Markup("<span>{}</span>").format(html(one)) for one in self.note)
        return Markup(
            '<span class="num">{}\N{WORD JOINER}<span class="mark {}" tabindex="0" role="img" '
            'aria-label="{}; details follow">{}</span><span class="note">{}</span></span>'
        ).format(
            html(self.line),
            style_name(self.verdict),
            WORDINGS[self.verdict].words,
            WORDINGS[self.verdict].sign,
            note,
        )

    def plain(self) -> str:
        """The number and its verdict's sign, without the note."""
        return f"{plain(self.line)} {WORDINGS[self.verdict].sign}"


Piece = (
    str | Datum | Exempt | Code | RowId | Time | Chip | Strong | Link | About | Predicted | Noted
)
Line = tuple[Piece, ...]


def _attribute(value: str) -> str:
    """An attribute's value, in quotes where HTML needs them: a page has ten thousand of them."""
    return value if re.fullmatch(r"[\w.%:/+#-]+", value) else f'"{escape(value)}"'


def anchor(*parts: str) -> str:
    """A name for a place on the page: different for different parts, whatever stands in them."""
    return ":".join(quote(part, safe="/._-") for part in parts)


def say(template: str, **pieces: Piece | Line) -> Line:
    """A sentence from a template whose {names} are pieces or lines."""
    line: list[Piece] = []
    for words, name, _, _ in string.Formatter().parse(template):
        if words:
            line.append(words)
        if name is not None:
            piece = pieces[name]
            line += piece if isinstance(piece, tuple) else (piece,)
    return tuple(line)


def join(
    parts: Sequence[Piece | Line], between: str | None = None, last: str | None = None
) -> Line:
    """Pieces or lines as an enumeration: a, b and c.

    `between` stands before the last one as well, unless `last` does.
    """
    if last is None:
        last = " and " if between is None else between
    if between is None:
        between = ", "
    joined: list[Piece] = []
    for place, part in enumerate(parts):
        if place:
            joined.append(last if place == len(parts) - 1 else between)
        joined += part if isinstance(part, tuple) else (part,)
    return tuple(joined)


def clean(text: str) -> str:
    """One line without control characters."""
    if not text.isprintable():  # few are not, and a page has tens of thousands
        text = "".join(c if c.isprintable() else " " for c in text)
    return re.sub(r"\s+", " ", text)


def html(line: Iterable[Piece]) -> Markup:
    """A line for the page."""
    return Markup("").join(
        escape(piece) if isinstance(piece, str) else piece.html() for piece in line
    )


def plain(line: Iterable[Piece]) -> str:
    """A line for Markdown: the same words, without the notes."""
    return "".join(
        escape_markdown(piece) if isinstance(piece, str) else piece.plain() for piece in line
    )


def words(line: Iterable[Piece]) -> str:
    """A line as text alone: without Markdown, notes and marks of verdicts."""
    return "".join(
        words(piece.line)
        if isinstance(piece, Strong | Link | About | Predicted | Noted)
        else piece.plain()
        if isinstance(piece, Time | Chip)
        else clean(piece if isinstance(piece, str) else piece.text)
        for piece in line
    )


def escape_markdown(text: str) -> str:
    """Text that stands for itself in Markdown, also in a table's cell."""
    text = escaping.escape(clean(text), quote=False)
    text = re.sub(r"([\\|`*\[\]~])", r"\\\1", text)
    # An underscore inside a word is an underscore; elsewhere it begins emphasis.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
