"""When graphs pay: break-even, and what restarts cost a day."""

from collections.abc import Mapping
from functools import partial

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import (
    BREAK_EVEN_S,
    BREAK_EVEN_STEPS,
    CAPTURE_S,
    CAPTURE_TAX,
    DEPLOY_TAX,
)
from cudagraph_lab.ledger.cells import NOT_RUN, Cells, Floats, central, missing_arm
from cudagraph_lab.ledger.quantities.savings import Saving
from cudagraph_lab.ledger.quantities.starts import StartCost
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.ledger.results import Result, absent
from cudagraph_lab.models import costs
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.locations import estimate_mean
from cudagraph_lab.statistics.quotients import quotient_of_draws

COUNTED = "what a start with graphs takes longer, over what a step saves"
NOT_LONGER = "a start with graphs took no longer than one without"


def tax_results(
    dataset: Dataset,
    headline: Contrast,
    startup: Cells,
    starts: Mapping[str, StartCost],
    restarts_per_day: float,
    seed: int,
) -> list[Result]:
    """Minutes a day that restarts cost, by the cost of a start, and by the capture alone."""
    per_day = partial(costs.deploy_tax_min_per_day, restarts_per_day=restarts_per_day)
    times = f"times {restarts_per_day:g} restarts a day (restarts_per_day)"
    results = [_capture_tax(dataset, headline, startup, restarts_per_day, seed)]
    for start, cost in starts.items():
        number = DEPLOY_TAX(start=start)
        if cost.value is None:
            results.append(absent(number, str(cost.reason)))
            continue
        low, high = central(cost.draws)
        said = f"what graphs cost at a start, {times}"
        results.append(
            Result(
                id=number,
                n=cost.n,
                value=per_day(cost.value),
                low=None if low is None else per_day(low),
                high=None if high is None else per_day(high),
                method=None if low is None else "t draws through the difference",
                note=said if cost.note is None else f"{said}; {cost.note}",
                arms=cost.arms,
            )
        )
    return results


def _capture_tax(
    dataset: Dataset, headline: Contrast, startup: Cells, restarts: float, seed: int
) -> Result:
    arm = headline.numerator
    capture = startup.get((arm, "capture_seconds", None))
    if capture is None:
        reason = missing_arm(dataset, arm) or missing_arm(dataset, headline.denominator)
        return absent(CAPTURE_TAX(), reason or "the capture's cost is not known")
    cost = estimate_mean(capture, seed, name=str(CAPTURE_S()))
    per_day = partial(costs.deploy_tax_min_per_day, restarts_per_day=restarts)
    return Result(
        id=CAPTURE_TAX(),
        n=cost.n,
        value=per_day(cost.value),
        low=None if cost.low is None else per_day(cost.low),
        high=None if cost.high is None else per_day(cost.high),
        method=cost.method,
        note=f"capture seconds times {restarts:g} restarts a day (restarts_per_day)",
        arms=[arm],
    )


def break_even_results(
    dataset: Dataset,
    headline: Contrast,
    starts: Mapping[str, StartCost],
    savings: Mapping[int, Saving],
) -> list[Result]:
    """After how many steps and seconds of serving a start has paid, at every batch size."""
    reason = missing_arm(dataset, headline.numerator) or missing_arm(dataset, headline.denominator)
    results = []
    for start, cost in starts.items():
        for batch in dataset.batch_sizes:
            why = reason if batch in savings else reason or NOT_RUN
            for quantity in (BREAK_EVEN_STEPS, BREAK_EVEN_S):
                if batch not in savings or cost.value is None:
                    number = quantity(start=start, batch=batch)
                    results.append(absent(number, why or str(cost.reason)))
                else:
                    results.append(_break_even(quantity, start, cost, savings[batch]))
    return results


def _break_even(quantity: Quantity, start: str, cost: StartCost, saving: Saving) -> Result:
    number = quantity(start=start, batch=saving.batch)
    seconds = float(cost.value or 0)
    if seconds <= 0:
        return absent(number, NOT_LONGER)
    even = costs.break_even(seconds, saving.eager_s, saving.graphs_s, saving.batch)
    if even.reason is not None:
        return absent(number, even.reason)
    # Steps, or the seconds of these steps in the arm with graphs.
    per_step = 1.0 if quantity is BREAK_EVEN_STEPS else saving.graphs_s
    draws: tuple[Floats, Floats] | None = None
    if cost.draws is not None and saving.draws is not None:
        drawn_per_step = 1.0 if quantity is BREAK_EVEN_STEPS else saving.draws[1]
        draws = cost.draws * drawn_per_step, saving.draws[0] - saving.draws[1]
    found = quotient_of_draws(seconds * per_step, saving.saved_s, draws, whole="what a step saves")
    if found.value is None:
        return absent(number, str(found.reason))
    notes = [COUNTED, cost.note, found.reason]
    return Result(
        id=number,
        value=found.value,
        n=min(cost.n, saving.n),
        # A start that costs nothing has paid at once.
        low=None if found.low is None else max(found.low, 0.0),
        high=found.high,
        method=None if found.low is None else "t draws through the quotient",
        note="; ".join(filter(None, notes)),
        arms=list(dict.fromkeys([*saving.arms, *cost.arms])),
    )
