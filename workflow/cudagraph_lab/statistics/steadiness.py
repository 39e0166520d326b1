"""Whether a process had reached its steady state when it was timed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cudagraph_lab.statistics.cells import Floats, expm1, positive

PRIOR_SD = 0.02
PRIOR_DEGREES = 4
FLAG_AT = 0.01


@dataclass(frozen=True)
class Unsteady:
    """What was seen of a process that had not reached its steady state, and what to do."""

    reason: str
    remedy: str


def unsteady(rates: Sequence[float]) -> Unsteady | None:
    """Whether the rates of timed iterations of one process, in order, drift or start off the rest.

    Works from three iterations on; of fewer nothing is said. Two statistics on logs: the first
    value against the mean of the others, and the slope of a straight line. From so few values the
    spread cannot be estimated alone: two values that happen to agree would make any third one
    significant. So the residual variance is pooled with a prior of 2%, the middle of the 1 to 4% by
    which iterations of one process are known to differ, at a weight of 4 degrees of freedom (the
    moderated t statistic of Smyth 2004), and each statistic is flagged beyond the 1% point of its
    t distribution. The prior is also a floor: a first iteration must be off by about 9% among 3
    values or 4% among 10. By simulation, steady processes are flagged in under 2% of cases at a
    spread of up to 2%, and in 6% at 4%; a first iteration 30% off is flagged in 99% of cases.

    A first iteration that is faster than the others is no fault of warm-up and not flagged; neither
    warm-ups nor more of them make a call faster. A drift towards slower calls is flagged without
    the advice to raise warmups. Raises LabError for an empty sequence or a rate that is not
    positive and finite.
    """
    logs = np.log(positive(rates, "process"))
    m = len(logs)
    if m < 3:
        return None

    rest = logs[1:]
    first = float(logs[0] - rest.mean())
    first_t = first / (_moderated_sd(rest - rest.mean(), m - 2) * math.sqrt(1 + 1 / (m - 1)))

    place = np.arange(m) - (m - 1) / 2
    sum_of_squares = float(place @ place)
    slope = float(logs @ place) / sum_of_squares
    residuals = logs - logs.mean() - slope * place
    slope_t = slope * math.sqrt(sum_of_squares) / _moderated_sd(residuals, m - 2)

    threshold = float(special.stdtrit(PRIOR_DEGREES + m - 2, 1 - FLAG_AT / 2))
    if max(abs(first_t), abs(slope_t)) <= threshold:
        return None
    if abs(slope_t) > abs(first_t):
        drift = f"iterations drift by {expm1(slope, 'process'):+.1%} each"
        load = "falling clocks, heat or other load on the machine"
        if slope < 0:
            return Unsteady(f"{drift}, towards slower", f"look for {load}")
        remedy = f"raise warmups by at least {m}; if the drift goes on, look for {load}"
        return Unsteady(drift, remedy)
    if first > 0:
        return None
    off = abs(expm1(first, "process"))
    return Unsteady(
        f"the rate of the first timed iteration is {off:.1%} below the others",
        "raise warmups by at least 1, so that this iteration is a warm-up",
    )


def _moderated_sd(residuals: Floats, degrees: int) -> float:
    pooled = PRIOR_DEGREES * PRIOR_SD**2 + float(residuals @ residuals)
    return math.sqrt(pooled / (PRIOR_DEGREES + degrees))
