"""The uncertainty of a mean or a contrast on the log scale."""

import math
from dataclasses import dataclass

from scipy import special

from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import Floats


def t_quantile(degrees: float) -> float:
    """Student's t quantile that bounds the central interval."""
    return float(special.stdtrit(degrees, (1 + LEVEL) / 2))


@dataclass(frozen=True)
class Error:
    """The uncertainty of a logarithm that is a sum over groups; arrays with one entry per group."""

    variances: Floats  # of one value
    repeats: Floats
    degrees: Floats

    @property
    def standard_error(self) -> float:
        """Of the logarithm."""
        return math.sqrt(float((self.variances / self.repeats).sum()))

    @property
    def total_degrees(self) -> float:
        """Satterthwaite's degrees of freedom."""
        shares = self.variances / self.repeats
        return float(shares.sum() ** 2 / (shares**2 / self.degrees).sum())

    def half_width(self) -> float:
        """Of the central interval, on the log scale."""
        return t_quantile(self.total_degrees) * self.standard_error

    def after(self, extra: int) -> "Error":
        """With `extra` more repeats in every group, and the variances as they are."""
        return Error(self.variances, self.repeats + extra, self.degrees + extra)
