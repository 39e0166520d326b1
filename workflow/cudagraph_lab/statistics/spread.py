"""Spread between repeats, beyond that of their iterations, with its interval."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import ROUNDING, Cell, Floats, ReadCell, expm1, read_cell

TAIL = (1 - LEVEL) / 2
WIDEST = 100  # 10,000%; beyond it an interval only says "measure more"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """Spread between repeats as a coefficient of variation (0.05 is 5%); None where not identified.

    `note` says what a reader must know of it: that it was set to 0, or why it, or its interval, is
    missing.
    """

    cv: float | None
    interval: Interval | None
    repeats: int
    note: str | None


def spread_between(cell: Cell, *, name: str = "cell") -> Spread:
    """Spread between repeats: one-way random effects on logs, with an interval.

    Method of moments for unequal group sizes (Searle, Casella and McCulloch 1992, section 3.6):
    between = (MSB - MSW) / m0. A log variance v is given as the coefficient of variation of the
    lognormal, sqrt(exp(v) - 1). A negative estimate is set to 0.

    The interval is on log variances: a difference of two mean squares over m0, by the modified
    large-sample method (Ting, Burdick, Graybill, Jeyaratnam and Lu 1990), which is exact in either
    mean square alone; ends below 0 become 0. It is for normal logs: too narrow where single repeats
    are far off. Raises LabError as `estimate_mean` does.
    """
    known = read_cell(cell, name)
    repeats, total = len(known.means), float(known.counts.sum())
    if total == repeats:
        why = "one iteration per repeat: spread between and within cannot be told apart"
        return Spread(None, None, repeats, why)
    if repeats == 1:
        return Spread(None, None, repeats, "one repeat: spread between repeats is not known")
    within, between, effective = _mean_squares(known)
    variance = (between - within) / effective
    cv = math.sqrt(expm1(max(variance, 0.0), name))
    interval: Interval | None = None
    note: str | None = "equal iterations, spread not resolved"
    if within > ROUNDING**2:
        ends = _difference(between, repeats - 1, within, total - repeats)
        interval = _as_cv(ends / effective)
        note = f"spread too wide for {repeats} repeats: no interval"
    if variance < 0:
        note = "repeats differ by less than their iterations do: spread between them set to 0"
    elif interval is not None:
        note = None
    return Spread(cv, interval, repeats, note)


def _mean_squares(cell: ReadCell) -> tuple[float, float, float]:
    """Mean squares of the iterations and of the repeats, and m0, the iterations that count."""
    means, counts = cell.means, cell.counts.astype(np.float64)
    repeats, total = len(means), float(counts.sum())
    squares = np.where(cell.present, (cell.logs - means[:, None]) ** 2, 0.0)
    within = float(squares.sum()) / (total - repeats)
    grand = float(counts @ means) / total
    between = float(counts @ (means - grand) ** 2) / (repeats - 1)
    effective = (total - float(counts @ counts) / total) / (repeats - 1)
    return within, between, effective


def _difference(first: float, first_degrees: float, second: float, second_degrees: float) -> Floats:
    """Ends of the interval of a difference of two independent mean squares' expectations."""
    quotient = first / second

    def f(upper_tail: float, degrees: float) -> float:  # over a mean square that is known
        return float(special.chdtri(degrees, upper_tail)) / degrees

    def both(upper_tail: float) -> float:
        return float(special.fdtri(first_degrees, second_degrees, 1 - upper_tail))

    g1, h1 = 1 - 1 / f(TAIL, first_degrees), 1 / f(1 - TAIL, first_degrees) - 1
    g2, h2 = 1 - 1 / f(TAIL, second_degrees), 1 / f(1 - TAIL, second_degrees) - 1
    upper, lower = both(TAIL), both(1 - TAIL)
    g12 = ((upper - 1) ** 2 - g1**2 * upper**2 - h2**2) / upper
    h12 = ((1 - lower) ** 2 - h1**2 * lower**2 - g2**2) / lower
    below = (g1 * quotient) ** 2 + h2**2 + g12 * quotient
    above = (h1 * quotient) ** 2 + g2**2 + h12 * quotient
    roots = np.sqrt(np.maximum([below, above], 0.0))
    return np.asarray((first - second) + second * np.array([-1, 1]) * roots, dtype=np.float64)


def _as_cv(ends: Floats) -> Interval | None:
    """Ends of a log variance as coefficients of variation; None where they say nothing."""
    low, high = (max(float(end), 0.0) for end in ends)
    if high > math.log1p(WIDEST**2):
        return None
    return math.sqrt(math.expm1(low)), math.sqrt(math.expm1(high))
