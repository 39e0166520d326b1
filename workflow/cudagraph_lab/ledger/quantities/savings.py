"""What a decode step saves with graphs, and what that makes of a launch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import SAVED_MS, US_PER_LAUNCH
from cudagraph_lab.ledger.cells import NOT_RUN, Floats, central, missing_arm
from cudagraph_lab.ledger.draws import draw_cells
from cudagraph_lab.ledger.results import Result, absent
from cudagraph_lab.ledger.throughputs import Throughputs, alike
from cudagraph_lab.models.launch import Profile
from cudagraph_lab.observations.dataset import Dataset


@dataclass(frozen=True)
class Saving:
    """Seconds per decode step of both sides at one batch size, with draws where there are any."""

    batch: int
    eager_s: float
    graphs_s: float
    draws: tuple[Floats, Floats] | None  # eager and graphs, element by element of one draw
    n: int
    arms: list[str]

    @property
    def saved_s(self) -> float:
        """What a step saves, in seconds."""
        return self.eager_s - self.graphs_s

    @property
    def drawn_s(self) -> Floats | None:
        """Draws of `saved_s`."""
        return None if self.draws is None else self.draws[0] - self.draws[1]


def read_savings(
    dataset: Dataset, headline: Contrast, known: Throughputs, seed: int
) -> dict[int, Saving]:
    """By batch size, the decode steps of the headline's sides where both were measured.

    Arms with equal settings count as one, as in a ratio.
    """
    pair = headline.denominator, headline.numerator
    if any(arm not in known.steps for arm in pair):
        return {}
    sides = [tuple(alike(dataset, arm, known.steps)) for arm in pair]
    savings = {}
    for batch in dataset.batch_sizes:
        if any(batch not in known.steps[arm] for arm in pair):
            continue
        places = [(side, batch) for side in sides]
        drawn = draw_cells(known.steps, places, blocks=known.blocks, seed=seed + batch)
        eager_s, graphs_s = (float(np.exp(log)) for log in drawn.logs)
        draws = None
        if drawn.draws is not None:
            eager_logs, graphs_logs = drawn.draws
            draws = np.exp(eager_logs), np.exp(graphs_logs)
        arms = [arm for side in reversed(sides) for arm in side]
        savings[batch] = Saving(batch, eager_s, graphs_s, draws, drawn.n, arms)
    return savings


def saving_results(
    dataset: Dataset, headline: Contrast, savings: Mapping[int, Saving]
) -> list[Result]:
    """Milliseconds that a step saves, at every batch size."""
    reason = missing_arm(dataset, headline.numerator) or missing_arm(dataset, headline.denominator)
    results = []
    for batch in dataset.batch_sizes:
        number = SAVED_MS(batch=batch)
        if batch not in savings:
            results.append(absent(number, reason or NOT_RUN))
            continue
        saving = savings[batch]
        low, high = central(saving.drawn_s)
        results.append(
            Result(
                id=number,
                n=saving.n,
                value=saving.saved_s * 1e3,
                low=None if low is None else low * 1e3,
                high=None if high is None else high * 1e3,
                method=None if low is None else "t draws through the difference",
                arms=saving.arms,
            )
        )
    return results


def launch_cost(saving: Saving, profile: Profile) -> Result:
    """The cost of a launch: what a step saves, over the launches of an eager step.

    The launches are a count, so that the interval is that of the saving.
    """
    scale = 1e6 / profile.eager_launches
    low, high = central(saving.drawn_s)
    return Result(
        id=US_PER_LAUNCH(),
        value=saving.saved_s * scale,
        low=None if low is None else low * scale,
        high=None if high is None else high * scale,
        method=None if low is None else "t draws through the difference",
        n=saving.n,
        note="step saved at batch 1 over the launches of an eager step: a launch as the "
        "additive model has it, Python and dispatch included",
        arms=saving.arms,
    )
