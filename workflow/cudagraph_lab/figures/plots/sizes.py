"""How does the gain depend on the model's size?

Measured speed-ups of a decode step over the size of the model, above what was forecast for them
before and what the lab's two models say.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cudagraph_lab.design.predictions import FORECAST, predicted_by
from cudagraph_lab.figures.colours import colour_of
from cudagraph_lab.figures.ranks import largest_ranked, ranks_finding, ranks_panel
from cudagraph_lab.figures.style import (
    INK,
    PAPER,
    WIDTH,
    Drawn,
    band,
    footer,
    label_lines,
    nothing,
    panel_title,
    ratio_axis,
    size_axis,
)
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.number_format import plain
from cudagraph_lab.ledger.selection import Sized, sized

SHOWN = 3  # batch sizes: the smallest, the middle one, the largest that all models have
STRENGTHS = (1.0, 0.62, 0.36)  # of the device's colour, from the smallest batch size on
LAB = {"additive": ":", "overlap": "--"}


def draw(index: Index) -> Drawn:
    """A panel per device: a line per batch size, measured over forecast."""
    devices = sized(index)
    if not devices:
        return nothing("No speed-up of a model of known size was measured.")
    several = largest_ranked(index)
    rows_of_panels = len(devices) + (several is not None)
    figure = Figure(figsize=(WIDTH, 2.6 * rows_of_panels))
    every = figure.subplots(rows_of_panels, 1, squeeze=False)[:, 0]
    panels = every[: len(devices)]
    shown: list[Number] = []
    said = []
    for axes, (device, rows) in zip(panels, devices.items(), strict=True):
        batches = shown_batches(rows)
        colour = colour_of(index, index.datasets[rows[0].dataset])
        shown += _panel(axes, rows, batches, colour, 1 / rows_of_panels)
        panel_title(axes, f"{device}, decode step", colour)
        said.append(f"{device}: " + "; ".join(_finding(rows, batch) for batch in batches))
    panels[-1].set_xlabel("parameters of the model")
    if several is not None:
        shown += ranks_panel(every[-1], index, *several)
        said.append(ranks_finding(several[1]))
    first = shown_batches(next(iter(devices.values())))[0]
    footer(
        figure,
        "marks: measured, hollow without an interval · bands: forecast before, 90%\n"
        f"grey: the lab’s two models at batch {first}; dotted: host + GPU work, "
        "dashed: the longer of the two",
        8,
    )
    return figure, f"Speed-up by model size. {'. '.join(said)}.", shown


def shown_batches(rows: list[Sized]) -> list[int]:
    """At most SHOWN of the batch sizes that every model of a device was measured at."""
    common = sorted(set.intersection(*(set(row.ratios) for row in rows)))
    if len(common) <= SHOWN:
        return common
    return [common[0], common[len(common) // 2], common[-1]]


def _panel(
    axes: Axes, rows: list[Sized], batches: list[int], colour: str, share: float
) -> list[Number]:
    """A line per batch size, the paler the larger, each named at its left end."""
    shown = []
    reached = [1.0]
    labels = []
    for place, batch in enumerate(batches):
        strength = STRENGTHS[place]
        known = [(row.parameters, row.ratios[batch]) for row in rows]
        _forecast(axes, known, colour, strength)
        shift = 1 + 0.04 * (place - 1)
        values = [float(number.value or 0) for _, number in known]
        sizes = [size * shift for size, _ in known]
        axes.plot(sizes, values, color=colour, linewidth=1.1, alpha=strength)
        for at, value, (_, number) in zip(sizes, values, known, strict=True):
            if number.low is not None and number.high is not None:
                bars = [[value - number.low], [number.high - value]]
                axes.errorbar(at, value, bars, color=colour, linewidth=1.1, alpha=strength)
            hollow = PAPER if number.low is None else colour
            axes.plot(
                at, value, "o", color=colour, markerfacecolor=hollow, linestyle="none",
                alpha=strength,
            )  # fmt: skip
            reached += [value, number.high or value]
            shown.append(number)
        labels.append((values[0], f"batch {batch}", INK))
    for name, style in LAB.items():
        points = [
            (row.parameters, row.ratios[batches[0]].baselines[name])
            for row in rows
            if name in row.ratios[batches[0]].baselines
        ]
        if points:
            axes.plot(*zip(*points, strict=True), color="#8a8a8a", linestyle=style, linewidth=1)
    sizes = [row.parameters for row in rows]
    size_axis(axes, sizes, 4, 1.6)
    ratio_axis(axes, 0.85, max(reached) * 1.1)
    label_lines(axes, labels, min(sizes), share=share, left=True)
    return shown


def _forecast(axes: Axes, known: list[tuple[float, Number]], colour: str, strength: float) -> None:
    """The band of what was forecast, where it was."""
    said = [
        (size, judged)
        for size, number in known
        for judged in number.predictions
        if predicted_by(judged.id) == FORECAST
    ]
    if said:
        band(axes, [size for size, _ in said], [j for _, j in said], colour, 0.13 * strength)


def _finding(rows: list[Sized], batch: int) -> str:
    first, last = rows[0], rows[-1]
    if first is last:
        return f"batch {batch}, {plain(first.ratios[batch])} for {first.label}"
    return (
        f"batch {batch}, from {plain(first.ratios[batch])} for {first.label} "
        f"to {plain(last.ratios[batch])} for {last.label}"
    )
