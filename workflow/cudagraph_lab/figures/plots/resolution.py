"""How small an effect could be seen?

An arm against itself: what differs from 1 by less than this cannot be told from chance.
"""

from matplotlib.figure import Figure

from cudagraph_lab.figures.style import (
    INK,
    WIDTH,
    Drawn,
    batch_axis,
    colour_of,
    ends,
    label_lines,
    line_of,
    mark_of,
    nothing,
    plot_numbers,
    ratio_axis,
    reach,
)
from cudagraph_lab.ledger.index import Index, having, ratios, short_title


def draw(index: Index) -> Drawn:
    """The A/A contrast of every data set that has one, with intervals."""
    datasets = having(index, "a_a")
    if not datasets:
        return nothing("No arm was run against itself, so the resolution is not known.")
    series = {d.name: ratios(index, d.name, "a_a") for d in datasets}
    shown = [n for numbers in series.values() for n in numbers.values()]
    low, high = reach(shown)
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.subplots()
    ratio_axis(axes, low / 1.12, high * 1.12)
    batch_axis(axes, [size for numbers in series.values() for size in numbers])
    for order, dataset in enumerate(datasets):
        shift = 2 ** (0.12 * (order - (len(datasets) - 1) / 2))
        colour, mark = colour_of(index, dataset), mark_of(index, dataset)
        plot_numbers(axes, series[dataset.name], colour, mark, shift, line_of(index, dataset))
    labels = [
        (
            float(list(series[d.name].values())[-1].value or 1),
            short_title(index, d),
            colour_of(index, d),
        )
        for d in datasets
    ]
    label_lines(axes, labels, max(max(numbers) for numbers in series.values()))
    figure.supylabel("an arm over itself", fontsize=10, color=INK)
    said = "; ".join(ends(short_title(index, d), series[d.name]) for d in datasets)
    return figure, f"The same arm against itself, with 95% intervals. {said}.", shown
