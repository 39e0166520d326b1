"""Spread between repeats and within them, with intervals."""

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
class Components:
    """Spread of a cell as coefficients of variation (0.05 is 5%); None where not identified.

    `note` says what a reader must know of the spread between repeats: that it was set to 0, or why
    it, or its interval, is missing.
    """

    between_cv: float | None
    within_cv: float | None
    repeats: int
    between: Interval | None
    within: Interval | None
    note: str | None


def variance_components(cell: Cell, *, name: str = "cell") -> Components:
    """Spread between repeats and within them: one-way random effects on logs, with intervals.

    Method of moments for unequal group sizes (Searle, Casella and McCulloch 1992, section 3.6):
    between = (MSB - MSW) / m0. A log variance v is given as the coefficient of variation of the
    lognormal, sqrt(exp(v) - 1). A negative estimate of the between part is set to 0.

    Intervals are on log variances. Within: chi-square, with a degree of freedom per iteration
    beyond the first of each repeat. Between: a difference of two mean squares over m0, by the
    modified large-sample method (Ting, Burdick, Graybill, Jeyaratnam and Lu 1990), which is exact
    in either mean square alone; ends below 0 become 0. It is for normal logs: too narrow where
    single repeats are far off. Raises LabError as `estimate_mean` does.
    """
    known = read_cell(cell, name)
    repeats, total = len(known.means), float(known.counts.sum())
    if total == repeats:
        why = "one iteration per repeat: spread between and within cannot be told apart"
        return Components(None, None, repeats, None, None, why)
    squares, degrees = _squares(known), total - repeats
    within_cv = math.sqrt(expm1(squares.within, name))
    resolved = squares.within > ROUNDING**2
    within = None
    if resolved:
        tails = special.chdtri(degrees, [TAIL, 1 - TAIL])
        within = _as_cv(degrees * squares.within / tails)
    if squares.between is None:
        why = "one repeat: spread between repeats is not known"
        return Components(None, within_cv, repeats, None, within, why)
    variance = (squares.between - squares.within) / squares.effective
    between_cv = math.sqrt(expm1(max(variance, 0.0), name))
    between: Interval | None = None
    note: str | None = "equal iterations, spread not resolved"
    if resolved:
        ends = _difference(squares.between, repeats - 1, squares.within, degrees)
        between = _as_cv(ends / squares.effective)
        note = f"spread too wide for {repeats} repeats: no interval"
    if variance < 0:
        note = "repeats differ by less than their iterations do: spread between them set to 0"
    elif between is not None:
        note = None
    return Components(between_cv, within_cv, repeats, between, within, note)


@dataclass(frozen=True)
class _Squares:
    within: float  # mean square of the iterations
    between: float | None  # mean square of the repeats; None for one repeat
    effective: float  # m0, the iterations per repeat that count; their number where it is equal


def _squares(cell: ReadCell) -> _Squares:
    means, counts = cell.means, cell.counts.astype(np.float64)
    repeats, total = len(means), float(counts.sum())
    squares = np.where(cell.present, (cell.logs - means[:, None]) ** 2, 0.0)
    within = float(squares.sum()) / (total - repeats)
    if repeats == 1:
        return _Squares(within, None, total)
    grand = float(counts @ means) / total
    between = float(counts @ (means - grand) ** 2) / (repeats - 1)
    effective = (total - float(counts @ counts) / total) / (repeats - 1)
    return _Squares(within, between, effective)


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
