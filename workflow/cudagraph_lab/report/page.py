"""The report: a ledger becomes a page and, from the same sections, its twin in Markdown.

Templates choose words; they hold no digit of a result: numbers come through
`cudagraph_lab.report.printing`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import TypeAdapter

from cudagraph_lab import REPOSITORY
from cudagraph_lab.engine.graph_modes import asks_for_graphs
from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import Ledger
from cudagraph_lab.report.markup import HTML, MARKDOWN
from cudagraph_lab.report.printing import (
    VERDICTS,
    Page,
    anchor,
    batch,
    batch_list,
    chips,
    count_verdicts,
    fact,
    find,
    groups,
    has_value,
    in_words,
    label,
    level,
    listed,
    make_page,
    matching,
    predicted,
    print_number,
    prose,
    repeats,
    tally,
    title_of,
    value_of,
)
from cudagraph_lab.report.provenance import all_numbers, formulas, runs
from cudagraph_lab.report.tables import (
    Drawing,
    board,
    figure_table,
    grid,
    marks,
    refuted,
    table_of_verdicts,
)

TEMPLATES = REPOSITORY / "report"
KINDS = {
    "measured": "measured",
    "transcribed": "published, one observation, no interval",
    "simulated": "SIMULATED, not measured",
}

# One template each, under report/sections/.
SECTIONS = (
    "answer",
    "board",
    "curve",
    "startup",
    "production",
    "outlook",
    "trust",
    "provenance",
)

Action = Literal["on", "points_on", "off", "cannot_tell", "cpu", "unmeasured", "nothing"]


@dataclass(frozen=True)
class Advice:
    """What to set, the batch sizes that decide it, and the contrast that they are of."""

    action: Action
    batches: list[int]
    contrast: str


def leading_contrast(page: Page, dataset: str) -> str | None:
    """The headline contrast where it has numbers, else the first that has; None without any."""
    names = page.datasets[dataset].contrasts
    ordered = [page.ledger.headline, *(c for c in ("graph", "compile") if c in names), *names]
    return next((c for c in ordered if matching(page, dataset, f"ratio/{c}/b*")), None)


def sets_graphs_against_none(page: Page, dataset: str, contrast: str) -> bool:
    """Whether the first side of a contrast replays graphs and the second does not."""
    facts = page.datasets[dataset]
    sides = facts.contrasts.get(contrast)
    numerator, denominator = (
        facts.arms.get(side)
        for side in ((sides.numerator, sides.denominator) if sides else ("", ""))
    )
    return (
        facts.platform == "cuda"
        and numerator is not None
        and denominator is not None
        and asks_for_graphs(numerator.engine_args) != "no"
        and asks_for_graphs(denominator.engine_args) == "no"
    )


def noisy_batches(page: Page, dataset: str) -> list[int]:
    """Batch sizes at which the interval of an arm against itself leaves out 1."""
    return [
        int(str(number.id).rsplit("/b", 1)[1])
        for number in matching(page, dataset, "ratio/noise/b*")
        if number.low is not None and number.high is not None and not number.low <= 1 <= number.high
    ]


def advise(page: Page, dataset: str) -> Advice:
    """What to set: derived from a contrast's intervals and the verdict on its `no inversion`.

    The contrast is the headline or, where that was not measured, the leading one if graphs are
    what it sets against none. It says no more than they do: `on` needs every interval above 1
    and no doubt left by the verdict on the whole; a single observation only ever points.
    """
    facts = page.datasets[dataset]
    contrast = leading_contrast(page, dataset) or page.ledger.headline
    if not sets_graphs_against_none(page, dataset, contrast):
        contrast = page.ledger.headline
    ratios = {
        int(str(number.id).rsplit("/b", 1)[1]): number
        for number in matching(page, dataset, f"ratio/{contrast}/b*")
    }
    if not ratios:
        some = any(arm.status == "ok" for arm in facts.arms.values())
        if not some or not matching(page, dataset, "*"):
            return Advice("nothing", [], contrast)
        return Advice("cpu" if facts.platform == "cpu" else "unmeasured", [], contrast)
    below = [size for size, n in ratios.items() if n.high is not None and n.high < 1]
    if below:
        return Advice("off", below, contrast)
    if all(number.n == 1 for number in ratios.values()):
        slower = [size for size, n in ratios.items() if float(n.value or 0) <= 1]
        return (
            Advice("cannot_tell", slower, contrast)
            if slower
            else Advice("points_on", list(ratios), contrast)
        )
    open_at = [size for size, n in ratios.items() if n.low is None or n.low <= 1]
    claim = find(page, dataset, f"shape/no_inversion/{contrast}")
    doubted = claim is not None and any(
        p.verdict in ("inconclusive", "refuted") for p in claim.predictions
    )
    if open_at or doubted:
        return Advice("cannot_tell", open_at, contrast)
    return Advice("on", list(ratios), contrast)


def sources_by_verdict(page: Page, dataset: str, number: str, verdict: str) -> list[Markup]:
    """Sources of the predictions of a number that ended in this verdict."""
    found = find(page, dataset, number)
    predictions = found.predictions if found else []
    return [
        Markup("{}{}").format(
            page.form.exempt(p.source, "said"), " (in-sample)" if p.in_sample else ""
        )
        for p in predictions
        if p.verdict == verdict
    ]


def _environment(page: Page, ui: str) -> Environment:
    def finalize(value: Any) -> Any:
        """What is not markup yet becomes text that stands for itself in this format."""
        if isinstance(value, Markup) or not isinstance(value, str):
            return value
        return page.form.escape(value)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=finalize if page.form is MARKDOWN else None,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    called_on_page: dict[str, Callable[..., Any]] = {
        "find": find,
        "matching": matching,
        "number": print_number,
        "value_of": value_of,
        "prose": prose,
        "predicted": predicted,
        "chips": chips,
        "batch": batch,
        "batch_list": batch_list,
        "fact": fact,
        "repeats": repeats,
        "level": level,
        "tally": tally,
        "count_verdicts": count_verdicts,
        "table_of_verdicts": table_of_verdicts,
        "refuted": refuted,
        "board": board,
        "marks": marks,
        "all_numbers": all_numbers,
        "title_of": title_of,
        "groups": groups,
        "formulas": formulas,
        "runs": runs,
        "grid": grid,
        "figure_table": figure_table,
        "leading_contrast": leading_contrast,
        "advise": advise,
        "sets_graphs_against_none": sets_graphs_against_none,
        "noisy_batches": noisy_batches,
        "sources_by_verdict": sources_by_verdict,
        "listed": listed,
    }
    environment.globals |= {name: partial(call, page) for name, call in called_on_page.items()}
    environment.globals |= {
        "ledger": page.ledger,
        "sections": SECTIONS,
        "datasets": page.ledger.datasets,
        "by_name": page.datasets,
        "kinds": KINDS,
        "verdicts": VERDICTS,
        "label": label,
        "anchor": anchor,
        "in_words": in_words,
        "has_value": has_value,
        "said": lambda text: page.form.exempt(str(text), "said"),
        "labelled": lambda text: page.form.exempt(label(text), "label"),
        "code": page.form.code,
        "file": page.form.file,
        "when": page.form.time,
        "strong": page.form.strong,
        "chip": page.form.chip,
    }
    environment.filters["one_line"] = lambda text: Markup(" ".join(str(text).split()))  # noqa: S704
    environment.globals["ui"] = environment.get_template(ui).module
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
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    for colour, name in (
        ("#222222", "currentColor"),
        ("#ffffff", "var(--card)"),
        ("#d9d9d9", "var(--rule)"),
    ):
        svg = svg.replace(colour, name)
    return Markup(svg)  # noqa: S704


def render_html(
    ledger: Ledger,
    drawings: Sequence[Drawing],
    svgs: Mapping[str, str],
    in_repository: bool = False,
) -> str:
    """The page, whole in one file. `svgs` maps a drawing's name to its SVG.

    `in_repository` says that it is written into the repository's own results, so that
    shipped files lie beside it as well as those measured there.

    Raises LabError where a drawing has no SVG, or speaks of a number the ledger lacks.
    """
    lacking = [drawing.name for drawing in drawings if drawing.name not in svgs]
    if lacking:
        raise LabError(f"report: no SVG for figure {lacking[0]}; run the rule plot_figures")
    environment = _environment(make_page(ledger, HTML), "macros.html.j2")
    return environment.get_template("lab_report.html.j2").render(
        drawings={drawing.name: drawing for drawing in drawings},
        svgs={name: inline_svg(svg, name) for name, svg in svgs.items()},
        in_repository=in_repository,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704
    )


def render_markdown(ledger: Ledger, drawings: Sequence[Drawing]) -> str:
    """The same report for terminals and pull requests; figures as tables."""
    environment = _environment(make_page(ledger, MARKDOWN), "macros.md.j2")
    text = environment.get_template("lab_report.md.j2").render(
        drawings={drawing.name: drawing for drawing in drawings}, svgs={}
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in text.splitlines())) + "\n"
