"""Where do graphs stop mattering?

Speed-up against batch size: the first picture of the page.
"""

from matplotlib.axes import Axes

from cudagraph_lab.figures.colours import CONTEXT, colour_of
from cudagraph_lab.figures.style import (
    IN_ONE_PANEL,
    INK,
    Drawn,
    batch_axis,
    ends,
    footer,
    label_lines,
    line_of,
    mark_of,
    nothing,
    panel_title,
    panels,
    plot_numbers,
    ratio_axis,
    reach,
)
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import (
    Index,
    contrast_of_role,
    having,
    ratios,
    short_title,
)
from cudagraph_lab.ledger.selection import impossible, leading_role
from cudagraph_lab.observations.dataset import Dataset


def draw(index: Index) -> Drawn:
    """Every data set that measured the leading contrast, with intervals and predictions."""
    role = leading_role(index)
    if role is None:
        return nothing("No data set has measured one arm against another.")
    datasets = having(index, role)
    series = {d.name: ratios(index, d.name, role) for d in datasets}
    own = [n for numbers in series.values() for n in numbers.values()]
    noise = [n for d in datasets for n in ratios(index, d.name, "a_a").values()]
    low, high = reach([*own, *noise])
    for number in own:
        high = max([high, *(p.high for p in number.predictions if p.high is not None)])
    limits = (low / 1.12, high * 1.12)
    several = len(datasets) > IN_ONE_PANEL
    shape = (len(datasets), 1.55, 0.5) if several else (1, 3.7, 0.0)
    figure, every = panels(*shape, sharey=True)
    sizes = [size for numbers in series.values() for size in numbers]
    crossed = ""
    for place, panel in enumerate(every):
        shown = [datasets[place]] if several else datasets
        ratio_axis(panel, *limits)
        batch_axis(panel, sizes, **({"label": "batch size"} if several else {}))
        _noise(panel, index, shown)
        for order, dataset in enumerate(shown):
            shift = 2 ** (0.09 * (order - (len(shown) - 1) / 2))
            colour = colour_of(index, dataset)
            _predictions(panel, series[dataset.name], colour, shift)
            mark, line = mark_of(index, dataset), line_of(index, dataset)
            plot_numbers(panel, series[dataset.name], colour, mark, shift, line)
            for size in impossible(index, dataset):
                at = series[dataset.name].get(size)
                if at is not None:
                    panel.plot(size * shift, float(at.value or 0), "x", color=INK, markersize=9)
                    crossed = " · crossed: faster than the device can read its weights"
        if several:
            panel_title(panel, short_title(index, shown[0]), colour_of(index, shown[0]))
        else:
            _labels(panel, index, shown, series)
    pair = contrast_of_role(index, datasets[0].name, role)
    sides = f"{pair.numerator} over {pair.denominator}" if pair else ""
    figure.supylabel(f"speed-up, {sides}", fontsize=10, color=INK)
    footer(
        figure,
        f"bars: 95% intervals · dotted: predicted · grey: an arm against itself\n"
        f"hollow: one observation{crossed}",
    )
    said = "; ".join(ends(short_title(index, d), series[d.name]) for d in datasets)
    return figure, f"Speed-up of {sides} against batch size. {said}.", [*own, *noise]


def _noise(axes: Axes, index: Index, datasets: list[Dataset]) -> None:
    """Behind the lines: as far as the intervals of an arm against itself reach."""
    bands: dict[int, list[Number]] = {}
    for dataset in datasets:
        for size, number in ratios(index, dataset.name, "a_a").items():
            bands.setdefault(size, []).append(number)
    sizes = sorted(bands)
    if not sizes:
        return
    axes.fill_between(
        sizes,
        [min(float(n.low or n.value or 1) for n in bands[size]) for size in sizes],
        [max(float(n.high or n.value or 1) for n in bands[size]) for size in sizes],
        color=CONTEXT,
        alpha=0.22,
        linewidth=0,
    )


def _labels(
    axes: Axes, index: Index, datasets: list[Dataset], series: dict[str, dict[int, Number]]
) -> None:
    labels = [
        (
            float(list(series[d.name].values())[-1].value or 1),
            short_title(index, d),
            colour_of(index, d),
        )
        for d in datasets
    ]
    if any(ratios(index, d.name, "a_a") for d in datasets):
        labels.append((0.72, "an arm\nagainst itself", "#6b6b6b"))
    label_lines(axes, labels, max(max(numbers) for numbers in series.values()))


def _predictions(axes: Axes, numbers: dict[int, Number], colour: str, shift: float) -> None:
    """The narrowest prediction's bounds: a dotted line with ends, a little left of its number."""
    for size, number in numbers.items():
        known = [
            (p.low, p.high)
            for p in number.predictions
            if p.low is not None and p.high is not None and p.low > 0
        ]
        if known:
            x = size * shift * 2**-0.16
            _, low, high = min((high / low, low, high) for low, high in known)
            bounds = [low, high]
            axes.plot([x, x], bounds, color=colour, linewidth=1.1, linestyle=(0, (1, 1.5)))
            axes.plot([x, x], bounds, color=colour, linestyle="none", marker="_", markersize=5)
