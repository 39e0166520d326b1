"""What all figures share: colours by device, marks by model, axes, labels at the lines."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cudagraph_lab import REPOSITORY
from cudagraph_lab.figures.catalogue import FIGURES, Drawing
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.number_format import plain, trimmed
from cudagraph_lab.observations.dataset import Dataset

STYLE = REPOSITORY / "report" / "lab.mplstyle"
INK, PAPER, GRID = "#222222", "#ffffff", "#d9d9d9"  # as lab.mplstyle has them
MARKS = "osD^vPX*"
LINES = ("-", "--", "-.", ":")
WIDTH = 5.6  # inches; narrow, so that a phone shows it in a readable size
LABEL = 26  # characters at the end of a line; more would leave the plot no room
IN_ONE_PANEL = 4  # data sets; more of them get a panel each
# Figure, finding, numbers shown: what every drawing function returns.
Drawn = tuple[Figure, str, list[Number]]


def drawing(name: str, finding: str, shown: Sequence[Number]) -> Drawing:
    """What is said of a figure."""
    numbers = list(dict.fromkeys((number.dataset, str(number.id)) for number in shown))
    return Drawing(name=name, title=FIGURES[name], finding=finding, numbers=numbers)


def nothing(reason: str) -> Drawn:
    """An empty figure and why there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 0.8))
    figure.text(0.5, 0.5, reason, ha="center", va="center", color=INK)
    return figure, reason, []


