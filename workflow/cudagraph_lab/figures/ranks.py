"""A panel: what the number of GPUs that share a model makes of the speed-up."""

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from cudagraph_lab.figures.colours import CONTEXT, colour_of
from cudagraph_lab.figures.style import INK, band, panel_title, ratio_axis
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.number_format import plain
from cudagraph_lab.ledger.selection import Curve, Sized, curves, ranked


def largest_ranked(index: Index) -> tuple[str, list[Sized]] | None:
    """Device and data sets of the largest model that was measured on several GPUs; else None."""
    found = ranked(index)
    if not found:
        return None
    (device, _), rows = max(found.items(), key=lambda item: (item[1][0].parameters, len(item[1])))
    return device, rows


def ranks_panel(axes: Axes, index: Index, device: str, rows: list[Sized]) -> list[Number]:
    """Measured speed-ups by GPUs, what was registered for them, and today's forecast as a band."""
    batch = min(set.intersection(*(set(row.ratios) for row in rows)))
    line = [
        (curve.tp, number)
        for curve in _of_this_host(index, device)
        for size, number in curve.points
        if size == rows[0].parameters and curve.batch == batch
    ]
    line.sort(key=lambda point: point[0])
    if line:
        places = [tp for tp, _ in line]
        band(axes, places, [n for _, n in line], CONTEXT, 0.2)
        values = [float(n.value or 1) for _, n in line]
        axes.plot(places, values, color=CONTEXT, linewidth=1.2, label=f"step model today, {device}")
    reached = [float(n.high or 1) for _, n in line] + [1.0]
    label = rows[0].label
    shown = [number for _, number in line]
    for other, found in {(device, label): rows, **_with_batch(index, label, batch)}.items():
        own = colour_of(index, index.datasets[found[0].dataset])
        for row in found:
            number = row.ratios[batch]
            axes.plot(row.ranks, float(number.value or 1), "o", color=own, markersize=6)
            reached.append(float(number.value or 1))
            shown.append(number)
            for judged in number.predictions:
                if judged.low is not None and judged.high is not None:
                    place = row.ranks * 1.05
                    axes.plot([place] * 2, [judged.low, judged.high], ":", color=own, linewidth=1.2)
        axes.plot([], [], "o", color=own, label=f"measured, {other[0]}")
    axes.plot([], [], ":", color=CONTEXT, label="registered before, 90%")
    axes.set_xscale("log", base=2)
    ticks = sorted({row.ranks for row in rows} | {tp for tp, _ in line})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("GPUs that share the model")
    ratio_axis(axes, 0.85, max(reached) * 1.1)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    panel_title(axes, f"{label}, batch {batch}", INK)
    return shown


def _with_batch(index: Index, label: str, batch: int) -> dict[tuple[str, str], list[Sized]]:
    """By device and model, the rows of a model that were measured at a batch size."""
    found = {
        place: [row for row in rows if batch in row.ratios]
        for place, rows in ranked(index).items()
        if place[1] == label
    }
    return {place: rows for place, rows in found.items() if rows}


def ranks_finding(rows: list[Sized]) -> str:
    """The panel in words."""
    batch = min(set.intersection(*(set(row.ratios) for row in rows)))
    said = [f"{plain(row.ratios[batch])} on {row.ranks}" for row in rows]
    return f"{rows[0].label} by number of GPUs, batch {batch}: {', '.join(said)}"


def _of_this_host(index: Index, device: str) -> list[Curve]:
    """The curves of the calibrated host on a device."""
    found = curves(index)
    return [c for c in found if c.host == found[0].host and c.device.upper() == device]
