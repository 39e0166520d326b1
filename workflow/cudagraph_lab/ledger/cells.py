"""The observations of a data set as cells: per arm, quantity and batch size, its repeats."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.observations.table import grouped
from cudagraph_lab.statistics.means import draw_locations, estimate_mean

Floats = NDArray[np.float64]
Place = tuple[str, str, int | None]  # arm, quantity, and batch size, None at start-up
Cells = dict[Place, list[list[float]]]
DRAWS = 4_000  # the ends of an interval are then steady to about a tenth of its width
NOT_RUN = "this batch size was not run"


@dataclass(frozen=True)
class Location:
    """A location with draws where it has an interval: seconds per step, a rate."""

    value: float
    n: int
    draws: Floats | None


def repeats_of(
    table: pd.DataFrame, role: str, only: str | None = None
) -> dict[Place, dict[int, list[float]]]:
    """What was observed in one role: by arm, quantity and batch size, each repeat's iterations.

    `table` has the columns of `observations.table`; `only` names the one quantity that is wanted.
    """
    cells: dict[Place, dict[int, list[float]]] = {}
    wanted = table["role"] == role
    if only is not None:
        wanted &= table["quantity"] == only
    chosen = table[wanted]
    keys = ["arm", "quantity", "batch", "repeat"]
    for (arm, quantity, batch, repeat), values in grouped(chosen, keys).items():
        cells.setdefault((arm, quantity, batch), {})[repeat] = values
    return cells


def cells_of(table: pd.DataFrame, role: str) -> Cells:
    """`repeats_of` without the numbers of the repeats."""
    return {place: list(repeats.values()) for place, repeats in repeats_of(table, role).items()}


def step_cell(cells: Cells, arm: str, batch: int) -> list[list[float]] | None:
    """Seconds per decode step: measured from first to last token, else from tokens per second.

    Published runs give tokens per second alone; then a step takes batch / throughput,
    prefill included.
    """
    measured = cells.get((arm, "decode_s_per_step", batch))
    if measured is not None:
        return measured
    throughput = cells.get((arm, "throughput", batch))
    if throughput is None:
        return None
    return [[batch / value for value in repeat] for repeat in throughput]


def missing_arm(dataset: Dataset, arm: str) -> str | None:
    """Why an arm has no numbers in this data set, or None where it has."""
    facts = dataset.arms.get(arm)
    if facts is None:
        return f"arm {arm!r} was not run"
    return f"{arm}: {facts.reason}" if facts.status != "ok" else None


def missing_of(dataset: Dataset, *arms: str) -> str | None:
    """Why the first of these arms that has no numbers has none, or None where all have."""
    return next(filter(None, (missing_arm(dataset, arm) for arm in arms)), None)


def missing_side(dataset: Dataset, contrast: Contrast) -> str | None:
    """Why a contrast has no numbers in this data set, or None where both arms have."""
    return missing_of(dataset, contrast.numerator, contrast.denominator)


def shadowed_arm(dataset: Dataset, arm: str) -> str:
    """The timed arm that a profiled one is the shadow of: the one with its settings."""
    settings = dataset.arms[arm].settings
    for name, facts in dataset.arms.items():
        if facts.purpose == "timed" and facts.settings == settings:
            return name
    return arm


def profiled(dataset: Dataset, arm: str, quantity: str, batch: int, cells: Cells) -> float | None:
    """What the profiled shadow of an arm counted at a batch size, or None."""
    for (name, what, at), cell in cells.items():
        if (what, at) == (quantity, batch) and shadowed_arm(dataset, name) == arm:
            return cell[0][0]
    return None


def locate(cell: list[list[float]], name: str, seed: int) -> Location:
    """The location of a cell with its draws."""
    draws = draw_locations(cell, DRAWS, seed, name=name)
    return Location(estimate_mean(cell, name=name).value, len(cell), draws)


def locate_step(timed: Cells, arm: str, batch: int, seed: int) -> Location | None:
    """Seconds per decode step of an arm, with draws; None where it was not measured."""
    cell = step_cell(timed, arm, batch)
    if cell is None:
        return None
    return locate(cell, f"{arm} at batch {batch}", seed * 1_000 + batch)


def locate_pair(
    timed: Cells, eager: str, graphs: str, batch: int, seed: int
) -> tuple[Location, Location] | None:
    """Seconds per decode step of both arms; None where one of them was not measured."""
    pair = locate_step(timed, eager, batch, seed), locate_step(timed, graphs, batch, seed + 1)
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


Ends = tuple[float | None, float | None]


def central(draws: Floats | None, made_of: Callable[[float], float] = float) -> Ends:
    """The central 95% of draws, or of what `made_of` makes of them.

    (None, None) where there are no draws or an end is infinite.
    """
    if draws is None or np.isnan(draws).any():
        return None, None
    # Whole draws, not points between two: an infinite one must not spread to its neighbour.
    low, high = np.quantile(draws, [0.025, 0.975], method="nearest")
    if not (np.isfinite(low) and np.isfinite(high)):
        return None, None
    return made_of(float(low)), made_of(float(high))
