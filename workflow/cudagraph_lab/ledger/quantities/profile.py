"""What the profiler counted in a decode step, and what launches alone would gain."""

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.cells import Cells, shadowed_arm
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.ledger.results import Result, counted
from cudagraph_lab.observations.dataset import Dataset

# By the name that an observation has.
COUNTS: dict[str, Quantity] = {
    "kernels_per_step": catalogue.KERNELS,
    "launches_per_step": catalogue.LAUNCHES,
    "graph_launches_per_step": catalogue.GRAPH_LAUNCHES,
    "device_busy_s_per_step": catalogue.BUSY_S,
    "draft_busy_s_per_step": catalogue.DRAFT_BUSY_S,
}


def profile_results(dataset: Dataset, headline: Contrast | None, cells: Cells) -> list[Result]:
    """Counts of every profiled arm under the timed arm that it shadows, and launch ratios."""
    results = []
    for (arm, quantity, batch), cell in cells.items():
        if batch is not None and quantity in COUNTS:
            number = COUNTS[quantity](arm=shadowed_arm(dataset, arm), batch=batch)
            results.append(counted(number, cell, [arm]))
    return results + (_launch_results(headline, results) if headline else [])


def _launch_results(headline: Contrast, counts: list[Result]) -> list[Result]:
    """Launches at batch 1 alone: the most that fewer can gain, and the call that pays."""
    known = {result.id: result for result in counts}
    eager = known.get(catalogue.LAUNCHES(arm=headline.denominator, batch=1))
    left = known.get(catalogue.LAUNCHES(arm=headline.numerator, batch=1))
    replays = known.get(catalogue.GRAPH_LAUNCHES(arm=headline.numerator, batch=1))
    if not (eager and left and replays and eager.value and replays.value) or left.value is None:
        return []
    launches = float(left.value) + float(replays.value)
    # Lab 02 counts a replay as the only launch of a step; those beside it count too.
    return [
        Result(
            id=catalogue.LAUNCH_SPEED_UP(),
            value=float(eager.value) / launches,
            n=eager.n,
            note="eager launches per step over launches and replays per step with graphs",
            arms=eager.arms + left.arms,
        ),
        Result(
            id=catalogue.LAUNCH_BREAK_EVEN(),
            # After k calls k * n > n + (k - 1) * r wherever a replay launches less: k = 2.
            value=2 if launches < float(eager.value) else None,
            missing=None if launches < float(eager.value) else "graphs launch as often",
            exact=True,
            n=eager.n,
            note="first call after which graphs have launched less, the capture being the "
            "first call (lab 02's counting)",
            arms=eager.arms + left.arms,
        ),
    ]
