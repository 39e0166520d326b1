"""Mean logs of cells with draws of them, for numbers that are formulas of several cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cudagraph_lab.statistics.cells import ArmLogs, Floats, Logs
from cudagraph_lab.statistics.contrasts import draw_together

# With 4,000 draws the ends of a quotient differ by a tenth of its width from seed to seed.
QUOTIENT_DRAWS = 100_000

Place = tuple[tuple[str, ...], int]  # arms that count as one, and a batch size


@dataclass(frozen=True)
class Drawn:
    """The mean log of each cell; draws of them, element by element from the same draw.

    `draws` is None where a cell has one repeat or no spread. `n` is the number of repeats of
    the cell that has the fewest.
    """

    logs: list[float]
    draws: list[Floats] | None
    n: int


def draw_cells(
    arms: Mapping[str, ArmLogs], places: Sequence[Place], *, blocks: bool, seed: int
) -> Drawn:
    """The mean logs of these cells of a data set, with draws of them.

    Arms of one place count as one: with blocks by their mean in each repeat, else each process
    once. Cells of the same arms share processes and are drawn together; cells of other arms
    share something only where repeats are blocks. Repeats of arms measured apart have the same
    numbers and nothing else in common, so that a correlation between them would be chance.
    """
    cells = [pooled_logs(arms, place, blocks=blocks) for place in places]
    logs = [fmean(cell.values()) for cell in cells]
    n = min(len({r for arm in names for r in arms[arm][batch]}) for names, batch in places)
    if blocks:
        return Drawn(logs, draw_together(cells, QUOTIENT_DRAWS, seed), n)
    drawn: dict[int, Floats] = {}
    for offset, side in enumerate(dict.fromkeys(names for names, _ in places)):
        of_side = [i for i, (names, _) in enumerate(places) if names == side]
        together = draw_together([cells[i] for i in of_side], QUOTIENT_DRAWS, seed + offset)
        if together is None:
            return Drawn(logs, None, n)
        drawn |= zip(of_side, together, strict=True)
    return Drawn(logs, [drawn[i] for i in range(len(places))], n)


def pooled_logs(arms: Mapping[str, ArmLogs], place: Place, *, blocks: bool) -> Logs:
    """The mean logs of a place, by repeat where repeats are blocks, else by process.

    Within a block, arms of the place count with their mean.
    """
    names, batch = place
    known = {arm: arms[arm][batch] for arm in names}
    if blocks:
        repeats = sorted(set().union(*known.values()))
        return {r: fmean(logs[r] for logs in known.values() if r in logs) for r in repeats}
    # Numbered over all batch sizes, so that a process has the same number in each.
    processes = sorted({(name, r) for name in names for cell in arms[name].values() for r in cell})
    return {
        number: known[name][repeat]
        for number, (name, repeat) in enumerate(processes)
        if repeat in known[name]
    }
