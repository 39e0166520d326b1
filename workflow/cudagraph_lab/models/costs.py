"""What graphs cost and when they pay: break-even, deploy tax, cost per graph, memory.

The cost of graphs lies at start-up (capture, and compilation where the arm compiles) and in
the memory of the graph pool; the gain is time saved per decode step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CostFit:
    """Slope of a least-squares line per captured graph, with its standard error."""

    per_graph: float
    per_graph_se: float
    points: int


def deploy_tax_min_per_day(startup_cost_s: float, restarts_per_day: float) -> float:
    """Minutes of capacity per day that restarts spend on the start-up cost."""
    return startup_cost_s * restarts_per_day / 60


def fit_capture_cost(captures: Sequence[tuple[float, float]]) -> CostFit | None:
    """Seconds per graph from captures of several ladder lengths, as a line with an intercept.

    One point per capture: graphs captured over all passes, and seconds. None with fewer than
    three different numbers of graphs, which leave no room to see that a line is wrong.
    """
    if len({graphs for graphs, _ in captures}) < 3:
        return None
    graphs, seconds = np.array(captures, dtype=np.float64).T
    (slope, _), covariance = np.polyfit(graphs, seconds, 1, cov=True)
    return CostFit(float(slope), float(np.sqrt(covariance[0, 0])), len(captures))
