"""When graphs pay: what a step saves, break-even, and what restarts cost."""

from functools import partial

import numpy as np

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import (
    BREAK_EVEN_S,
    BREAK_EVEN_STEPS,
    CAPTURE_S,
    DEPLOY_TAX,
    SAVED_MS,
)
from cudagraph_lab.ledger.cells import (
    DRAWS,
    NOT_RUN,
    Cells,
    Floats,
    Location,
    central,
    locate_step,
    missing_arm,
)
from cudagraph_lab.ledger.results import Result, absent
from cudagraph_lab.models import costs
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics import estimates as stats

PAYS = (BREAK_EVEN_STEPS, BREAK_EVEN_S)
COUNTED = (
    "the capture alone over what a step saves; compilation's seconds at start-up "
    "are not counted in, though its savings are"
)


def cost_results(
    dataset: Dataset,
    headline: Contrast,
    timed: Cells,
    startup: Cells,
    restarts_per_day: float,
    seed: int,
) -> list[Result]:
    """What a step saves at every batch size, when it has paid for the capture, and restarts."""
    arms = [headline.numerator, headline.denominator]
    capture = startup.get((headline.numerator, "capture_seconds", None))
    reason = missing_arm(dataset, arms[0]) or missing_arm(dataset, arms[1])
    unknown = reason or "the capture's cost is not known"
    results = [_deploy_tax(capture, arms[0], unknown, restarts_per_day, seed)]
    cost = None
    if capture is not None:
        name = str(CAPTURE_S())
        cost = Location(
            stats.estimate_mean(capture, seed, name=name).value,
            len(capture),
            stats.draw_locations(capture, DRAWS, seed + 2, name=name),
        )
    for batch in dataset.batch_sizes:
        eager = locate_step(timed, headline.denominator, batch, seed)
        graphs = locate_step(timed, headline.numerator, batch, seed + 1)
        if eager is None or graphs is None:
            results += [absent(of(batch=batch), reason or NOT_RUN) for of in (SAVED_MS, *PAYS)]
            continue
        drawn = None
        if eager.draws is not None and graphs.draws is not None:
            drawn = (eager.draws - graphs.draws) * 1000
        results.append(_saved(eager, graphs, drawn, batch, arms))
        if cost is None:
            results += [absent(of(batch=batch), unknown) for of in PAYS]
        else:
            results += _break_even(cost, eager, graphs, drawn, batch, arms)
    return results


def _deploy_tax(
    capture: list[list[float]] | None, arm: str, unknown: str, restarts: float, seed: int
) -> Result:
    if capture is None:
        return absent(DEPLOY_TAX(), unknown)
    cost = stats.estimate_mean(capture, seed, name=str(CAPTURE_S()))
    per_day = partial(costs.deploy_tax_min_per_day, restarts_per_day=restarts)
    return Result(
        id=DEPLOY_TAX(),
        n=cost.n,
        value=per_day(cost.value),
        low=None if cost.low is None else per_day(cost.low),
        high=None if cost.high is None else per_day(cost.high),
        method=cost.method,
        note=f"capture seconds times {restarts:g} restarts a day (restarts_per_day)",
        arms=[arm],
    )


def _saved(
    eager: Location, graphs: Location, drawn: Floats | None, batch: int, arms: list[str]
) -> Result:
    low, high = central(drawn)
    return Result(
        id=SAVED_MS(batch=batch),
        n=min(eager.n, graphs.n),
        value=(eager.value - graphs.value) * 1000,
        low=low,
        high=high,
        method=None if low is None else "t draws through the difference",
        arms=arms,
    )


def _break_even(
    cost: Location,
    eager: Location,
    graphs: Location,
    drawn: Floats | None,
    batch: int,
    arms: list[str],
) -> list[Result]:
    even = costs.break_even(cost.value, eager.value, graphs.value, batch)
    many: tuple[Floats | None, ...] = (None, None)
    if cost.draws is not None and drawn is not None and graphs.draws is not None:
        # A draw that saves nothing never breaks even.
        steps = np.divide(
            cost.draws * 1000, drawn, out=np.full_like(drawn, np.inf), where=drawn > 0
        )
        many = (steps, steps * graphs.draws)
    results = []
    values = (even.steps, even.serving_s)
    for quantity, value, draws in zip(PAYS, values, many, strict=True):
        low, high = central(draws)
        results.append(
            Result(
                id=quantity(batch=batch),
                value=value,
                low=low,
                high=high,
                method=None if low is None else "t draws through the quotient",
                n=min(eager.n, graphs.n),
                missing=even.reason,
                arms=arms,
                note=COUNTED,
            )
        )
    return results
