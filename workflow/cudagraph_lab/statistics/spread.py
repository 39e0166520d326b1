"""Spread between repeats and within them, with intervals."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import (
    ROUNDING,
    Cell,
    Floats,
    ReadCell,
    Term,
    check_level,
    expm1,
    read,
)

WIDEST = 100  # 10,000%; beyond it an interval only says "measure more"


@dataclass(frozen=True)
class Components:
    """Spread of a cell as coefficients of variation (0.05 is 5%); None where not identified."""

    between_cv: float | None
    within_cv: float | None
    repeats: int
    note: str | None


@dataclass(frozen=True)
class SpreadIntervals:
    """Intervals of the coefficients of variation, (low, high); None where there is none.

    `reason` says why one of them is missing.
    """

    between: tuple[float, float] | None
    within: tuple[float, float] | None
    reason: str | None


def variance_components(cell: Cell, *, name: str = "cell") -> Components:
    """Spread between repeats and within them: one-way random effects on logs.

    Method of moments for unequal group sizes (Searle, Casella and McCulloch 1992, section 3.6):
    between = (MSB - MSW) / m0. A log variance v is given as the coefficient of variation of the
    lognormal, sqrt(exp(v) - 1). A negative estimate of the between part is set to 0 and the
    note says so. Raises LabError as `estimate_contrast` does.
    """
    (only,) = read([Term(cell, 1, name)])
    means, counts = only.means, only.counts.astype(np.float64)
    repeats, total = len(means), float(counts.sum())
    if total == repeats:
        note = "one iteration per repeat: spread between and within cannot be told apart"
        return Components(None, None, repeats, note)
    squares = _squares(only)
    within_cv = math.sqrt(expm1(squares.within, name))
    if squares.between is None:
        note = "one repeat: spread between repeats is not known"
        return Components(None, within_cv, repeats, note)
    between = (squares.between - squares.within) / squares.effective
    clamped = "repeats differ by less than their iterations do: spread between them set to 0"
    between_cv = math.sqrt(expm1(max(between, 0.0), name))
    return Components(between_cv, within_cv, repeats, clamped if between < 0 else None)


def spread_intervals(cell: Cell, level: float = LEVEL, *, name: str = "cell") -> SpreadIntervals:
    """Intervals of the two coefficients of variation of `variance_components`.

    On log variances, then given as coefficients of variation. Within: chi-square, with a degree
    of freedom per iteration beyond the first of each repeat. Between: a difference of two mean
    squares over m0, by the modified large-sample method (Ting, Burdick, Graybill, Jeyaratnam and
    Lu 1990), which is exact in either mean square alone, with repeats - 1 degrees of freedom
    and those within; ends below 0 become 0. The interval between is for normal logs: it is too
    narrow where single repeats are far off. Raises LabError as `variance_components` does, and
    for a level outside 0 to 1.
    """
    check_level(level)
    (only,) = read([Term(cell, 1, name)])
    repeats, total = len(only.means), float(only.counts.sum())
    if total == repeats:
        why = "one iteration per repeat: spread between and within cannot be told apart"
        return SpreadIntervals(None, None, why)
    squares, tail = _squares(only), (1 - level) / 2
    if squares.within <= ROUNDING**2:
        return SpreadIntervals(None, None, "equal iterations, spread not resolved")
    degrees = total - repeats
    within = _as_cv(degrees * squares.within / special.chdtri(degrees, [tail, 1 - tail]))
    reason = "spread too wide: no interval" if within is None else None
    if squares.between is None:
        return SpreadIntervals(None, within, "one repeat: spread between repeats is not known")
    ends = _difference(squares.between, repeats - 1, squares.within, degrees, tail)
    between = _as_cv(ends / squares.effective)
    if between is None:
        reason = f"spread too wide for {repeats} repeats: no interval"
    return SpreadIntervals(between, within, reason)


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


def _difference(
    first: float, first_degrees: float, second: float, second_degrees: float, tail: float
) -> Floats:
    """Ends of the interval of a difference of two independent mean squares' expectations."""
    quotient = first / second

    def f(upper_tail: float, degrees: float) -> float:  # over a mean square that is known
        return float(special.chdtri(degrees, upper_tail)) / degrees

    def both(upper_tail: float) -> float:
        return float(special.fdtri(first_degrees, second_degrees, 1 - upper_tail))

    g1, h1 = 1 - 1 / f(tail, first_degrees), 1 / f(1 - tail, first_degrees) - 1
    g2, h2 = 1 - 1 / f(tail, second_degrees), 1 / f(1 - tail, second_degrees) - 1
    upper, lower = both(tail), both(1 - tail)
    g12 = ((upper - 1) ** 2 - g1**2 * upper**2 - h2**2) / upper
    h12 = ((1 - lower) ** 2 - h1**2 * lower**2 - g2**2) / lower
    below = (g1 * quotient) ** 2 + h2**2 + g12 * quotient
    above = (h1 * quotient) ** 2 + g2**2 + h12 * quotient
    roots = np.sqrt(np.maximum([below, above], 0.0))
    return np.asarray((first - second) + second * np.array([-1, 1]) * roots, dtype=np.float64)


def _as_cv(ends: Floats) -> tuple[float, float] | None:
    """Ends of a log variance as coefficients of variation; None where they say nothing."""
    low, high = (max(float(end), 0.0) for end in ends)
    if high > math.log1p(WIDEST**2):
        return None
    return math.sqrt(math.expm1(low)), math.sqrt(math.expm1(high))
