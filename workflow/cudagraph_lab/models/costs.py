"""What graphs cost and when they pay: break-even, deploy tax, cost per graph, memory.

The cost of graphs lies at start-up (capture, and compilation where the arm compiles) and in
the memory of the graph pool; the gain is time saved per decode step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cudagraph_lab.errors import LabError


@dataclass(frozen=True)
class CostFit:
    """Slope of a least-squares line per captured graph, with its standard error."""

    per_graph: float
    per_graph_se: float
    points: int


def deploy_tax_min_per_day(startup_cost_s: float, restarts_per_day: float) -> float:
    """Minutes of capacity per day that restarts spend on the start-up cost."""
    return startup_cost_s * restarts_per_day / 60


def launch_break_even_call(num_ops: float, replay_launches: float = 1) -> int | None:
    """The first call after which graphs have launched less; None where they never do.

    Source: the course's lab 02, with `replay_launches` per call after the capture, which is 1
    there: k * n > n + (k - 1) * r is (k - 1) * (n - r) > 0, so it is the second call wherever
    a replay launches less than an eager call. Raises LabError for counts below 1.
    """
    if num_ops < 1 or replay_launches < 1:
        raise LabError(f"launches: must be at least 1, got {num_ops} and {replay_launches}")
    return 2 if num_ops > replay_launches else None


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
