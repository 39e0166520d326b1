"""Reading and checking observations, and their logs by process.

A *cell* is one arm at one batch size: the values of the timed iterations, grouped by repeat. A
repeat is a fresh process. Values are positive, in any one unit, and may be durations or rates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cudagraph_lab.errors import LabError

Cell = Sequence[Sequence[float]]  # per repeat: its iterations
Blocks = Mapping[int, Sequence[float]]  # by the number of the repeat: its iterations
Logs = Mapping[int, float]  # by the number of the repeat: the mean of the logs
ArmLogs = Mapping[int, Logs]  # by batch size: the arm's mean logs there
Floats = NDArray[np.float64]

# The logs of equal values can differ by rounding: a spread below this is not a spread.
ROUNDING = 1e-12


@dataclass(frozen=True)
class ReadCell:
    """A cell made ready: logs over the cell's smallest value, which are exact zeros there.

    Repeats and iterations are sorted, so that nothing downstream depends on their order.
    """

    reference: float
    logs: Floats  # repeats x iterations of the longest; 0 beyond those of a shorter one
    counts: NDArray[np.int64]  # iterations, one per repeat
    means: Floats  # one per repeat

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which of `logs` are values: repeats x iterations of the longest."""
        return np.asarray(np.arange(self.logs.shape[1]) < self.counts[:, None])

    @property
    def location(self) -> float:
        """Geometric mean over repeats, in the cell's unit."""
        return float(self.reference * np.exp(self.means.mean()))


def log_means(cell: Blocks, *, name: str = "cell") -> dict[int, float]:
    """The mean of the logs of each repeat's iterations, by repeat, in ascending order.

    Raises LabError, with `name`, for an empty cell or repeat and for a value that is not a
    positive finite number.
    """
    if not cell:
        raise LabError(f"{name}: the cell is empty; it needs at least one repeat")
    return {
        repeat: float(np.log(positive(cell[repeat], f"{name}, repeat {repeat}")).mean())
        for repeat in sorted(cell)
    }


def logs_by_batch(cells: Mapping[int, Blocks], *, name: str = "arm") -> ArmLogs:
    """`log_means` of an arm's cells, by batch size. Raises LabError as `log_means` does."""
    return {b: log_means(cell, name=f"{name}, batch size {b}") for b, cell in cells.items()}


def within_processes(
    logs: ArmLogs, weights: Mapping[int, float], *, name: str = "arm"
) -> dict[int, float]:
    """A contrast of batch sizes taken inside each process of one arm, by repeat.

    `logs` maps a batch size to the arm's mean logs there (`logs_by_batch`). A repeat's value is
    the sum over batch sizes of weight times mean log, so that what a process adds to all of its
    batch sizes cancels where the weights add up to 0. A repeat that lacks one of the batch sizes
    has no value. Raises LabError, with `name`, for a batch size that has no cell.
    """
    missing = sorted(set(weights) - set(logs))
    if missing or not weights:
        raise LabError(f"{name}: no cell at batch size {missing}; leave it out of the contrast")
    complete = sorted(set.intersection(*(set(logs[batch]) for batch in weights)))
    return {r: math.fsum(w * logs[b][r] for b, w in weights.items()) for r in complete}


def positive(values: Sequence[float], where: str) -> Floats:
    """`values` as an array. Raises LabError, with `where`, unless all are positive finite."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise LabError(f"{where}: {values!r} are not numbers; check the record") from None
    if array.ndim != 1 or array.size == 0:
        raise LabError(f"{where}: no list of values; it needs at least one timed iteration")
    good = (array > 0) & (array < np.inf)
    if not good.all():
        bad = np.flatnonzero(~good)
        raise LabError(
            f"{where}, iteration {bad[0] + 1}: {array[bad[0]]} is not a positive finite number; "
            "mend or leave out the record"
        )
    return array


def read_cell(cell: Cell, name: str) -> ReadCell:
    """A cell made ready. Raises LabError, with `name`, for what is no cell."""
    if len(cell) == 0:
        raise LabError(f"{name}: the cell is empty; it needs at least one repeat")
    repeats = [positive(values, f"{name}, repeat {i}") for i, values in enumerate(cell, 1)]
    values = np.concatenate(repeats)
    reference = float(values.min())
    counts = np.array([len(repeat) for repeat in repeats])
    present = np.arange(counts.max()) < counts[:, None]
    logs = np.full(present.shape, np.inf)
    logs[present] = np.log(values) - np.log(reference)
    logs.sort(axis=1)
    logs[~present] = 0.0
    order = np.lexsort((*logs.T[::-1], counts))
    logs, counts = logs[order], counts[order]
    return ReadCell(reference, logs, counts, logs.sum(axis=1) / counts)


def expm1(log: float, name: str) -> float:
    """exp(log) - 1. Raises LabError, with `name`, where the result is out of range."""
    try:
        return math.expm1(log)
    except OverflowError:
        raise LabError(f"{name}: the values span too many orders; check the units") from None
