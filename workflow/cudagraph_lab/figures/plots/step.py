"""Where does the time of a decode step go?

A decode step to scale: how long the GPU works, and how long it waits for the host.
"""

import matplotlib as mpl

from cudagraph_lab.figures.colours import colour_of
from cudagraph_lab.figures.style import IN_ONE_PANEL, Drawn, footer, nothing, panel_title, panels
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import Index, short_title
from cudagraph_lab.ledger.number_format import plain
from cudagraph_lab.ledger.selection import profiled


def draw(index: Index) -> Drawn:
    """A bar per arm and batch size: strong while the GPU works, pale while it waits."""
    tables = {d.name: profiled(index, d.name) for d in index.main}
    names = [name for name, table in tables.items() if table][:IN_ONE_PANEL]
    if not names:
        return nothing("No arm was profiled, so a step cannot be divided.")
    count = max(len(tables[name]) for name in names)
    figure, every = panels(len(names), 0.27 * count + 0.75, 0.25, sharex=True)
    timed = {name: tables[name][0][2].dataset for name in names}
    titles = {name: short_title(index, index.datasets[timed[name]]) for name in names}
    shown: list[Number] = []
    said = []
    for axes, name in zip(every, names, strict=True):
        dataset = index.datasets[name]
        colour = colour_of(index, dataset)
        table = tables[name]
        for place, (arm, size, step, work) in enumerate(table):
            total, busy = float(step.value or 0) * 1e3, float(work.value or 0) * 1e3
            axes.barh(place, total, color=mpl.colors.to_rgba(colour, 0.28), height=0.66)
            axes.barh(place, busy, color=colour, height=0.66)
            shown += [step, work]
            said.append(
                f"{titles[name]}, {arm}, batch {size}: a step takes {plain(step)}, "
                f"in which the GPU works {plain(work)}"
            )
        axes.set_yticks(range(len(table)), [f"{arm}, {size}" for arm, size, _, _ in table])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        panel_title(axes, titles[name], colour)
        axes.set_xlabel("ms a step")
    footer(figure, "strong: the GPU works · pale: it waits for the host · rows: arm, batch size")
    return figure, "; ".join(said) + ".", shown
