"""What more repeats would settle."""

import math
from bisect import bisect_left
from dataclasses import dataclass

from scipy import special

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import ROUNDING
from cudagraph_lab.statistics.error import Error

MOST_REPEATS = 10_000  # beyond it, "run more repeats" is no advice
WANTED = 0.8  # the chance that a plan for more repeats is made for, as is customary


@dataclass(frozen=True)
class Settling:
    """How many more repeats, and the chance that they settle it; a share."""

    more: int
    chance: float


def chance_of_settling(
    log: float, error: Error, lower: float | None, upper: float | None, level: float = LEVEL
) -> float:
    """The chance that an interval with this error lies inside the bounds, or off them.

    `log` is the contrast's logarithm, taken to be the truth; `lower` and `upper` bound the
    prediction in the contrast's unit, None where open. With the truth inside the bounds the
    interval must come inside them, with the truth outside it must leave them. The power of the
    t test with Satterthwaite's degrees of freedom, from the noncentral t distribution. For two
    bounds the chances of missing either add up, so that the result is at most too low.
    Raises LabError for bounds that are missing, not positive or in the wrong order.
    """
    bounds = _logs_of_bounds(lower, upper)
    outside = any(
        bound is not None and sign * (log - bound) < 0
        for bound, sign in zip(bounds, (1, -1), strict=True)
    )
    distances = [abs(log - bound) for bound in bounds if bound is not None]
    if outside:  # one bound alone is to be left, the nearest
        distances = [min(distances)]
    return max(0.0, 1 - math.fsum(1 - _power(distance, error, level) for distance in distances))


def repeats_to_settle(
    log: float,
    error: Error | None,
    lower: float | None,
    upper: float | None,
    *,
    chance: float = WANTED,
    level: float = LEVEL,
) -> Settling | None:
    """The fewest further repeats that settle a prediction with a chance of at least `chance`.

    See `chance_of_settling`: the present value is taken to be the truth and the present
    variances stay. (0, 1) where it is settled already. None where it cannot be said: no
    interval, the value on a bound, or more than 10,000 repeats needed.
    """
    bounds = _logs_of_bounds(lower, upper)
    if error is None:
        return None
    distance = min(abs(log - bound) for bound in bounds if bound is not None)
    if distance <= ROUNDING:
        return None
    if error.half_width(level) <= distance:
        return Settling(0, 1.0)

    def after(extra: int) -> float:
        return chance_of_settling(log, error.after(extra), lower, upper, level)

    choices = range(1, MOST_REPEATS + 1)
    place = bisect_left(choices, True, key=lambda extra: after(extra) >= chance)
    return Settling(choices[place], after(choices[place])) if place < len(choices) else None


def _power(distance: float, error: Error, level: float) -> float:
    """The chance that the half-width stays below the distance seen, if this is the true one."""
    degrees = error.total_degrees
    quantile = float(special.stdtrit(degrees, (1 + level) / 2))
    shift = distance / error.standard_error
    # Not scipy.stats, whose import takes longer than all that is computed here.
    power = 1 - float(special.nctdtr(degrees, shift, quantile))
    # SciPy's noncentral t fails far out, where the normal distribution serves.
    return power if math.isfinite(power) else float(special.ndtr(shift - quantile))


def _logs_of_bounds(lower: float | None, upper: float | None) -> list[float | None]:
    bounds = [bound for bound in (lower, upper) if bound is not None]
    valid = all(math.isfinite(bound) and bound > 0 for bound in bounds)
    if not bounds or not valid or sorted(bounds) != bounds:
        raise LabError(
            f"predicted bounds {lower} to {upper}: give one or two positive numbers in order"
        )
    return [None if bound is None else math.log(bound) for bound in (lower, upper)]
