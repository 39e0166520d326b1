"""Quotients of logs or differences, which exist only where the denominator differs from 0."""

from dataclasses import dataclass

import numpy as np

from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import ROUNDING, Floats


@dataclass(frozen=True)
class Quotient:
    """A quotient with its interval, or the reason why there is none.

    `value` is None where the denominator cannot be told from 0. `low` and `high` are None there
    too, and where nothing could be drawn. `reason` is None only where there is an interval.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str | None


def quotient_of_draws(
    numerator: float, denominator: float, draws: tuple[Floats, Floats] | None, *, whole: str
) -> Quotient:
    """`numerator` over `denominator`, with an interval from draws of both.

    `draws` holds draws of numerator and denominator, element by element from the same draw,
    or is None where there is no interval. `whole` names the denominator in the reason.

    The interval holds every q for which the central 95% of the draws of
    numerator - q * denominator holds 0 (Fieller 1954, with draws in place of the bivariate t).
    It is bounded where the central 95% of the denominator's draws leave out 0; elsewhere the
    quotient says nothing and there is none.
    """
    scale = max(abs(numerator), abs(denominator), ROUNDING)
    if abs(denominator) <= ROUNDING * scale or abs(denominator) <= ROUNDING:
        return Quotient(None, None, None, f"{whole} is 0: nothing to divide by")
    if draws is None:
        return Quotient(numerator / denominator, None, None, "one repeat or no spread: no interval")
    above, below = draws
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(below, [tail, 1 - tail], method="inverted_cdf")
    if low <= 0 <= high:
        reason = f"{whole} does not differ from 0 by more than its interval"
        return Quotient(None, None, None, reason)
    if denominator < 0:  # the same quotient; draws of the denominator are then mostly positive
        above, below = -above, -below
    usable = below != 0
    quotients = above[usable] / below[usable]
    order = np.argsort(quotients, kind="stable")
    # The share of draws with numerator <= q * denominator, as q grows past each quotient.
    steps = np.where(below[usable][order] > 0, 1.0, -1.0)
    share = (float((below < 0).sum()) + np.cumsum(steps)) / len(below)
    inside = np.flatnonzero((share >= tail) & (share <= 1 - tail))
    if not inside.size:
        return Quotient(None, None, None, "too few draws for an interval")
    ends = quotients[order][[inside[0], inside[-1]]]
    if not np.isfinite(ends).all():
        return Quotient(None, None, None, f"{whole} is too near to 0: the quotient has no bounds")
    return Quotient(numerator / denominator, float(ends[0]), float(ends[1]), None)
