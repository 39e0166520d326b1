"""Whether a process had reached its steady state when it was timed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from cudagraph_lab.statistics.cells import Floats, expm1, positive

PRIOR_SD = 0.02
PRIOR_DEGREES = 4
FLAG_AT = 0.01


Faster = Literal["higher", "lower"]


@dataclass(frozen=True)
class Steadiness:
    """Whether one process had reached its steady state; shares, so 0.05 is 5%.

    `first_excess` is the first iteration over the geometric mean of the others, minus 1;
    `drift_per_iteration` the growth from each iteration to the next. Both are None below three
    iterations. `reason` says what was seen (or why nothing could be), `remedy` what to do.
    """

    drift_per_iteration: float | None
    first_excess: float | None
    flagged: bool
    reason: str | None
    remedy: str | None


def steady_state(
    iterations: Sequence[float], *, name: str = "process", faster: Faster | None = None
) -> Steadiness:
    """Whether timed iterations of one process, in order, drift or start off the rest.

    Works from three iterations on, for durations and rates alike. Two statistics on logs: the
    first value against the mean of the others, and the slope of a straight line. From so few
    values the spread cannot be estimated alone: two values that happen to agree would make any
    third one significant. So the residual variance is pooled with a prior of 2%, the middle of
    the 1 to 4% by which iterations of one process are known to differ, at a weight of 4 degrees
    of freedom (the moderated t statistic of Smyth 2004), and each statistic is flagged beyond
    the 1% point of its t distribution. The prior is also a floor: a first iteration must be off
    by about 9% among 3 values or 4% among 10. By simulation, steady processes are flagged in
    under 2% of cases at a spread of up to 2%, and in 6% at 4%; a first iteration 30% off is
    flagged in 99% of cases.

    `faster` says which values are the faster ones: "higher" for rates, "lower" for durations. A
    first iteration that is faster than the others is then no fault of warm-up and not flagged;
    neither warm-ups nor more of them make a call faster. A drift towards slower calls is flagged
    without the advice to raise warmups. Without `faster` either direction is flagged alike.

    Raises LabError, with `name`, for an empty sequence or a value that is not positive finite.
    """
    logs = np.log(positive(iterations, name))
    m = len(logs)
    if m < 3:
        return Steadiness(None, None, False, f"{m} timed iterations cannot show a drift", None)

    rest = logs[1:]
    first = float(logs[0] - rest.mean())
    first_t = first / (_moderated_sd(rest - rest.mean(), m - 2) * math.sqrt(1 + 1 / (m - 1)))

    place = np.arange(m) - (m - 1) / 2
    sum_of_squares = float(place @ place)
    slope = float(logs @ place) / sum_of_squares
    residuals = logs - logs.mean() - slope * place
    slope_t = slope * math.sqrt(sum_of_squares) / _moderated_sd(residuals, m - 2)

    threshold = float(special.stdtrit(PRIOR_DEGREES + m - 2, 1 - FLAG_AT / 2))
    excess, drift = expm1(first, name), expm1(slope, name)
    quicker = {"higher": 1, "lower": -1, None: 0}[faster]  # the sign of a faster value's log
    largest = max(abs(first_t), abs(slope_t))
    off = largest > threshold and abs(first_t) == largest and quicker * first <= 0
    drifts = largest > threshold and abs(slope_t) > abs(first_t)
    reason = remedy = None
    if off:
        side = "above" if excess > 0 else "below"
        reason = f"the first timed iteration is {abs(excess):.1%} {side} the others"
        remedy = "raise warmups by at least 1, so that this iteration is a warm-up"
    elif drifts and quicker * slope < 0:
        reason = f"iterations drift by {drift:+.1%} each, towards slower"
        remedy = "look for falling clocks, heat or other load on the machine"
    elif drifts:
        reason = f"iterations drift by {drift:+.1%} each"
        remedy = (
            f"raise warmups by at least {m}; if the drift goes on, look for falling clocks, "
            "heat or other load on the machine"
        )
    return Steadiness(drift, excess, reason is not None, reason, remedy)


def _moderated_sd(residuals: Floats, degrees: int) -> float:
    pooled = PRIOR_DEGREES * PRIOR_SD**2 + float(residuals @ residuals)
    return math.sqrt(pooled / (PRIOR_DEGREES + degrees))
