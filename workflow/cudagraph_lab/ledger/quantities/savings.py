"""What a decode step saves with graphs, and what that makes of a launch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import SAVED_MS, US_PER_LAUNCH
from cudagraph_lab.ledger.cells import NOT_RUN, Floats, central, missing_side
from cudagraph_lab.ledger.draws import draw_cells
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.results import Result, absent, bounded
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
    reason = missing_side(dataset, headline) or NOT_RUN
    return [
        _saved(SAVED_MS(batch=batch), savings[batch], 1e3)
        if batch in savings
        else absent(SAVED_MS(batch=batch), reason)
        for batch in dataset.batch_sizes
    ]


def launch_cost(saving: Saving, profile: Profile) -> Result:
    """The cost of a launch: what a step saves, over the launches of an eager step.

    The launches are a count, so that the interval is that of the saving.
    """
    note = (
        "step saved at batch 1 over the launches of an eager step: a launch as the "
        "additive model has it, Python and dispatch included"
    )
    return _saved(US_PER_LAUNCH(), saving, 1e6 / profile.eager_launches, note)


def _saved(number: NumberId, saving: Saving, scale: float, note: str | None = None) -> Result:
    """The seconds that a step saves times `scale`, with their interval."""
    return bounded(
        number,
        saving.saved_s * scale,
        central(saving.drawn_s, lambda seconds: seconds * scale),
        "t draws through the difference",
        n=saving.n,
        arms=saving.arms,
        note=note,
    )
