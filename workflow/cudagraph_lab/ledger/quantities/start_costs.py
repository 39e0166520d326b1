"""What graphs cost at a start: its boot over one without graphs, and the capture in it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import CAPTURE_SHARE, START_COST
from cudagraph_lab.ledger.cells import Floats, central, missing_side, repeats_of
from cudagraph_lab.ledger.draws import QUOTIENT_DRAWS
from cudagraph_lab.ledger.results import Result, absent, bounded, divided
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.contrasts import draw_together
from cudagraph_lab.statistics.quotients import quotient_of_draws

STARTS = ("warm", "cold")  # what a start finds in its compile cache
SIDE_BY_SIDE = (
    "the arms booted side by side and waited for each other, so that their seconds are no basis; "
    "boot the two arms apart, as arms of purpose startup"
)
AT_MOST = "at most: {arm} was not started with an empty cache, so that its warm boot is taken off"

Runs = Mapping[tuple[str, str], Mapping[int, float]]  # (arm, quantity), by repeat


@dataclass(frozen=True)
class StartCost:
    """Seconds that a start with graphs takes longer, with draws where there are any.

    `value` is None, with the reason, where it is not known. `capture` holds the seconds of the
    capture in these starts, and draws of them.
    """

    value: float | None
    draws: Floats | None
    n: int
    arms: list[str]
    reason: str | None
    note: str | None = None
    capture: tuple[float, Floats | None] | None = None


def read_start_costs(
    dataset: Dataset, headline: Contrast, table: pd.DataFrame, seed: int
) -> dict[str, StartCost]:
    """What graphs cost at a start, by what it found in its compile cache.

    Boots of arms that were measured apart, timed and start-up arms with equal settings as one.
    """
    runs = startups(table)
    missing = missing_side(dataset, headline)
    return {
        start: _absent(missing) if missing else _cost(dataset, headline, runs, start, seed)
        for start in STARTS
    }


def start_results(costs: Mapping[str, StartCost]) -> Iterator[Result]:
    """The cost of a warm and of a cold start, and the share that the capture has in it."""
    for start, cost in costs.items():
        number = START_COST(start=start)
        if cost.value is None:
            yield absent(number, str(cost.reason))
        else:
            ends, method = central(cost.draws), "t draws through the difference"
            yield bounded(
                number, cost.value, ends, method, n=cost.n, arms=cost.arms, note=cost.note
            )
        yield _capture_share(start, cost)


def _capture_share(start: str, cost: StartCost) -> Result:
    number = CAPTURE_SHARE(start=start)
    if cost.value is None or cost.capture is None:
        return absent(number, cost.reason or "the capture's seconds are not known")
    if cost.note is not None:
        return absent(number, f"what it is a share of is known {cost.note}")
    seconds, drawn = cost.capture
    draws = None if drawn is None or cost.draws is None else (drawn, cost.draws)
    found = quotient_of_draws(seconds, cost.value, draws, whole="what graphs cost at a start")
    return divided(number, found, n=cost.n, arms=cost.arms)


def startups(table: pd.DataFrame) -> Runs:
    """What the starts of each arm observed, by arm and quantity: one value a repeat."""
    return {
        (arm, quantity): {repeat: values[0] for repeat, values in repeats.items()}
        for (arm, quantity, _), repeats in repeats_of(table, "startup").items()
    }


def _absent(reason: str) -> StartCost:
    return StartCost(None, None, 0, [], reason)


def _cost(dataset: Dataset, headline: Contrast, runs: Runs, start: str, seed: int) -> StartCost:
    sides = headline.numerator, headline.denominator
    graphs, eager = (starting_alike(dataset, arm) for arm in sides)
    booted, without, note = _boots(runs, graphs, start), _boots(runs, eager, start), None
    if start == "cold" and not without:
        without, note = _boots(runs, eager, "warm"), AT_MOST.format(arm=sides[1])
    if not booted or not without:
        return _absent(_why_none(dataset, runs, sides[1] if booted else sides[0], start))
    captures = [
        runs[arm, "capture_seconds"][repeat]
        for arm, repeat in booted
        if repeat in runs.get((arm, "capture_seconds"), {})
    ]
    known = len(captures) == len(booted)
    # A capture is a part of its boot, so that the two are drawn together.
    with_graphs = [_logs(booted.values()), *([_logs(captures)] if known else [])]
    eager_logs = _logs(without.values())
    drawn = draw_together(with_graphs, QUOTIENT_DRAWS, seed)
    drawn_without = draw_together([eager_logs], QUOTIENT_DRAWS, seed + 1)
    draws = None
    if drawn is not None and drawn_without is not None:
        draws = _exp(drawn[0]) - _exp(drawn_without[0])
    capture = None
    if known:
        capture = _mean(with_graphs[1]), None if drawn is None else _exp(drawn[1])
    return StartCost(
        value=_mean(with_graphs[0]) - _mean(eager_logs),
        draws=draws,
        n=min(len(booted), len(without)),
        arms=list(dict.fromkeys(arm for arm, _ in [*booted, *without])),
        reason=None,
        note=note,
        capture=capture,
    )


def _why_none(dataset: Dataset, runs: Runs, arm: str, start: str) -> str:
    if any(quantity.startswith("boot_") for _, quantity in runs):
        found = {"warm": "a warm compile cache", "cold": "an empty compile cache"}[start]
        return f"no start of {arm} with {found} was run"
    if dataset.measured == "in_turn":
        return SIDE_BY_SIDE
    return "the seconds of the boots are not known"


def starting_alike(dataset: Dataset, arm: str) -> list[str]:
    """The arms that start like this one; those with a profiler do not.

    A fixed size of the KV cache is what taking turns adds, and no setting of the arm.
    """

    def settings(name: str) -> tuple[Any, ...]:
        arguments, *others = dataset.arms[name].settings
        if dataset.measured == "in_turn":
            arguments = {k: v for k, v in arguments.items() if k != "kv_cache_memory_bytes"}
        return arguments, *others

    return [
        name
        for name, facts in dataset.arms.items()
        if facts.status == "ok" and facts.purpose != "profile" and settings(name) == settings(arm)
    ]


def _boots(runs: Runs, arms: list[str], start: str) -> dict[tuple[str, int], float]:
    """Seconds of the boots of these arms in this state, by arm and repeat."""
    return {
        (arm, repeat): seconds
        for arm in arms
        for repeat, seconds in sorted(runs.get((arm, f"boot_{start}_s"), {}).items())
    }


def _logs(seconds: Iterable[float]) -> dict[int, float]:
    return dict(enumerate(map(math.log, seconds)))


def _mean(logs: Mapping[int, float]) -> float:
    return math.exp(fmean(logs.values()))


def _exp(logs: Floats) -> Floats:
    # From two repeats a draw can be far out: then it is infinite.
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(logs), dtype=np.float64)
