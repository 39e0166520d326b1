"""The figures: what the ledger says, drawn, with its finding in words beside each.

Every function takes an indexed ledger and gives a `Drawing` (alternative text and
the numbers shown) and a matplotlib figure. Intervals are drawn where the ledger has
them; a single observation is a hollow point. What nobody measured is said in words
inside the figure.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cudagraph_lab.ledger.build import Ledger, Number
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import HTML, clean
from cudagraph_lab.report.number_format import plain, trimmed
from cudagraph_lab.report.page import TEMPLATES
from cudagraph_lab.report.printing import Page, find, make_page, matching
from cudagraph_lab.report.tables import Drawing

INK, PAPER, GRID = "#222222", "#ffffff", "#d9d9d9"  # as lab.mplstyle has them
MARKERS = "osD^vPX*"
# Start-up from the process's beginning to its first request: (name, spans added, spans
# taken off because they lie inside).
PHASES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("import", ("import",), ()),
    ("device", ("device",), ()),
    ("load weights", ("load",), ()),
    ("compile", ("compile_cold", "compile_warm"), ()),
    ("rest of profiling", ("profile",), ("compile_cold", "compile_warm")),
    ("capture", ("capture",), ()),
    ("rest of warm-up", ("warm_up",), ("capture",)),
    ("rest of boot", ("boot",), ("device", "load", "profile", "warm_up")),
)
# Places in seaborn's colour-blind palette: what the report is about in strong colours.
PHASE_COLOURS = (7, 9, 0, 1, 8, 3, 6, 4)
Drawn = tuple[Drawing, Figure]


def draw_figures(ledger: Ledger) -> list[Drawn]:
    """All figures of the report, in its order."""
    page = make_page(ledger, HTML)
    with mpl.rc_context(fname=TEMPLATES / "lab.mplstyle"):
        return [draw(page) for draw in FIGURES.values()]


def to_svg(figure: Figure) -> str:
    """A figure as SVG text, the same for the same figure: no date, no random ids."""
    with mpl.rc_context(fname=TEMPLATES / "lab.mplstyle"):
        stream = io.StringIO()
        # Not savefig, which draws everything twice to lay it out once.
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return stream.getvalue()


def draw_speed_up(page: Page) -> Drawn:
    """Speed-up of the headline contrast against batch size, with its predictions."""
    headline = page.ledger.headline
    title = "Speed-up against batch size"
    series = _series(page, [("", f"ratio/{headline}/b{{}}")])
    if not series:
        return _nothing("speed-up", title, f"No data set has measured the contrast {headline}.")
    figure = Figure()
    axes = figure.subplots()
    colours = _colours(len(series))
    for index, (words, numbers) in enumerate(series):
        shift = 2 ** (0.05 * (index - (len(series) - 1) / 2))
        for size, number in numbers.items():
            for depth, prediction in enumerate(number.predictions):
                if prediction.low is None or prediction.high is None:
                    continue
                half = 2 ** max(0.16 - 0.06 * depth, 0.04)
                axes.fill_between(
                    [size * shift / half, size * shift * half],
                    prediction.low,
                    prediction.high,
                    color=colours[index],
                    alpha=0.16,
                    linewidth=0,
                )
        _plot(axes, numbers, colours[index], MARKERS[index % len(MARKERS)], shift, words[0])
    axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_ylabel(f"speed-up, {_sides(page, headline)}")
    top = max(float(n.high or n.value or 1) for _, numbers in series for n in numbers.values())
    bands = [p.high or 0 for _, ns in series for n in ns.values() for p in n.predictions]
    axes.set_ylim(0, 1.06 * max([top, *bands]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{trimmed(v)}×"))
    _batch_axis(axes, [size for _, numbers in series for size in numbers])
    predicted = any(
        p.low is not None for _, ns in series for n in ns.values() for p in n.predictions
    )
    _legend(figure, [axes], band=predicted, hollow=_any_single(series))
    alt = f"Speed-up of {_sides(page, headline)} against batch size. " + _ends(series)
    return _drawing("speed-up", title, alt, series, figure)


def draw_models(page: Page) -> Drawn:
    """What the launch models predict from batch 1 alone, beside the measured speed-up."""
    title = "Launch models, calibrated at one batch size, against what was measured"
    # Those that know the profile as well lie on top of those that do not: they are in the table.
    models = sorted(
        {
            str(number.id).split("/")[1]
            for number in page.ledger.numbers
            if str(number.id).startswith("model/") and "-profiled/" not in str(number.id)
        }
    )
    having = [d for d in page.ledger.datasets if matching(page, d.name, "model/*")]
    if not having:
        return _nothing("models", title, "No data set has the cells that a launch model needs.")
    figure, panels = _panels(having)
    colours = _colours(len(models) + 1)
    all_series: Series = []
    said = []
    for axes, dataset in zip(panels, having, strict=True):
        series = _series(
            page,
            [
                ("measured", f"ratio/{page.ledger.headline}/b{{}}"),
                *((f"{model} model", f"model/{model}/ratio/b{{}}") for model in models),
            ],
            [dataset],
        )
        for words, numbers in series:
            label = words[-1]
            if label == "measured":
                _plot(axes, numbers, INK, "o", 1.0, label)
            else:
                index = models.index(label.removesuffix(" model"))
                axes.plot(
                    list(numbers),
                    [float(n.value or 0) for n in numbers.values()],
                    color=colours[index],
                    marker=MARKERS[index + 1],
                    linestyle=(0, (2, 1.5)),
                    label=label,
                )
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_ylim(bottom=0)
        _batch_axis(axes, [size for _, numbers in series for size in numbers], len(having))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{trimmed(v)}×"))
        all_series += series
        said += [
            f"{_title(dataset)}: {_errors(page, dataset, model)}"
            for model in models
            if matching(page, dataset.name, f"model/{model}/*")
        ]
    panels[0].set_ylabel("speed-up")
    _legend(figure, panels, hollow=_any_single(all_series))
    return _drawing("models", title, "; ".join(said) + ".", all_series, figure)


def draw_throughput(page: Page) -> Drawn:
    """Throughput of every timed arm against batch size."""
    return _by_arm(
        page, "throughput", "Throughput against batch size", "throughput/{arm}/b{{}}", 1.0, "tok/s"
    )


def draw_step_time(page: Page) -> Drawn:
    """Time of a decode step of every timed arm against batch size."""
    return _by_arm(
        page, "step-time", "Decode step against batch size", "step/{arm}/b{{}}", 1000.0, "ms a step"
    )


def draw_attribution(page: Page) -> Drawn:
    """The bundle beside its factors: compilation alone and graphs alone."""
    title = "What the speed-up is made of"
    wanted = list(dict.fromkeys([page.ledger.headline, *FACTORS]))
    wanted = [c for c in wanted if any(c in d.contrasts for d in page.ledger.datasets)]
    having = [
        d
        for d in page.ledger.datasets
        if any(matching(page, d.name, f"ratio/{c}/b*") for c in wanted if c != page.ledger.headline)
    ]
    if not having:
        return _nothing(
            "attribution", title, "No data set has measured compilation apart from graphs."
        )
    figure, panels = _panels(having)
    colours = dict(zip(wanted, _colours(len(wanted)), strict=True))
    all_series: Series = []
    for axes, dataset in zip(panels, having, strict=True):
        series = _series(page, [(c, f"ratio/{c}/b{{}}") for c in wanted], [dataset])
        for index, (words, numbers) in enumerate(series):
            shift = 2 ** (0.06 * (index - (len(series) - 1) / 2))
            label = f"{words[-1]}: {_sides(page, words[-1], dataset)}"
            marker = MARKERS[wanted.index(words[-1]) % len(MARKERS)]
            _plot(axes, numbers, colours[words[-1]], marker, shift, label)
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        # Whiskers of two repeats may reach ten times as far as any point; they leave the panel.
        largest = max(float(n.value or 0) for _, numbers in series for n in numbers.values())
        axes.set_ylim(0, min(axes.get_ylim()[1], 3 * largest))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{trimmed(v)}×"))
        _batch_axis(axes, [size for _, numbers in series for size in numbers], len(having))
        all_series += series
    panels[0].set_ylabel("speed-up")
    _legend(figure, panels, hollow=_any_single(all_series))
    return _drawing("attribution", title, _ends(all_series), all_series, figure)


def draw_startup(page: Page) -> Drawn:
    """Start-up of every arm as one bar of phases, from process start to ready."""
    title = "Start-up, from the process's first line to ready"
    arms = [
        (dataset, arm)
        for dataset in page.ledger.datasets
        for arm in dataset.arms
        if find(page, dataset.name, f"startup/boot/{arm}") is not None
    ]
    if not arms:
        return _nothing("start-up", title, "No data set has kept the phases of its start-up.")
    figure = Figure(figsize=(7.6, 1.5 + 0.34 * len(arms)))
    axes = figure.subplots()
    palette = _colours(10)
    colours = [palette[place] for place in PHASE_COLOURS]
    several = len({dataset.name for dataset, _ in arms}) > 1
    for row, (dataset, arm) in enumerate(arms):
        begin = 0.0
        for (_, added, inside), colour in zip(PHASES, colours, strict=True):
            seconds = _seconds(page, dataset, arm, added) - _seconds(page, dataset, arm, inside)
            if seconds > 0:
                axes.barh(row, seconds, left=begin, color=colour, height=0.62, linewidth=0)
                begin += seconds
    axes.set_yticks(
        range(len(arms)),
        [f"{_title(dataset)}: {arm}" if several else arm for dataset, arm in arms],
    )
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds since the process began")
    figure.legend(
        handles=[Patch(color=c, label=n) for (n, _, _), c in zip(PHASES, colours, strict=True)],
        loc="outside upper left",
        ncols=4,
        fontsize=9,
        labelcolor=INK,
    )
    spans = (
        "import",
        "boot",
        "device",
        "load",
        "profile",
        "compile_cold",
        "compile_warm",
        "kv_cache",
        "warm_up",
        "capture",
    )
    columns = [[span.replace("_", " ")] for span in spans]
    rows: list[tuple[list[str], list[tuple[str, str] | None]]] = [
        (
            [dataset.title, arm],
            [
                (dataset.name, f"startup/{span}/{arm}")
                if find(page, dataset.name, f"startup/{span}/{arm}")
                else None
                for span in spans
            ],
        )
        for dataset, arm in arms
    ]
    said = []
    for dataset, arm in arms:
        boot, capture = (
            find(page, dataset.name, f"startup/{span}/{arm}") for span in ("boot", "capture")
        )
        if boot is not None and capture is not None:
            said.append(
                f"{arm}: the engine boots in {plain(boot)}, of which capture {plain(capture)}"
            )
        elif boot is not None:
            said.append(f"{arm}: the engine boots in {plain(boot)}, without a capture")
    drawing = Drawing(
        name="start-up", title=title, alt="; ".join(said) + ".", columns=columns, rows=rows
    )
    return drawing, figure


# What takes the headline apart, in the shipped contrasts: alone, and crossed in the factorial.
FACTORS = (
    "graph",
    "compile",
    "graph_compiled",
    "graph_uncompiled",
    "compile_graphed",
    "compile_ungraphed",
)
FIGURES: Mapping[str, Callable[[Page], Drawn]] = {
    "speed-up": draw_speed_up,
    "attribution": draw_attribution,
    "models": draw_models,
    "throughput": draw_throughput,
    "step-time": draw_step_time,
    "start-up": draw_startup,
}

Series = list[tuple[list[str], dict[int, Number]]]  # words that name it, number by batch size


def _series(
    page: Page, patterns: Sequence[tuple[str, str]], datasets: Sequence[Dataset] | None = None
) -> Series:
    """The measured numbers of each (name, pattern of ids) in each data set, by batch size."""
    found: Series = []
    for dataset in page.ledger.datasets if datasets is None else datasets:
        for name, pattern in patterns:
            numbers = {
                size: number
                for size in dataset.batch_sizes
                if (number := find(page, dataset.name, pattern.format(size))) is not None
                and number.value is not None
            }
            if numbers:
                found.append(([_title(dataset), *filter(None, [name])], numbers))
    return found


def _title(dataset: Dataset) -> str:
    title = clean(dataset.title)  # a control character would make the SVG no XML
    return f"{title} (SIMULATED)" if dataset.kind == "simulated" else title


def _plot(
    axes: Axes,
    numbers: Mapping[int, Number],
    colour: str,
    marker: str,
    shift: float,
    label: str,
    factor: float = 1.0,
) -> None:
    """One line: error bars where there are intervals, hollow points where n is 1."""
    x = [size * shift for size in numbers]
    y = [float(number.value or 0) * factor for number in numbers.values()]
    axes.plot(x, y, color=colour)
    axes.plot([], [], color=colour, marker=marker, label=label)  # for the legend
    for at, value, number in zip(x, y, numbers.values(), strict=True):
        if number.low is not None and number.high is not None:
            low, high = number.low * factor, number.high * factor
            axes.errorbar(at, value, [[value - low], [high - value]], color=colour, linewidth=1.1)
        axes.plot(
            at,
            value,
            marker=marker,
            color=colour,
            markerfacecolor=PAPER if number.n == 1 else colour,
            markeredgewidth=1.5,
            linestyle="none",
        )


def _by_arm(page: Page, name: str, title: str, pattern: str, factor: float, unit: str) -> Drawn:
    having = [
        d
        for d in page.ledger.datasets
        if matching(page, d.name, pattern.format(arm="*").format("*"))
    ]
    if not having:
        return _nothing(name, title, "No arm of any data set has a timed batch size.")
    arms = list(dict.fromkeys(arm for d in having for arm in _timed(page, d)))
    colours = dict(zip(arms, _colours(len(arms)), strict=True))
    figure, panels = _panels(having, sharey=True)
    all_series: Series = []
    for axes, dataset in zip(panels, having, strict=True):
        series = _series(
            page, [(arm, pattern.format(arm=arm)) for arm in _timed(page, dataset)], [dataset]
        )
        for index, (words, numbers) in enumerate(series):
            shift = 2 ** (0.05 * (index - (len(series) - 1) / 2))
            marker = MARKERS[arms.index(words[-1]) % len(MARKERS)]
            _plot(axes, numbers, colours[words[-1]], marker, shift, words[-1], factor)
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(FixedLocator(_round_ticks(axes.get_ylim())))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: trimmed(v)))
        _batch_axis(axes, [size for _, numbers in series for size in numbers], len(having))
        all_series += series
    panels[0].set_ylabel(unit)
    _legend(figure, panels, hollow=_any_single(all_series))
    return _drawing(name, title, _ends(all_series), all_series, figure)


def _timed(page: Page, dataset: Dataset) -> list[str]:
    """Timed arms, the headline's first; without doubles that only check noise or observer."""
    sides = {
        key: [contrast.denominator, contrast.numerator]
        for key, contrast in dataset.contrasts.items()
    }
    checks = {arm for key in ("noise", "observer") for arm in sides.get(key, [])}
    others = [
        arm for key, arms in sides.items() if key not in ("noise", "observer") for arm in arms
    ]
    ordered = [*sides.get(page.ledger.headline, []), *others, *sorted(set(dataset.arms) - checks)]
    return [
        arm
        for arm in dict.fromkeys(ordered)
        if arm in dataset.arms and dataset.arms[arm].purpose == "timed"
    ]


