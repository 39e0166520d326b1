"""All figures of a ledger, and how a figure becomes SVG."""

import io
from importlib import import_module

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from cudagraph_lab.figures.catalogue import FIGURES, Drawing
from cudagraph_lab.figures.style import STYLE, drawing
from cudagraph_lab.ledger.build import Ledger
from cudagraph_lab.ledger.index import Index, make_index


def draw_figures(ledger: Ledger) -> list[tuple[Drawing, Figure]]:
    """All figures of FIGURES, in their order."""
    index = make_index(ledger)
    return [draw_figure(index, name) for name in FIGURES]


def draw_figure(index: Index, name: str) -> tuple[Drawing, Figure]:
    """One of FIGURES, and what is said of it."""
    module = import_module(f"cudagraph_lab.figures.plots.{name.replace('-', '_')}")
    with mpl.rc_context(fname=STYLE):
        figure, finding, shown = module.draw(index)
    return drawing(name, finding, shown), figure


def to_svg(figure: Figure) -> str:
    """A figure as SVG text, the same for the same figure: no date, no random ids."""
    with mpl.rc_context(fname=STYLE):
        stream = io.StringIO()
        # Not savefig, which draws everything twice to lay it out once.
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return stream.getvalue()
