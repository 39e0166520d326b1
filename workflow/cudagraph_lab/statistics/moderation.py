"""Variances from few repeats, moderated over cells of the same kind.

The variance of three to eight repeats is known poorly. Cells of the same kind have variances
that scatter round a common one, so each is drawn towards it by as much as their scatter
allows (Smyth 2004, "Linear models and empirical Bayes methods", section 6.2; limma's
`fitFDist`): with prior variance s0^2 and prior degrees of freedom d0, both estimated from all
cells, a cell with variance s^2 on d degrees of freedom gets (d0 s0^2 + d s^2) / (d0 + d), and a
t distribution with d0 + d degrees of freedom.

Here d0 is at most d: the prior never outweighs the cell's own repeats. Batch sizes of the same
processes are correlated, as are contrasts that share an arm, so that d0 comes out too large;
and an arm may be truly noisier than others. By simulation, without this limit, an arm against
itself is covered in 91% of cases beside contrasts of a quiet arm, with it in 93 to 96%.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from cudagraph_lab.statistics.cells import ROUNDING

FEWEST = 3  # variances; the scatter of two says too little


@dataclass(frozen=True)
class Variance:
    """A variance of one kind, with its degrees of freedom."""

    value: float
    degrees: float


@dataclass(frozen=True)
class Prior:
    """The common variance and its weight in degrees of freedom.

    `degrees` is infinite where the variances scatter no more than chance has them scatter.
    """

    variance: float
    degrees: float


def prior_of(variances: Sequence[Variance]) -> Prior | None:
    """The prior from all variances of one kind; None for fewer than three above rounding.

    From the mean and the variance of the logs of the variances, by the method of moments.
    """
    known = [v for v in variances if v.value > ROUNDING**2 and v.degrees > 0]
    if len(known) < FEWEST:
        return None
    values = np.array([v.value for v in known])
    half = np.array([v.degrees for v in known]) / 2
    logs = np.log(values) - special.digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    if excess <= 0:
        return Prior(float(np.average(values, weights=half)), math.inf)
    degrees = 2 * _inverse_trigamma(excess)
    shift = float(special.digamma(degrees / 2)) - math.log(degrees / 2)
    return Prior(math.exp(float(logs.mean()) + shift), degrees)


def moderated(variance: float, degrees: float, prior: Prior | None) -> tuple[float, float]:
    """The moderated variance and its degrees of freedom; both as given without a prior.

    The prior counts at most as much as the variance's own degrees of freedom.
    """
    if prior is None:
        return variance, degrees
    weight = min(prior.degrees, degrees)
    return (weight * prior.variance + degrees * variance) / (weight + degrees), weight + degrees


def _inverse_trigamma(value: float) -> float:
    """The x at which the trigamma function is `value`, above 0."""
    # 1/x + 1/(2 x^2) < trigamma(x) < 1/x + 1/x^2 bound the root.
    low = (1 + math.sqrt(1 + 2 * value)) / (2 * value)
    high = (1 + math.sqrt(1 + 4 * value)) / (2 * value)
    found = optimize.brentq(lambda x: float(special.polygamma(1, x)) - value, low, high)
    return float(found)