def _panels(datasets: Sequence[Dataset], sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A panel per data set, at most two in a row."""
    columns = min(2, len(datasets))
    rows = -(-len(datasets) // columns)
    figure = Figure(figsize=(7.6, 3.4 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    flat = [axes for line in grid for axes in line]
    for axes in flat[len(datasets) :]:
        axes.remove()
    for axes, dataset in zip(flat, datasets, strict=False):
        axes.set_title(_title(dataset))
    return figure, flat[: len(datasets)]


def _colours(count: int) -> list[str]:
    """Colour-blind safe, and distinct for as many as the palette has."""
    return [str(mpl.colors.to_hex(c)) for c in sns.color_palette("colorblind", max(count, 1))]


def _batch_axis(axes: Axes, sizes: Sequence[int], panels: int = 1) -> None:
    """Batch sizes on a binary logarithmic axis, labelled where labels do not touch."""
    ticks = sorted(set(sizes))
    labels, last = [], 0.0
    # A label of two digits takes about a fortieth of a single panel's width.
    doublings = 0.022 * min(panels, 2) * (math.log2(ticks[-1] / ticks[0]) + 0.8)
    for size in ticks:
        room = math.log2(size / last) >= doublings if last else True
        labels.append(str(size) if room else "")
        last = size if room else last
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, labels)
    axes.set_xlim(ticks[0] / 2**0.4, ticks[-1] * 2**0.4)
    axes.set_xlabel("batch size")


def _round_ticks(limits: tuple[float, float]) -> list[float]:
    """1, 2 and 5 times powers of ten within the limits; powers alone where that is many."""

    def within(steps: Sequence[int]) -> list[float]:
        return [
            step * 10.0**power
            for power in range(-9, 10)
            for step in steps
            if limits[0] <= step * 10.0**power <= limits[1]
        ]

    return within((1, 2, 5)) if len(within((1, 2, 5))) <= 8 else within((1,))


def _hollow(wanted: bool) -> list[Line2D]:
    return (
        [
            Line2D(
                [],
                [],
                color=INK,
                marker="o",
                markerfacecolor=PAPER,
                linestyle="none",
                markeredgewidth=1.5,
                label="hollow: single observation",
            )
        ]
        if wanted
        else []
    )


def _legend(figure: Figure, panels: Sequence[Axes], hollow: bool, band: bool = False) -> None:
    """One legend for all panels, below them: a series that occurs in several is said once."""
    lines = {
        str(line.get_label()): line
        for axes in panels
        for line in axes.get_legend_handles_labels()[0]
        if isinstance(line, Line2D)
    }
    entries: list[Line2D | Patch] = [*lines.values(), *_hollow(hollow)]
    if band:
        entries.append(Patch(color=INK, alpha=0.16, linewidth=0, label="shaded: predicted"))
    longest = max((len(str(entry.get_label())) for entry in entries), default=0)
    columns = 3 if longest <= 30 else 2
    figure.legend(handles=entries, loc="outside lower left", ncols=columns, labelcolor=INK)


def _any_single(series: Series) -> bool:
    return any(number.n == 1 for _, numbers in series for number in numbers.values())


def _sides(page: Page, contrast: str, dataset: Dataset | None = None) -> str:
    """What a contrast compares, `graphs / eager`, as the first data set that has it says."""
    for candidate in [dataset] if dataset else page.ledger.datasets:
        if contrast in candidate.contrasts:
            sides = candidate.contrasts[contrast]
            return f"{sides.numerator} / {sides.denominator}"
    return contrast


def _ends(series: Series) -> str:
    """Each series from its smallest batch size to its largest."""
    said = []
    for words, numbers in series:
        first, last = min(numbers), max(numbers)
        text = f"{', '.join(words)}: {plain(numbers[first])} at batch {first}"
        if last != first:
            text += f", {plain(numbers[last])} at batch {last}"
        said.append(text)
    return "; ".join(said) + "."


def _errors(page: Page, dataset: Dataset, model: str) -> str:
    errors = matching(page, dataset.name, f"model/{model}/error/b*")
    said = [
        f"{plain(n).removesuffix(' (single observation)')} at batch {str(n.id).rsplit('/b', 1)[1]}"
        for n in errors
    ]
    return f"the {model} model is off by {', '.join(said)}"


def _seconds(page: Page, dataset: Dataset, arm: str, spans: Sequence[str]) -> float:
    """Sum of the spans that an arm has; a phase that it does not have takes no time.

    Some repeats of an arm compile cold and others warm: the two count by their repeats.
    """
    found = [find(page, dataset.name, f"startup/{span}/{arm}") for span in spans]
    known = [number for number in found if number is not None and number.value is not None]
    compiling = [number for number in known if str(number.id).startswith("startup/compile_")]
    repeats = sum(number.n for number in compiling)
    return math.fsum(
        float(number.value or 0) * (number.n / repeats if number in compiling else 1)
        for number in known
    )


def _drawing(name: str, title: str, alt: str, series: Series, figure: Figure) -> Drawn:
    sizes = sorted({size for _, numbers in series for size in numbers})
    rows: list[tuple[list[str], list[tuple[str, str] | None]]] = [
        (
            [f"batch {size}"],
            [
                (numbers[size].dataset, str(numbers[size].id)) if size in numbers else None
                for _, numbers in series
            ],
        )
        for size in sizes
    ]
    columns = [words for words, _ in series]
    return Drawing(name=name, title=title, alt=alt, columns=columns, rows=rows), figure


def _nothing(name: str, title: str, reason: str) -> Drawn:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(7.6, 1.0))
    figure.text(0.5, 0.5, reason, ha="center", va="center", color=INK)
    return Drawing(name=name, title=title, alt=reason, columns=[], rows=[]), figure
