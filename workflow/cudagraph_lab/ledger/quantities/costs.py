"""When graphs pay: break-even, and what restarts cost a day."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.cells import NOT_RUN, Cells, Floats, central, missing_side
from cudagraph_lab.ledger.quantities.savings import Saving
from cudagraph_lab.ledger.quantities.start_costs import StartCost
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.ledger.results import Result, absent, bounded, divided
from cudagraph_lab.models import costs
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.means import estimate_mean
from cudagraph_lab.statistics.quotients import quotient_of_draws

COUNTED = "what a start with graphs takes longer, over what a step saves"
NOT_LONGER = "a start with graphs took no longer than one without"


def tax_results(
    dataset: Dataset,
    headline: Contrast,
    startup: Cells,
    starts: Mapping[str, StartCost],
    restarts_per_day: float,
) -> Iterator[Result]:
    """Minutes a day that restarts cost, by the cost of a start, and by the capture alone."""
    per_day = partial(costs.deploy_tax_min_per_day, restarts_per_day=restarts_per_day)
    times = f"times {restarts_per_day:g} restarts a day (restarts_per_day)"
    yield _capture_tax(dataset, headline, startup, per_day, f"capture seconds {times}")
    for start, cost in starts.items():
        number, said = catalogue.DEPLOY_TAX(start=start), f"what graphs cost at a start, {times}"
        if cost.value is None:
            yield absent(number, str(cost.reason))
        else:
            ends, method = central(cost.draws, per_day), "t draws through the difference"
            note = said if cost.note is None else f"{said}; {cost.note}"
            yield bounded(
                number, per_day(cost.value), ends, method, n=cost.n, arms=cost.arms, note=note
            )


def _capture_tax(
    dataset: Dataset,
    headline: Contrast,
    startup: Cells,
    per_day: Callable[[float], float],
    note: str,
) -> Result:
    arm = headline.numerator
    capture = startup.get((arm, "capture_seconds", None))
    if capture is None:
        reason = missing_side(dataset, headline) or "the capture's cost is not known"
        return absent(catalogue.CAPTURE_TAX(), reason)
    cost = estimate_mean(capture, name=str(catalogue.CAPTURE_S()))
    low, high = (None if end is None else per_day(end) for end in (cost.low, cost.high))
    ends, method = (low, high), str(cost.method)
    return bounded(
        catalogue.CAPTURE_TAX(), per_day(cost.value), ends, method, n=cost.n, arms=[arm], note=note
    )


def break_even_results(
    dataset: Dataset,
    headline: Contrast,
    starts: Mapping[str, StartCost],
    savings: Mapping[int, Saving],
) -> Iterator[Result]:
    """After how many steps and seconds of serving a start has paid, at every batch size."""
    reason = missing_side(dataset, headline)
    for start, cost in starts.items():
        for batch in dataset.batch_sizes:
            why = reason if batch in savings else reason or NOT_RUN
            for quantity in (catalogue.BREAK_EVEN_STEPS, catalogue.BREAK_EVEN_S):
                if batch not in savings or cost.value is None:
                    number = quantity(start=start, batch=batch)
                    yield absent(number, why or str(cost.reason))
                else:
                    yield _break_even(quantity, start, cost, savings[batch])


def _break_even(quantity: Quantity, start: str, cost: StartCost, saving: Saving) -> Result:
    number = quantity(start=start, batch=saving.batch)
    seconds = float(cost.value or 0)
    if seconds <= 0:
        return absent(number, NOT_LONGER)
    if saving.saved_s <= 0:
        return absent(number, f"the graph arm saves nothing per step at batch {saving.batch}")
    # Steps, or the seconds of these steps in the arm with graphs.
    per_step = 1.0 if quantity is catalogue.BREAK_EVEN_STEPS else saving.graphs_s
    draws: tuple[Floats, Floats] | None = None
    if cost.draws is not None and saving.draws is not None:
        drawn_per_step = 1.0 if quantity is catalogue.BREAK_EVEN_STEPS else saving.draws[1]
        draws = cost.draws * drawn_per_step, saving.draws[0] - saving.draws[1]
    found = quotient_of_draws(seconds * per_step, saving.saved_s, draws, whole="what a step saves")
    arms = list(dict.fromkeys([*saving.arms, *cost.arms]))
    note = "; ".join(filter(None, [COUNTED, cost.note]))
    # A start that costs nothing has paid at once.
    return divided(number, found, n=min(cost.n, saving.n), arms=arms, note=note, least=0.0)
