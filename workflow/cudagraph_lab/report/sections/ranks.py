"""Tensor parallelism: what several GPUs make of the gain, measured and still forecast."""

from collections.abc import Sequence

from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import STEP, WAITING
from cudagraph_lab.ledger.index import Index, everywhere, of_primary
from cudagraph_lab.ledger.selection import Sized, ranked
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted, value
from cudagraph_lab.report.phrases import key, table
from cudagraph_lab.report.view import Block, Fold


def rank_lines(index: Index) -> list[Line]:
    """A sentence for each model that was measured on several GPUs."""
    found = ranked(index)
    lines = [line for (device, _), rows in found.items() for line in _course(index, device, rows)]
    if lines:
        lines.append(
            (
                "Several GPUs share the GPU’s work, but each of them needs all launches. The "
                "slower a host launches, the more graphs bring there.",
            )
        )
    return lines


def rank_table(index: Index) -> list[Block]:
    """A row for each data set of a model on several GPUs, and for each forecast that waits."""
    found, waiting = ranked(index), _waiting(index)
    rows: list[list[Line]] = [
        [
            say(
                "{n} {device}, {model}",
                n=key(row.ranks),
                device=Exempt(device),
                model=Exempt(row.label),
            ),
            (Code(row.dataset),),
            _by_batch({size: noted(index, number) for size, number in row.ratios.items()}),
        ]
        for (device, _), group in found.items()
        for row in group
    ]
    rows += [
        [
            ("forecast, not measured",),
            (Code(dataset),),
            _by_batch({size: value(number) for size, number in numbers.items()}),
        ]
        for dataset, numbers in waiting.items()
    ]
    if not rows:
        return []
    columns = ["GPUs", "data set", "speed-up, and the batch size"]
    caption = (
        "Speed-up of a decode step by graphs and compilation. Two rows of the same GPUs and model "
        "are of two hosts. The forecasts here assume a host that was calibrated.",
    )
    summary = ("Several GPUs at every batch size, and forecasts that wait for a measurement",)
    return [Fold(summary, [table(caption, columns, rows)])]


def _by_batch(numbers: dict[int, Line]) -> Line:
    cells = [say("{x} at {size}", x=x, size=batch(size)) for size, x in sorted(numbers.items())]
    return join(cells, ", ")


def _waiting(index: Index) -> dict[str, dict[int, Number]]:
    """By data set that is not measured yet, the forecasts by batch size."""
    found: dict[str, dict[int, Number]] = {}
    for number in everywhere(index, WAITING):
        found.setdefault(str(number.id.dataset), {})[int(number.id.batch)] = number
    return found


def _course(index: Index, device: str, rows: Sequence[Sized]) -> list[Line]:
    """From the fewest to the most GPUs, at the batch size in the middle, with the steps' reason."""
    common = sorted(set.intersection(*(set(row.ratios) for row in rows)))
    if not common:
        return []
    size = common[len(common) // 2]
    steps = [_steps(index, row, size) for row in rows]
    earlier = [{other.ranks for other in rows[:place]} for place in range(len(rows))]
    parts = [
        say(
            "{x} on {n} {device}{host}{steps}",
            n=key(row.ranks),
            device=Exempt(device),
            host=" of another host" if row.ranks in before else "",
            x=noted(index, row.ratios[size]),
            steps=step,
        )
        for row, step, before in zip(rows, steps, earlier, strict=True)
    ]
    return [
        say(
            "{model}, batch {size}: graphs and compilation speed a decode step up by {parts}.",
            model=Strong((Exempt(rows[0].label),)),
            size=batch(size),
            parts=join(parts),
        )
    ]


def _steps(index: Index, row: Sized, size: int) -> Line:
    """The seconds of a step in eager and with graphs, in brackets."""
    steps = of_primary(index, row.dataset, STEP, batch=size)
    if steps is None:
        return ("",)
    return say(
        " ({graphs} with graphs, {eager} in eager)",
        eager=noted(index, steps[0]),
        graphs=noted(index, steps[1]),
    )
