"""The observations of a data set as cells: per arm, quantity and batch size, its repeats."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.observations.table import grouped
from cudagraph_lab.statistics.locations import draw_locations, estimate_mean

Floats = NDArray[np.float64]
Cells = dict[tuple[str, str, int | None], list[list[float]]]  # (arm, quantity, batch)
DRAWS = 4_000  # the ends of an interval are then steady to about a tenth of its width
NOT_RUN = "this batch size was not run"


@dataclass(frozen=True)
class Location:
    """A location with draws where it has an interval: seconds per step, a rate."""

    value: float
    n: int
    draws: Floats | None


def cells_of(table: pd.DataFrame, role: str) -> Cells:
    """{(arm, quantity, batch): per repeat, its iterations} of one role; batch None at start-up."""
    cells: Cells = {}
    chosen = table[table["role"] == role]
    keys = ["arm", "quantity", "batch", "repeat"]
    for (arm, quantity, batch, _), values in grouped(chosen, keys).items():
        cells.setdefault((arm, quantity, batch), []).append(values)
    return cells


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


def location_of(cell: list[list[float]], name: str) -> float:
    """The location of a cell without its interval."""
    return estimate_mean(cell, 0, name=name).value


def locate(cell: list[list[float]], name: str, seed: int) -> Location:
    """The location of a cell with its draws."""
    draws = draw_locations(cell, DRAWS, seed, name=name)
    return Location(location_of(cell, name), len(cell), draws)


def locate_step(timed: Cells, arm: str, batch: int, seed: int) -> Location | None:
    """Seconds per decode step of an arm, with draws; None where it was not measured."""
    cell = step_cell(timed, arm, batch)
    if cell is None:
        return None
    return locate(cell, f"{arm} at batch {batch}", seed * 1_000 + batch)


def central(draws: Floats | None) -> tuple[float | None, float | None]:
    """The central 95% of draws; (None, None) where there are none or an end is infinite."""
    if draws is None or np.isnan(draws).any():
        return None, None
    # Whole draws, not points between two: an infinite one must not spread to its neighbour.
    low, high = np.quantile(draws, [0.025, 0.975], method="nearest")
    if not (np.isfinite(low) and np.isfinite(high)):
        return None, None
    return float(low), float(high)
