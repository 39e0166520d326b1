"""The mean of a cell with its interval, and what every estimate is made of.

Everything is done on logs, so that a mean of seconds and a mean of tokens per second are each
other's reciprocal. The location of a cell is the geometric mean over repeats of the geometric mean
over the repeat's iterations: a repeat counts once, however many iterations it has. Only repeats
are independent, so only the spread between them carries an interval: Student's t on the logs of
the repeats' means.

`contrasts` compares cells. `docs/statistics.md` has the formulas, their sources and their coverage.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cudagraph_lab.statistics.cells import ROUNDING, Cell, Floats, ReadCell, read_cell
from cudagraph_lab.statistics.uncertainty import Error

T_METHOD = "Welch t on log repeat means"
FEW_REPEATS = 5  # with 4 repeats of one cell, t is still 1.6 times the normal quantile
WIDEST = 100  # high over low; beyond two orders of magnitude an interval only says "measure more"


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    `n` is the number of repeats, that of the smallest cell where several enter. `low` and
    `high` bound the central interval and are None, as is `method`, where n or the data allow
    none. `note` says in one phrase what a reader must know, or is None.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str | None
    note: str | None
    exact: bool = False  # the same value in every one of several repeats


def estimate_mean(cell: Cell, *, name: str = "cell") -> Estimate:
    """Geometric mean of a cell, in the cell's unit, with its interval.

    Neither depends on the order of repeats or iterations. Raises LabError, with `name`, for an
    empty cell or repeat and for a value that is not a positive finite number.
    """
    return estimate_cell(read_cell(cell, name))


def estimate_cell(known: ReadCell) -> Estimate:
    """`estimate_mean` of a cell that is made ready."""
    value = known.location
    return estimate_with(
        value, len(known.means), error_of_cell(known), T_METHOD, lambda log: value * np.exp(log)
    )


def estimate_with(
    value: float, n: int, error: Error | None, method: str, beside: Callable[[float], float]
) -> Estimate:
    """The estimate of n repeats; `beside` gives what lies so far from the value on the log scale.

    Without an interval where there is no error, and where the interval would be too wide to say
    anything.
    """
    if error is None:
        why = "one repeat" if n == 1 else "equal repeats, spread not resolved"
        return Estimate(value, None, None, n, None, f"{why}: no interval", exact=n > 1)
    half_width = error.half_width()
    if not half_width <= math.log(WIDEST) / 2:  # nor is it where the width is not a number
        return Estimate(value, None, None, n, None, "spread too wide: no interval")
    note = None
    if n < FEW_REPEATS:
        note = (
            f"{n} repeats are few: the interval rests on a t distribution with "
            f"{error.total_degrees:.1f} degrees of freedom"
        )
    low, high = (float(beside(sign * half_width)) for sign in (-1, 1))
    return Estimate(value, low, high, n, method, note)


def draw_locations(cell: Cell, size: int, seed: int, *, name: str = "cell") -> Floats | None:
    """`size` plausible values of a cell's location, to carry its uncertainty through a formula.

    From the t distribution that its interval rests on: the logs of the repeats' means, their
    standard error, n - 1 degrees of freedom. None where the cell has no interval. Raises LabError
    as `estimate_mean` does.
    """
    known = read_cell(cell, name)
    error = error_of_cell(known)
    if error is None:
        return None
    draws = np.random.default_rng(seed).standard_t(len(known.means) - 1, size)
    with np.errstate(over="ignore"):  # of two repeats the far draws are infinite
        away = np.exp(error.standard_error * draws)
    return np.asarray(known.location * away, dtype=np.float64)


def error_of_cell(cell: ReadCell) -> Error | None:
    """The uncertainty of a cell's location; None for one repeat and for repeats without spread."""
    n = len(cell.means)
    if n == 1 or np.ptp(cell.means) <= ROUNDING:
        return None
    variance, repeats = cell.means.var(ddof=1), float(n)
    return Error(np.array([variance]), np.array([repeats]), np.array([repeats - 1]))
