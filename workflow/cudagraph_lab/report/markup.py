"""How the leaves of a page are written: in HTML and in Markdown.

Whatever comes from records or configuration is escaped here. Where it has digits it is
marked as well, so that a reader of the page's source, or a test, can tell them from numbers.
"""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

SIGNS = {"refuted": "✗", "inconclusive": "?", "confirmed": "✓", "not measured": "–"}


@dataclass(frozen=True)
class Form:
    """How the leaves of a page are written in one format."""

    escape: Callable[[str], Markup]
    datum: Callable[[str, Mapping[str, str]], Markup]  # a printed number and what it is
    # Data set, id, and what holds the parts of that number: a datum with `data-part` is a part
    # of the number that the nearest element around it names.
    about: Callable[[str, str, Markup], Markup]
    exempt: Callable[[str, str], Markup]  # text of a record or the configuration, and its nature
    code: Callable[[str], Markup]
    time: Callable[[str], Markup]
    chip: Callable[[str, str, str], Markup]  # verdict, anchor, aside
    strong: Callable[[Markup], Markup]
    target: Callable[[str, Markup], Markup]  # anchor, what it holds
    link: Callable[[str, Markup], Markup]  # anchor, what leads there
    file: Callable[[str, str], Markup]  # a file of the project and how it is written here


def clean(text: str) -> str:
    """One line without control characters."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text))


def _html_datum(text: str, attributes: Mapping[str, str]) -> Markup:
    # Thousands to a page: Markup.format would take most of the time that a page takes.
    pairs = " ".join(f'{key}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<data {pairs}>{escape(text)}</data>")  # noqa: S704


def _html_exempt(text: str, why: str) -> Markup:
    if not re.search(r"\d", text):
        return escape(clean(text))
    return Markup('<span data-why="{}">{}</span>').format(why, clean(text))


def _html_chip(verdict: str, anchor: str, aside: str) -> Markup:
    name = verdict.replace(" ", "-")
    inside = Markup('<span aria-hidden="true">{}</span> {}').format(SIGNS[verdict], verdict)
    if aside:
        inside += Markup(' <span class="aside">({})</span>').format(aside)
    if not anchor:
        return Markup('<span class="chip {}">{}</span>').format(name, inside)
    return Markup('<a class="chip {}" href="#{}">{}</a>').format(name, anchor, inside)


HTML = Form(
    escape=lambda text: escape(clean(text)),
    datum=_html_datum,
    about=lambda dataset, number, parts: Markup(
        '<span data-dataset="{}" data-id="{}">{}</span>'
    ).format(dataset, number, parts),
    exempt=_html_exempt,
    code=lambda text: Markup("<code>{}</code>").format(clean(text)),
    time=lambda text: Markup('<time datetime="{0}">{1}</time>').format(
        text, text.replace("T", " ").removesuffix("+00:00") + " UTC"
    ),
    chip=_html_chip,
    strong=lambda text: Markup("<strong>{}</strong>").format(text),
    target=lambda anchor, text: Markup('<span id="{}">{}</span>').format(anchor, text),
    link=lambda anchor, text: Markup('<a href="#{}">{}</a>').format(anchor, text),
    # Where the page lies beside its files, its script makes links of these.
    file=lambda path, text: Markup('<code data-why="file" data-file="{}">{}</code>').format(
        clean(path), clean(text)
    ),
)


def escape_markdown(text: str) -> Markup:
    """Text that stands for itself in Markdown, also in a table's cell."""
    text = html.escape(clean(text), quote=False)
    text = re.sub(r"([\\|`*\[\]~])", r"\\\1", text)
    # An underscore inside a word is an underscore; elsewhere it begins emphasis.
    return Markup(re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text))  # noqa: S704


def _markdown_code(text: str) -> Markup:
    inside = clean(text).replace("`", "'").replace("|", "\\|")
    return Markup(f"`{inside}`")  # noqa: S704


MARKDOWN = Form(
    escape=escape_markdown,
    datum=lambda text, attributes: escape_markdown(text),
    about=lambda dataset, number, parts: parts,
    exempt=lambda text, why: escape_markdown(text),
    code=_markdown_code,
    time=lambda text: escape_markdown(text.replace("T", " ").removesuffix("+00:00") + " UTC"),
    chip=lambda verdict, anchor, aside: Markup("{} {}{}").format(
        SIGNS[verdict], verdict, escape_markdown(f" ({aside})") if aside else ""
    ),
    strong=lambda text: Markup("**{}**").format(text),
    target=lambda anchor, text: text,
    link=lambda anchor, text: text,
    file=lambda path, text: _markdown_code(text),
)
