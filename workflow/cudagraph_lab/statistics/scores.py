"""Scores of forecasts that state a median and the bounds of their central 50% and 90%.

All on natural logarithms, since steps and ratios are judged by factors. The weighted interval
score is that of Bracher et al. 2021 (PLOS Computational Biology 17:e1008618): the absolute error
of the median and, for each interval, its width and what an observation outside of it costs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median


@dataclass(frozen=True)
class Scored:
    """One forecast beside what was observed; all above 0 and in the same unit."""

    observed: float
    median: float
    low_50: float
    high_50: float
    low_90: float
    high_90: float


@dataclass(frozen=True)
class Score:
    """Of all forecasts of a family.

    `interval_score` is the mean weighted interval score on logs, `median_error` the median of the
    absolute relative errors of the medians; the shares are of observations inside the bounds.
    """

    interval_score: float
    median_error: float
    within_50: float
    within_90: float


def interval_score(one: Scored) -> float:
    """The weighted interval score of one forecast, in natural logarithms; 0 is perfect."""
    seen = math.log(one.observed)
    total = 0.5 * abs(seen - math.log(one.median))
    for low, high, outside in (
        (one.low_50, one.high_50, 0.5),
        (one.low_90, one.high_90, 0.1),
    ):
        lower, upper = math.log(low), math.log(high)
        missed = max(lower - seen, 0.0) + max(seen - upper, 0.0)
        total += outside / 2 * (upper - lower) + missed
    return total / 2.5


def score(family: Sequence[Scored]) -> Score:
    """The score of a family of at least one forecast."""
    return Score(
        interval_score=fmean(interval_score(one) for one in family),
        median_error=median(abs(one.median / one.observed - 1) for one in family),
        within_50=fmean(one.low_50 <= one.observed <= one.high_50 for one in family),
        within_90=fmean(one.low_90 <= one.observed <= one.high_90 for one in family),
    )


def skill(
    forecasts: Sequence[float], baseline: Sequence[float], observed: Sequence[float]
) -> float:
    """How much smaller the mean absolute log error of forecasts is than a baseline's, as a share.

    1 is perfect, 0 as good as the baseline, below 0 worse. nan where the baseline is perfect.
    """
    ours = fmean(abs(math.log(f / o)) for f, o in zip(forecasts, observed, strict=True))
    theirs = fmean(abs(math.log(b / o)) for b, o in zip(baseline, observed, strict=True))
    return 1 - ours / theirs if theirs > 0 else math.nan
