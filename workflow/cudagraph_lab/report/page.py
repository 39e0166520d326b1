"""The report: a ledger becomes a page and, from one view, its twin in Markdown and a short text."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import TypeAdapter

from cudagraph_lab import REPOSITORY
from cudagraph_lab.errors import LabError
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.figures.colours import ON_THE_PAGE
from cudagraph_lab.ledger.build import Ledger
from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.report.markup import html, plain, words
from cudagraph_lab.report.sections.again import again
from cudagraph_lab.report.sections.answer import answer
from cudagraph_lab.report.sections.appendix import appendix
from cudagraph_lab.report.sections.cost import production, startup
from cudagraph_lab.report.sections.effect import why
from cudagraph_lab.report.sections.scores import scores
from cudagraph_lab.report.sections.sizes import sizes
from cudagraph_lab.report.sections.speculation import speculation
from cudagraph_lab.report.sections.trust import trust
from cudagraph_lab.report.sections.upgrade import upgrade
from cudagraph_lab.report.sections.wrong import wrong
from cudagraph_lab.report.short_answer import short_answer
from cudagraph_lab.report.view import View

TEMPLATES = REPOSITORY / "report"
SECTIONS = (
    answer,
    sizes,
    why,
    speculation,
    startup,
    production,
    upgrade,
    scores,
    wrong,
    trust,
    again,
    appendix,
)


def make_view(ledger: Ledger, drawings: Sequence[Drawing]) -> View:
    """All sections of the page, decided; what is left is to lay them out."""
    index = make_index(ledger)
    by_name = {drawing.name: drawing for drawing in drawings}
    sections = [made for section in SECTIONS if (made := section(index, by_name)) is not None]
    return View(sections, short_answer(index))


def render_html(
    view: View,
    drawings: Sequence[Drawing],
    svgs: Mapping[str, str],
    in_repository: bool = False,
) -> str:
    """The page, whole in one file; `view` shows `drawings`, `svgs` maps their names to SVGs.

    `in_repository` says that it is written into the repository's own results, so that
    shipped files lie beside it as well as those measured there.

    Raises LabError where a drawing has no SVG.
    """
    lacking = [drawing.name for drawing in drawings if drawing.name not in svgs]
    if lacking:
        raise LabError(f"report: no SVG for figure {lacking[0]}; run the rule plot_figures")
    text = (
        _environment()
        .get_template("lab_report.html.j2")
        .render(
            view=view,
            svgs={name: inline_svg(svg, name) for name, svg in svgs.items()},
            in_repository=in_repository,
            style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704
        )
    )
    # All attributes stand in double quotes, so that a single one is text wherever it stands.
    return re.sub(r"\n\s*\n+", "\n", text).replace("&#39;", "'")


def render_markdown(view: View) -> str:
    """The same sentences for terminals and pull requests, and the ledger as plain tables."""
    environment = _environment(autoescape=False)
    text = environment.get_template("lab_report.md.j2").render(view=view)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())) + "\n"


def render_text(view: View) -> str:
    """The short answer, a sentence a line."""
    return "".join(f"{words(line)}\n" for line in view.short_answer)


def _environment(autoescape: bool = True) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=autoescape,  # noqa: S701  Markdown is escaped piece by piece
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"html": html, "plain": plain}
    return environment


def read_drawings(path: Path) -> list[Drawing]:
    """What the rule plot_figures says of its figures; raises LabError naming the file."""
    try:
        return TypeAdapter(list[Drawing]).validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(
            f"{path}: no list of figures ({type(error).__name__}); run `make report`"
        ) from None


def inline_svg(svg: str, prefix: str) -> Markup:
    """A figure's SVG for inside a page: no addresses, ids of its own, colours of the page.

    The colours that `lab.mplstyle` gives to ink, paper and grid become the page's, so
    that the figure reads on light and on dark.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = _lean(svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    for colour, name in (
        ("#222222", "currentColor"),
        ("#ffffff", "var(--card)"),
        ("#d9d9d9", "var(--rule)"),
        ("#e3e3e3", "var(--rule)"),
        ("#6b6b6b", "var(--soft)"),
        *ON_THE_PAGE.items(),
    ):
        svg = svg.replace(colour, name)
    return Markup(_with_classes(svg, prefix))  # noqa: S704


def _lean(svg: str) -> str:
    """The SVG without what no screen shows: fine decimals, comments, groups and ids of no use."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    # A tenth of a point is less than a pixel.
    svg = re.sub(
        r'\b(?:d|x|y|x1|x2|y1|y2|width|height|transform|points)="[^"]*"',
        lambda found: re.sub(r"(\.\d)\d+", r"\1", re.sub(r"\s+", " ", found[0])),
        svg,
    )
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r'\s+id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r">\s+<", "><", svg)
    svg = re.sub(r" ?/>", "/>", svg)
    bare = re.compile(r"<g>((?:(?!</?g\b).)*)</g>", re.DOTALL)
    while (leaner := bare.sub(r"\1", svg)) != svg:
        svg = leaner
    return svg.replace("<defs></defs>", "").replace("<defs/>", "")


def _with_classes(svg: str, prefix: str) -> str:
    """The SVG with each style said once: a chart repeats a few of them hundreds of times."""
    styles = list(dict.fromkeys(re.findall(r'style="([^"]*)"', svg)))
    names = {style: f"{prefix}-s{place}" for place, style in enumerate(styles)}
    svg = re.sub(r'style="([^"]*)"', lambda found: f'class="{names[found[1]]}"', svg)
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())
    end = svg.index(">") + 1
    return f"{svg[:end]}<style>{rules}</style>{svg[end:]}"