def panels(
    count: int, height: float, below: float, *, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, two in a row; inches of a row, and of what stands below them."""
    columns = min(2, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, height * rows + below))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    every: list[Axes] = [axes for line in grid for axes in line]
    for spare in every[count:]:
        spare.remove()
    return figure, every[:count]


def footer(figure: Figure, text: str, size: float = 8.5) -> None:
    """What marks and colours mean, below the panels."""
    figure.supxlabel(text, fontsize=size, color=INK)


def band(
    axes: Axes,
    places: Sequence[float],
    ends: Sequence[Number | Judged],
    colour: str,
    alpha: float,
    scale: float = 1.0,
) -> None:
    """As far as the intervals of numbers or the bounds of predictions reach."""
    lows, highs = ([float(getattr(n, e) or 0) * scale for n in ends] for e in ("low", "high"))
    axes.fill_between(places, lows, highs, color=colour, alpha=alpha, linewidth=0)


def size_axis(axes: Axes, sizes: Sequence[float], left: float, right: float) -> None:
    """Parameters of models on a logarithmic axis; `left` and `right` are its room beside them."""
    names = [f"{n / 1e6:.0f}M" if n < 1e9 else f"{n / 1e9:.2g}B" for n in sizes]
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, names)
    axes.set_xlim(min(sizes) / left, max(sizes) * right)


def mark_of(index: Index, dataset: Dataset) -> str:
    """The mark of a model, the same in every figure."""
    models = list(dict.fromkeys(d.model for d in index.ledger.datasets))
    return MARKS[models.index(dataset.model) % len(MARKS)]


def line_of(index: Index, dataset: Dataset) -> str:
    """The line of a data set: solid for the first of a device and model, broken for others."""
    alike = [
        d.name
        for d in index.main
        if (d.device, d.model, d.kind) == (dataset.device, dataset.model, dataset.kind)
    ]
    place = alike.index(dataset.name) if dataset.name in alike else 0
    return LINES[min(place, len(LINES) - 1)]


def plot_numbers(
    axes: Axes,
    numbers: Mapping[int, Number],
    colour: str,
    mark: str,
    shift: float = 1.0,
    line: str = "-",
) -> None:
    """One line against batch size: bars for intervals, a hollow mark for one observation."""
    x = [size * shift for size in numbers]
    axes.plot(x, [float(n.value or 0) for n in numbers.values()], color=colour, linestyle=line)
    for at, number in zip(x, numbers.values(), strict=True):
        value = float(number.value or 0)
        if number.low is not None and number.high is not None:
            reach = [[value - number.low], [number.high - value]]
            axes.errorbar(at, value, reach, color=colour, linewidth=1.2)
        axes.plot(
            at,
            value,
            marker=mark,
            color=colour,
            markerfacecolor=PAPER if number.n == 1 else colour,
            markeredgewidth=1.4,
            linestyle="none",
        )


def panel_title(axes: Axes, text: str, colour: str) -> None:
    """The title of one of two panels in a row, cut where it would reach the next."""
    axes.set_title(text if len(text) <= 24 else f"{text[:23]}…", color=colour)


def batch_axis(
    axes: Axes, sizes: Sequence[int], label: str = "batch size (requests decoded together)"
) -> None:
    """Batch sizes on a binary logarithmic axis, labelled where labels do not touch."""
    ticks = sorted(set(sizes))
    room = 0.09 * (math.log2(ticks[-1] / ticks[0]) + 1)
    labels, last = [], 0.0
    for size in ticks:
        free = math.log2(size / last) >= room if last else True
        labels.append(str(size) if free else "")
        last = size if free else last
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, labels)
    axes.set_xlim(ticks[0] / 2**0.5, ticks[-1] * 2**0.5)
    axes.set_xlabel(label)


def ratio_axis(axes: Axes, low: float, high: float, horizontal: bool = False) -> None:
    """A logarithmic axis of speed-ups with a line at 1, where both sides are equally fast."""
    steps: tuple[float, ...] = (
        (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
        if high / low > 12
        else (0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5)
        if high / low < 2
        else (0.25, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12)
    )
    axis = axes.xaxis if horizontal else axes.yaxis
    (axes.set_xscale if horizontal else axes.set_yscale)("log")
    axis.set_minor_locator(NullLocator())
    axis.set_major_locator(FixedLocator([step for step in steps if low <= step <= high]))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{trimmed(v)}×"))
    (axes.set_xlim if horizontal else axes.set_ylim)(low, high)
    line = axes.axvline if horizontal else axes.axhline
    line(1, color=INK, linewidth=0.9)


def reach(numbers: Sequence[Number]) -> tuple[float, float]:
    """The lowest and the highest value that intervals and points reach, always around 1."""
    ends = [float(e) for n in numbers for e in (n.low, n.value, n.high) if e is not None and e > 0]
    return min([*ends, 1.0]), max([*ends, 1.0])


def label_lines(
    axes: Axes,
    labels: Sequence[tuple[float, str, str]],
    x: float,
    share: float = 1.0,
    left: bool = False,
) -> None:
    """Write (value, text, colour) beside the ends of the lines, moved apart where they touch.

    `share` is the axes' part of the figure's height; `left` says that x is where lines begin.
    """
    bottom, top = (math.log(end) for end in axes.get_ylim())
    figure = axes.get_figure()
    gap = 0.23 / share / figure.get_size_inches()[1] * (top - bottom)  # type: ignore[union-attr]
    placed: list[float] = []
    ordered = sorted(labels, key=lambda label: label[0])
    for value, _, _ in ordered:
        at = max(math.log(value), bottom + gap / 2)
        placed.append(max(at, placed[-1] + gap) if placed else at)
    over = placed[-1] + gap / 2 - top if placed else 0.0
    for at, (_, text, colour) in zip(placed, ordered, strict=True):
        axes.annotate(
            text if len(text) <= LABEL or "\n" in text else f"{text[: LABEL - 1]}…",
            (x, math.exp(at - max(over, 0.0))),
            xytext=(-9 if left else 12, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            color=colour,
            annotation_clip=False,
        )


def ends(name: str, numbers: Mapping[int, Number]) -> str:
    """A series in words, from its smallest batch size to its largest."""
    first, last = min(numbers), max(numbers)
    said = f"{name}: {plain(numbers[first])} at batch {first}"
    return said if last == first else f"{said}, {plain(numbers[last])} at batch {last}"
