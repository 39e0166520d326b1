"""What do graphs cost at start-up?

The boot of every arm as a timeline, from the engine's first line to ready; what comes before, the
import of Python's packages, is the same for every arm.
"""

import math
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cudagraph_lab.figures.colours import colour_of
from cudagraph_lab.figures.style import IN_ONE_PANEL, INK, WIDTH, Drawn, nothing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import STARTUP
from cudagraph_lab.ledger.index import Index, of_primary, short_title, value_at, with_quantity
from cudagraph_lab.ledger.number_format import plain
from cudagraph_lab.ledger.selection import arms_shown

GREYS = ("#8a8a8a", "#c4c4c4", "#e3e3e3")  # what every arm does
# (what the reader calls it, spans added, spans taken off since they lie inside, its grey or the
# strength of the device's colour)
PHASES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str | float], ...] = (
    ("device and weights", ("device", "load"), (), GREYS[0]),
    ("compile", ("compile_cold", "compile_warm"), (), 0.35),
    ("rest of profiling run", ("profile",), ("compile_cold", "compile_warm"), GREYS[1]),
    ("capture graphs", ("capture",), (), 1.0),
    (
        "rest of boot",
        ("boot", "capture"),
        ("device", "load", "profile", "capture", "capture"),
        GREYS[2],
    ),
)


def _look(phase: str | float, colour: str) -> dict[str, Any]:
    """How a phase is filled: a grey, or the device's colour as strong as it says."""
    if isinstance(phase, str):
        return {"facecolor": phase}
    return {"facecolor": mpl.colors.to_rgba(colour, phase)}


def compared(index: Index) -> list[str]:
    """The data sets that booted with graphs and in eager; where none did, all that booted."""
    booted = [d.name for d in index.main if arms_shown(index, d.name)]
    both = [name for name in booted if of_primary(index, name, STARTUP, phase="boot")]
    return both or booted


def draw(index: Index) -> Drawn:
    """A bar per arm, a colour per phase."""
    names = compared(index)[:IN_ONE_PANEL]
    if not names:
        return nothing("No data set has kept the phases of its start-up.")
    bars = [(name, arm) for name in names for arm in arms_shown(index, name)]
    figure = Figure(figsize=(WIDTH, 1.0 + 0.25 * (len(bars) + len(names))))
    axes = figure.subplots()
    labels: list[str] = []
    places: list[float] = []
    at = 0.0
    said = []
    for name in names:
        title = short_title(index, index.datasets[name])
        colour = colour_of(index, index.datasets[name])
        axes.text(0, at - 0.05, title, va="center", fontweight="bold", color=colour)
        at += 1
        for arm in arms_shown(index, name):
            begin = 0.0
            for _, added, inside, phase in PHASES:
                width = _seconds(index, name, arm, added) - _seconds(index, name, arm, inside)
                if width > 0:
                    axes.barh(at, width, left=begin, height=0.7, **_look(phase, colour))
                    begin += width
            boot, capture = (_span(index, name, arm, span) for span in ("boot", "capture"))
            text = f"{title}, {arm}: the engine boots in {plain(boot)}" if boot else ""
            said.append(text + (f", of which capture {plain(capture)}" if capture else ""))
            labels.append(arm)
            places.append(at)
            at += 1
    axes.set_yticks(places, labels)
    axes.set_ylim(at - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds of the engine's boot, means over repeats")
    first = colour_of(index, index.datasets[names[0]])
    figure.legend(
        handles=[Patch(label=words, **_look(phase, first)) for words, _, _, phase in PHASES],
        loc="outside upper left",
        ncols=3,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=1.0,
        columnspacing=1.0,
    )
    kept = {arm for _, arm in bars}
    shown: list[Number] = [
        n for name in names for n in with_quantity(index, name, STARTUP) if n.id.arm in kept
    ]
    return figure, "; ".join(said) + ".", shown


def _span(index: Index, dataset: str, arm: str, phase: str) -> Number | None:
    return value_at(index, dataset, STARTUP(phase=phase, arm=arm))


def _seconds(index: Index, dataset: str, arm: str, spans: tuple[str, ...]) -> float:
    """Sum of the spans that an arm has; a phase that it does not have takes no time.

    Some repeats of an arm compile cold and others warm: the two count by their repeats.
    """
    known = [(span, number) for span in spans if (number := _span(index, dataset, arm, span))]
    compiling = sum(number.n for span, number in known if span.startswith("compile_"))
    return math.fsum(
        float(number.value or 0) * (number.n / compiling if span.startswith("compile_") else 1)
        for span, number in known
    )
