"""A panel: what the number of GPUs that share a model makes of the speed-up."""

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from cudagraph_lab.figures.colours import CONTEXT, colour_of
from cudagraph_lab.figures.style import INK, panel_title, ratio_axis
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.number_format import plain
from cudagraph_lab.ledger.selection import Curve, Sized, curves, ranked


def largest_ranked(index: Index) -> tuple[str, list[Sized]] | None:
    """Device and data sets of the largest model that was measured on several GPUs; else None."""
    found = ranked(index)
    if not found:
        return None
    (device, _), rows = max(found.items(), key=lambda item: item[1][0].parameters)
    return device, rows


def ranks_panel(axes: Axes, index: Index, device: str, rows: list[Sized]) -> list[Number]:
    """Measured speed-ups by GPUs, what was registered for them, and today's forecast as a band."""
    batch = min(set.intersection(*(set(row.ratios) for row in rows)))
    colour = colour_of(index, index.datasets[rows[0].dataset])
    line = [
        (curve.tp, number)
        for curve in _of_this_host(index, device)
        for size, number in curve.points
        if size == rows[0].parameters and curve.batch == batch
    ]
    line.sort(key=lambda point: point[0])
    if line:
        places = [tp for tp, _ in line]
        lows, highs = ([float(getattr(n, e) or 1) for _, n in line] for e in ("low", "high"))
        axes.fill_between(places, lows, highs, color=CONTEXT, alpha=0.2, linewidth=0)
        values = [float(n.value or 1) for _, n in line]
        axes.plot(places, values, color=CONTEXT, linewidth=1.2, label="step model today")
    reached = [float(n.high or 1) for _, n in line] + [1.0]
    for row in rows:
        number = row.ratios[batch]
        axes.plot(row.ranks, float(number.value or 1), "o", color=colour, markersize=6)
        reached.append(float(number.value or 1))
        for judged in number.predictions:
            if judged.low is not None and judged.high is not None:
                place = row.ranks * 1.05
                axes.plot([place] * 2, [judged.low, judged.high], ":", color=INK, linewidth=1.2)
    axes.plot([], [], "o", color=colour, label="measured, each host")
    axes.plot([], [], ":", color=INK, label="registered before, 90%")
    axes.set_xscale("log", base=2)
    ticks = sorted({row.ranks for row in rows} | {tp for tp, _ in line})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{device}s that share the model")
    ratio_axis(axes, 0.85, max(reached) * 1.1)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    panel_title(axes, f"{rows[0].label}, batch {batch}", colour)
    return [*[number for _, number in line], *[row.ratios[batch] for row in rows]]


def ranks_finding(rows: list[Sized]) -> str:
    """The panel in words."""
    batch = min(set.intersection(*(set(row.ratios) for row in rows)))
    said = [f"{plain(row.ratios[batch])} on {row.ranks}" for row in rows]
    return f"{rows[0].label} by number of GPUs, batch {batch}: {', '.join(said)}"


def _of_this_host(index: Index, device: str) -> list[Curve]:
    """The curves of the calibrated host on a device."""
    found = curves(index)
    return [c for c in found if c.host == found[0].host and c.device.upper() == device]
