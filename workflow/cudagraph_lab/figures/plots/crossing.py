"""From which model size is eager as good, and what moves that point?

Forecasts over model size by host, device and tensor parallelism; below them the two parts of a
step, whose crossing is the reason.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from cudagraph_lab.figures.colours import CONTEXT, colour_of
from cudagraph_lab.figures.style import (
    INK,
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
from cudagraph_lab.ledger.catalogue import (
    CURVE_CROSSING,
    CURVE_GPU_S,
    CURVE_HOST_S,
    CURVE_LAUNCH,
    STEP,
)
from cudagraph_lab.ledger.index import Index, of_primary, short_device, value_at
from cudagraph_lab.ledger.number_format import plain, trimmed
from cudagraph_lab.ledger.selection import Curve, curves, sized

MEASURED, QUICK = "-", "--"  # lines of the two hosts
HOST = "#6b6b6b"


def draw(index: Index) -> Drawn:
    """Speed-up by size above, seconds of host and GPU by size below."""
    found = curves(index)
    if not found:
        return nothing("No host could be calibrated, so nothing is forecast over model size.")
    figure = Figure(figsize=(WIDTH, 6.0))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.25, 1))
    shown = _speed_ups(above, index, found)
    main = max((c for c in found if c.host == found[0].host and c.tp == 1), key=_reach)
    shown += _parts(below, index, main)
    sizes = sorted({size for curve in found for size, _ in curve.points})
    size_axis(below, sizes, 1.4, 1.4)
    below.set_xlabel("parameters of the model")
    text = f"forecasts at batch {main.batch} with bounds of 90%; marks in the lower panel: measured"
    footer(figure, text, 8)
    said = [_finding(index, curve) for curve in found]
    return figure, f"Forecast speed-up by model size. {'; '.join(filter(None, said))}.", shown


def _reach(curve: Curve) -> float:
    return curve.points[-1][0]


def launch_words(index: Index, curve: Curve) -> str:
    """What the host of a curve pays for a launch, as text."""
    cost = value_at(index, curve.points[0][1].dataset, CURVE_LAUNCH(host=curve.host))
    return f"{trimmed(float(cost.value or 0), significant=2)} µs a launch" if cost else curve.host


def _colour(index: Index, curve: Curve) -> str:
    """The colour of the curve's device in all figures; grey where nothing was measured on it."""
    for dataset in index.ledger.datasets:
        if short_device(dataset).lower() == curve.device.lower():
            return colour_of(index, dataset)
    return CONTEXT


def _speed_ups(axes: Axes, index: Index, found: list[Curve]) -> list[Number]:
    """A curve per host, device and number of GPUs: coloured by device, broken for a quick host."""
    measured = found[0].host
    top = max(float(n.value or 1) for c in found for _, n in c.points)
    ratio_axis(axes, 0.9, top * 1.25)
    largest = max(size for c in found for size, _ in c.points)
    labels, shown = [], []
    for curve in found:
        sizes = [size for size, _ in curve.points]
        numbers = [number for _, number in curve.points]
        values = [float(n.value or 1) for n in numbers]
        colour = _colour(index, curve)
        own = curve.host == measured
        axes.plot(sizes, values, MEASURED if own else QUICK, color=colour, linewidth=1.5)
        if curve.tp == 1 and own and sizes[-1] == largest:
            band(axes, sizes, numbers, colour, 0.13)
        words = f"{curve.tp} {curve.device.upper()}"
        if own and sizes[-1] == largest:
            labels.append((values[-1], words, colour))
        elif own:  # a device that holds no larger model
            axes.annotate(words, (sizes[-2:][0], values[-2:][0]), xytext=(-8, 3), ha="right",
                          textcoords="offset points", color=colour, fontsize=9)  # fmt: skip
        shown += numbers
    quick = [c for c in found if c.host != measured]
    if quick:
        counts = ", ".join(str(c.tp) for c in quick)
        ends = min(float(c.points[-1][1].value or 1) for c in quick)
        labels.append((ends, f"{counts} {quick[0].device.upper()}", _colour(index, quick[0])))
    label_lines(axes, labels, largest, share=0.5)
    for hosts, line, height in ((found, "solid", 1.1), (quick, "broken", 1.01)):
        if hosts:
            words = f"{line}: host with {launch_words(index, hosts[0])}"
            axes.text(1, height, words, color=INK, ha="right", va="bottom", fontsize=9,
                      transform=axes.transAxes)  # fmt: skip
    panel_title(axes, "speed-up of a step", INK)
    return shown


def _parts(axes: Axes, index: Index, curve: Curve) -> list[Number]:
    """Host and GPU work of a step as bands over size, and the steps that were measured."""
    dataset = curve.points[0][1].dataset
    shown: list[Number] = []
    labels = []
    device = _colour(index, curve)
    for quantity, arm, colour, line, words in (
        (CURVE_HOST_S, "eager", HOST, "-", "host, eager"),
        (CURVE_HOST_S, "graphs", HOST, ":", "host, graphs"),
        (CURVE_GPU_S, "graphs", device, "-", "GPU work"),
    ):
        known = [
            (size, number)
            for size, at in curve.points
            if (
                number := value_at(
                    index, dataset,
                    quantity(arm=arm, host=curve.host, device=curve.device,
                             model=str(at.id.model), tp=curve.tp, batch=curve.batch),
                )
            )
        ]  # fmt: skip
        sizes = [size for size, _ in known]
        values = [float(n.value or 0) * 1e3 for _, n in known]
        axes.plot(sizes, values, line, color=colour, linewidth=1.4)
        band(axes, sizes, [n for _, n in known], colour, 0.18, scale=1e3)
        labels.append((values[-1], words, colour))
        shown += [n for _, n in known]
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{trimmed(v)} ms"))
    for row in sized(index).get(curve.device.upper(), []):
        steps = of_primary(index, row.dataset, STEP, batch=curve.batch) or ()
        for step, mark in zip(steps, "oD", strict=False):
            axes.plot(row.parameters, float(step.value or 0) * 1e3, mark, color=INK,
                      markersize=5, markerfacecolor="none")  # fmt: skip
            shown.append(step)
    label_lines(axes, labels, curve.points[-1][0], share=0.4)
    panel_title(axes, f"its parts, {curve.tp} {curve.device.upper()}", device)
    return shown


def _finding(index: Index, curve: Curve) -> str:
    """Where a curve falls to a tenth, in words."""
    last = curve.points[-1][1]
    place = value_at(
        index, last.dataset,
        CURVE_CROSSING(host=curve.host, device=curve.device, tp=curve.tp, batch=curve.batch),
    )  # fmt: skip
    where = f"{launch_words(index, curve)}, {curve.tp} {curve.device.upper()}"
    if place is not None:
        return f"{where}: eager loses less than a tenth from {plain(place)} parameters"
    return f"{where}: {plain(last)} at the largest model shown"
