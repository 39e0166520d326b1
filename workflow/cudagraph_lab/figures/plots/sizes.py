"""Do larger models gain less?

Speed-up by model: measured, published, and what the extrapolation brackets.
"""

from matplotlib.figure import Figure

from cudagraph_lab.figures.style import (
    INK,
    PAPER,
    WIDTH,
    Drawn,
    colour_of,
    nothing,
    ratio_axis,
    reach,
)
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import BACKTEST, EXTRAPOLATION
from cudagraph_lab.ledger.index import (
    Index,
    having,
    ratios,
    short_device,
    short_model,
    with_quantity,
)
from cudagraph_lab.ledger.number_format import plain


def rows(index: Index) -> list[tuple[str, str, Number]]:
    """(kind, label, number): measured at the smallest batch, then published, then brackets."""
    found: list[tuple[str, str, Number]] = []
    for dataset in having(index, "primary"):
        if dataset.kind == "transcribed":
            continue
        numbers = ratios(index, dataset.name, "primary")
        size = min(numbers)
        label = f"{short_model(dataset)}, {short_device(dataset)}, batch {size}"
        found.append((dataset.name, label, numbers[size]))
    for name in index.groups:
        for number in with_quantity(index, name, BACKTEST):
            found.append(("published", str(number.id.pair), number))
    for name in index.groups:
        for number in with_quantity(index, name, EXTRAPOLATION):
            key = number.id
            gpus = f"{key.tp} {key.device.upper()}"
            found.append(
                ("bracket", f"{key.model}, {gpus}, {key.dtype}, batch {key.batch}", number)
            )
    return found


def draw(index: Index) -> Drawn:
    """A row per model and device."""
    found = rows(index)
    if not found:
        return nothing("No speed-up of any model was measured, published or bracketed.")
    figure = Figure(figsize=(WIDTH, 0.9 + 0.26 * len(found)))
    axes = figure.subplots()
    numbers = [number for _, _, number in found]
    low, high = reach(numbers)
    for place, (kind, _, number) in enumerate(found):
        ends = [number.low, number.high]
        for prediction in number.predictions if kind == "published" else ():
            ends = [prediction.low, prediction.high]
            high = max(high, prediction.high or 1)
        colour = colour_of(index, index.datasets[kind]) if kind in index.datasets else INK
        known = [end for end in ends if end is not None]
        if len(known) == len(ends):
            style = "-" if kind in index.datasets else (0, (1, 1.5))
            axes.plot(known, [place, place], color=colour, linestyle=style, marker="|")
        if number.value is not None:
            face = colour if kind in index.datasets else PAPER
            axes.plot(number.value, place, "o", color=colour, markerfacecolor=face)
    axes.set_yticks(range(len(found)), [label for _, label, _ in found])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    ratio_axis(axes, low / 1.1, high * 1.1, horizontal=True)
    figure.supxlabel(
        "filled: measured · hollow: published by others · dotted: our bracket, not measured",
        fontsize=8.5,
        color=INK,
    )
    said = "; ".join(f"{label}: {plain(number)}" for _, label, number in found)
    return figure, f"Speed-up by model and device. {said}.", numbers
