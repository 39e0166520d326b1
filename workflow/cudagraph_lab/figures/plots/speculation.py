"""What does a speculative step consist of?

A step with drafts beside a plain one, to scale: the draft's passes, the target's pass, the host.
"""

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cudagraph_lab.figures.colours import colour_of
from cudagraph_lab.figures.style import WIDTH, Drawn, footer, nothing, panel_title
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.number_format import plain
from cudagraph_lab.ledger.speculation_pairs import Speculated, speculated, with_drafts

DRAFT = "#4d4d4d"  # a colour is a device; what the draft works is dark


def draw(index: Index) -> Drawn:
    """A panel for the smallest and one for the largest batch size of the first such data set."""
    found = with_drafts(index)
    if not found:
        return nothing("No data set has measured speculative decoding.")
    name = found[0].name
    table = speculated(index, name)
    sizes = sorted({row.batch for row in table})
    sizes = list(dict.fromkeys([sizes[0], sizes[-1]]))
    rows = max(sum(row.batch == size for row in table) for size in sizes)
    figure = Figure(figsize=(WIDTH, 0.5 * rows + 1.0))
    panels = figure.subplots(1, len(sizes), squeeze=False, sharex=True)[0]
    colour = colour_of(index, index.datasets[name])
    shown: list[Number] = []
    said = []
    for axes, size in zip(panels, sizes, strict=True):
        pairs = [row for row in table if row.batch == size]
        labels: list[str] = []
        for row in pairs:
            place = len(labels)
            _bar(axes, place, colour, row.plain_step, row.plain_busy, None)
            _bar(axes, place + 1, colour, row.step, row.busy, row.draft_busy)
            labels += [row.plain_arm, row.arm]
            shown += [n for n in (row.plain_step, row.plain_busy, row.step) if n is not None]
            shown += [n for n in (row.busy, row.draft_busy) if n is not None]
            said.append(_words(row))
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("ms a step")
        panel_title(axes, f"batch {size}", colour)
    divided = any(row.busy is not None for row in table)
    legend = "dark: draft · strong: target · pale: the GPU waits for the host"
    footer(figure, legend if divided else "steps whole")
    return figure, "; ".join(said) + ".", shown


def _bar(
    axes: Axes, place: int, colour: str, step: Number, busy: Number | None, draft: Number | None
) -> None:
    """One step: the draft's GPU work, the target's, and what is left of it."""
    whole, worked, drafted = (float(n.value or 0) * 1e3 if n else 0.0 for n in (step, busy, draft))
    axes.barh(place, whole, color=mpl.colors.to_rgba(colour, 0.28), height=0.66)
    axes.barh(place, worked, color=colour, height=0.66)
    axes.barh(place, drafted, color=DRAFT, height=0.66)


def _words(row: Speculated) -> str:
    said = (
        f"{row.arm}, batch {row.batch}: a step takes {plain(row.step)}, without drafts "
        f"{plain(row.plain_step)}"
    )
    if row.busy is not None and row.draft_busy is not None:
        said += f"; the GPU works {plain(row.busy)} of it, {plain(row.draft_busy)} for the draft"
    return said
