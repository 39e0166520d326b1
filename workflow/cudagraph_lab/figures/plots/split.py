"""Is it the graphs or the compiler?

Graphs and compilation apart: the speed-up of each alone against batch size.
"""

from cudagraph_lab.figures.colours import colour_of
from cudagraph_lab.figures.style import (
    IN_ONE_PANEL,
    Drawn,
    batch_axis,
    ends,
    footer,
    mark_of,
    nothing,
    panel_title,
    panels,
    plot_numbers,
    ratio_axis,
    reach,
)
from cudagraph_lab.ledger.index import Index, short_title
from cudagraph_lab.ledger.selection import factors, one_a_device


def draw(index: Index) -> Drawn:
    """A panel per device, for its first data set that has both."""
    both = {d.name: pair for d in index.main if (pair := factors(index, d.name))}
    names = one_a_device(index, list(both))[:IN_ONE_PANEL]
    if not names:
        return nothing("No data set has measured graphs and compilation apart.")
    shown = [n for name in names for part in both[name] for n in part.values()]
    points = [float(n.value or 1) for n in shown]
    low, high = reach(shown)
    # The interval of two repeats may reach ten times as far as any point; it leaves the panel.
    limits = (max(low / 1.1, min([*points, 1]) / 2), min(high * 1.1, 2 * max(points)))
    figure, every = panels(len(names), 2.15, 0.5, sharey=True)
    said = []
    for axes, name in zip(every, names, strict=True):
        dataset = index.datasets[name]
        graph, compiler = both[name]
        colour, mark = colour_of(index, dataset), mark_of(index, dataset)
        ratio_axis(axes, *limits)
        batch_axis(axes, [*graph, *compiler], label="")
        plot_numbers(axes, graph, colour, mark, 0.96)
        plot_numbers(axes, compiler, "#6b6b6b", mark, 1.04, line=":")
        panel_title(axes, short_title(index, dataset), colour)
        said.append(ends(f"{short_title(index, dataset)}, graphs alone", graph))
        said.append(ends(f"{short_title(index, dataset)}, compilation alone", compiler))
    footer(figure, "against batch size · coloured: graphs alone · grey, dotted: compilation alone")
    return figure, "; ".join(said) + ".", shown
