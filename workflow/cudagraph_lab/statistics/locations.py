"""Means, ratios and other products of independent cells, with Welch's t intervals.

Everything is done on logs, so that a mean of seconds and a mean of tokens per second are each
other's reciprocal, and a ratio of means is the mean ratio. The location of a cell is the
geometric mean over repeats of the geometric mean over the repeat's iterations: a repeat counts
once, however many iterations it has. Only repeats are independent, so only the spread between
them carries an interval: Welch's t (Welch 1947, with Satterthwaite's degrees of freedom) on
the logs of the repeats' means, Student's where there is one cell.

`contrasts` holds what replaces this where repeats are blocks or variances are moderated.
`docs/statistics.md` has the formulas, their sources and their coverage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import (
    ROUNDING,
    Cell,
    Floats,
    ReadCell,
    Term,
    check_level,
    read,
)
from cudagraph_lab.statistics.error import Error

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


def estimate_mean(cell: Cell, seed: int, level: float = LEVEL, *, name: str = "cell") -> Estimate:
    """Geometric mean of a cell, in the cell's unit; see `estimate_contrast`."""
    return estimate_contrast([Term(cell, 1, name)], seed, level)


def estimate_contrast(terms: Sequence[Term], seed: int, level: float = LEVEL) -> Estimate:
    """Product of the cells' locations, each to the power of its weight, with an interval.

    Weights +1 and -1 on two cells give a ratio; +1, -1, -1, +1 on the cells of a 2x2 factorial
    give its interaction as a ratio of ratios, and halves its main effects. The cells are taken
    to be independent. `seed` is not used: nothing is drawn. The interval does not depend on the
    order of repeats or iterations.

    Raises LabError, with the cell's name, for an empty cell or repeat and for a value that is
    not a positive finite number; for a cell that enters twice, since its spread would be
    counted as two independent ones; for a weight of 0; and for a level outside 0 to 1.
    """
    return estimate_of(read(terms), level)


def draw_locations(cell: Cell, size: int, seed: int, *, name: str = "cell") -> Floats | None:
    """`size` plausible values of a cell's location, to carry its uncertainty through a formula.

    From the t distribution that its interval at few repeats rests on: the logs of the
    repeats' means, their standard error, n - 1 degrees of freedom. None where the cell has
    no interval. Raises LabError as `estimate_contrast` does.
    """
    (only,) = read([Term(cell, 1, name)])
    spread = error_of_cells([only])
    if spread is None:
        return None
    n = len(only.means)
    error = math.sqrt(spread.variances[0] / n)
    draws = np.random.default_rng(seed).standard_t(n - 1, size)
    return np.asarray(only.location * np.exp(error * draws), dtype=np.float64)


def t_quantile(degrees: int, level: float = LEVEL) -> float:
    """Student's t quantile that bounds the central `level`, for whole degrees of freedom."""
    check_level(level)
    return float(special.stdtrit(degrees, (1 + level) / 2))


def value_of(cells: Sequence[ReadCell]) -> float:
    """Product of the locations to the power of their weights. Raises LabError out of range."""
    try:
        above = math.prod(cell.location**cell.weight for cell in cells if cell.weight > 0)
        below = math.prod(cell.location**-cell.weight for cell in cells if cell.weight < 0)
        value = float(above / below)
    except (OverflowError, ZeroDivisionError):
        value = math.inf
    if not (math.isfinite(value) and value > 0):
        names = ", ".join(cell.name for cell in cells)
        raise LabError(f"{names}: the result leaves the range of numbers; check the units")
    return value


def error_of_cells(cells: Sequence[ReadCell]) -> Error | None:
    """Welch's approximation; None where some cell has one repeat, or no spread between repeats."""
    if any(len(cell.means) == 1 or np.ptp(cell.means) <= ROUNDING for cell in cells):
        return None
    variances = [cell.weight**2 * float(cell.means.var(ddof=1)) for cell in cells]
    repeats = np.array([float(len(cell.means)) for cell in cells])
    return Error(np.array(variances), repeats, repeats - 1)


def estimate_of(cells: Sequence[ReadCell], level: float) -> Estimate:
    """Estimate of the product of cells that were made ready; see `estimate_contrast`."""
    check_level(level)
    value = value_of(cells)
    n = min(len(cell.means) for cell in cells)
    spread = error_of_cells(cells)
    if spread is None:
        why = "one repeat" if n == 1 else "equal repeats, spread not resolved"
        return Estimate(value, None, None, n, None, f"{why}: no interval", exact=n > 1)

    note = None
    if n < FEW_REPEATS:
        note = (
            f"{n} repeats are few: the interval rests on a t distribution with "
            f"{spread.total_degrees:.1f} degrees of freedom"
        )
    half_width = spread.half_width(level)
    with np.errstate(over="ignore"):
        low, high = float(value * np.exp(-half_width)), float(value * np.exp(half_width))
    if low == 0 or not math.isfinite(high) or high / low > WIDEST:
        return Estimate(value, None, None, n, None, "spread too wide: no interval")
    return Estimate(value, low, high, n, T_METHOD, note)
