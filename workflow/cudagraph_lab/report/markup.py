"""What a sentence is made of, and the one way to mark it up.

A sentence is a `Line`: plain words and pieces. Digits of a result stand in a `Datum`, which
says where in the ledger they come from; digits of a name, a record or the configuration stand
in an `Exempt` or a `Code`. `html` and `plain` write a line for the page and for Markdown.
"""

import html as escaping
import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

from cudagraph_lab.ledger.verdicts import Verdict

SIGNS: dict[Verdict, str] = {
    "confirmed": "✓",
    "refuted": "✗",
    "inconclusive": "?",
    "not measured": "–",
}
# How the page calls a verdict.
WORDS: dict[Verdict, str] = {
    "confirmed": "confirmed",
    "refuted": "refuted",
    "inconclusive": "not settled",
    "not measured": "not measured",
}


@dataclass(frozen=True)
class Datum:
    """Digits of a result, and where they come from."""

    text: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Exempt:
    """Words from a record or the configuration; `why` says which: said, batch or level."""

    text: str
    why: str = "said"


@dataclass(frozen=True)
class Code:
    """A name, an argument or a command. `file` says that it is a file of the project."""

    text: str
    file: bool = False


@dataclass(frozen=True)
class Time:
    """A moment, as ISO 8601 writes it."""

    text: str


@dataclass(frozen=True)
class Chip:
    """A verdict."""

    verdict: Verdict


@dataclass(frozen=True)
class Strong:
    """What stands out."""

    line: "Line"


@dataclass(frozen=True)
class Link:
    """A link to a place on the page."""

    anchor: str
    line: "Line"


@dataclass(frozen=True)
class About:
    """The data set and id that the parts inside are of."""

    dataset: str
    number: str
    line: "Line"


@dataclass(frozen=True)
class Noted:
    """A number with a mark that opens what is known of it: predictions, verdicts, repeats."""

    line: "Line"
    verdict: Verdict | None  # the mark; None where nothing was predicted
    note: tuple["Line", ...]


Piece = str | Datum | Exempt | Code | Time | Chip | Strong | Link | About | Noted
Line = tuple[Piece, ...]


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


def join(lines: Sequence[Line], between: str = ", ", last: str = " and ") -> Line:
    """Lines as an enumeration: a, b and c."""
    joined: list[Piece] = []
    for place, line in enumerate(lines):
        if place:
            joined.append(last if place == len(lines) - 1 else between)
        joined += line
    return tuple(joined)


def clean(text: str) -> str:
    """One line without control characters."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text))


def html(line: Iterable[Piece]) -> Markup:
    """A line for the page."""
    return Markup("").join(_html(piece) for piece in line)


def _html(piece: Piece) -> Markup:
    match piece:
        case str():
            return escape(piece)
        case Datum(text, attributes):
            pairs = " ".join(f'{key}="{escape(value)}"' for key, value in attributes)
            return Markup(f"<data {pairs}>{escape(text)}</data>")  # noqa: S704
        case Exempt(text, why):
            if not re.search(r"\d", text):
                return escape(clean(text))
            return Markup('<span data-why="{}">{}</span>').format(why, clean(text))
        case Code(text, file):
            if file:
                return Markup('<code data-file="{0}">{0}</code>').format(clean(text))
            return Markup("<code>{}</code>").format(clean(text))
        case Time(text):
            return Markup('<time datetime="{}">{}</time>').format(text, _moment(text))
        case Chip(verdict):
            name = verdict.replace(" ", "-")
            return Markup('<span class="chip {}">{}</span>').format(name, WORDS[verdict])
        case Strong(line):
            return Markup("<strong>{}</strong>").format(html(line))
        case Link(target, line):
            return Markup('<a href="#{}">{}</a>').format(target, html(line))
        case About(dataset, number, line):
            return Markup('<span data-dataset="{}" data-id="{}">{}</span>').format(
                dataset, number, html(line)
            )
        case Noted():
            return _noted(piece)


def _noted(piece: Noted) -> Markup:
    note = Markup("").join(Markup("<span>{}</span>").format(html(line)) for line in piece.note)
    if piece.verdict is None:
        return Markup(
            '<span class="num" tabindex="0"><span class="bare">{}</span>'
            '<span class="note">{}</span></span>'
        ).format(html(piece.line), note)
    name, words, sign = piece.verdict.replace(" ", "-"), WORDS[piece.verdict], SIGNS[piece.verdict]
    return Markup(
        '<span class="num">{}\N{WORD JOINER}<span class="mark {}" tabindex="0" role="img" '
        'aria-label="{}; details follow">{}</span><span class="note">{}</span></span>'
    ).format(html(piece.line), name, words, sign, note)


def _moment(text: str) -> str:
    return text.replace("T", " ").removesuffix("+00:00") + " UTC"


def plain(line: Iterable[Piece]) -> str:
    """A line for Markdown: the same words, without the notes."""
    return "".join(_plain(piece) for piece in line)


def _plain(piece: Piece) -> str:
    match piece:
        case str():
            return escape_markdown(piece)
        case Datum(text) | Exempt(text):
            return escape_markdown(text)
        case Code(text):
            inside = clean(text).replace("`", "'").replace("|", "\\|")
            return f"`{inside}`"
        case Time(text):
            return _moment(text)
        case Chip(verdict):
            return f"{SIGNS[verdict]} {WORDS[verdict]}"
        case Strong(line):
            return f"**{plain(line)}**"
        case Link(_, line) | About(_, _, line):
            return plain(line)
        case Noted(line, verdict):
            return plain(line) + (f" {SIGNS[verdict]}" if verdict else "")


def escape_markdown(text: str) -> str:
    """Text that stands for itself in Markdown, also in a table's cell."""
    text = escaping.escape(clean(text), quote=False)
    text = re.sub(r"([\\|`*\[\]~])", r"\\\1", text)
    # An underscore inside a word is an underscore; elsewhere it begins emphasis.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
