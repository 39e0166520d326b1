"""What the launch models, calibrated at batch 1, say of the other batch sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import MODEL_ERROR, MODEL_RATIO
from cudagraph_lab.ledger.cells import Cells, Location, central, locate_pair, profiled
from cudagraph_lab.ledger.results import Result, absent, bounded
from cudagraph_lab.models.launch import (
    HIDDEN_SHARE,
    Profile,
    eager_over_graph,
    hidden_share_from_pair,
)
from cudagraph_lab.observations.dataset import Dataset

CALIBRATED_AT = 1  # the batch size at which the launch models are given both steps
PARTIAL = "partial"  # the model whose share is fitted
HERE = "the graph step measured at this batch"
Pairs = Mapping[int, tuple[Location, Location]]  # steps, eager and with graphs, by batch size


@dataclass(frozen=True)
class Asked:
    """A launch model as it is asked: its share, and what it was given, also in words.

    `busy_s` holds the GPU's busy time of the graph arm by batch size, where all were profiled.
    """

    model: str
    share: float
    given: str
    calibrated_on: tuple[int, ...] = (CALIBRATED_AT,)
    profile: Profile | None = None
    busy_s: Mapping[int, float] = field(default_factory=dict)


def launch_model_results(
    dataset: Dataset, headline: Contrast, timed: Cells, counts: Cells, seed: int
) -> list[Result]:
    """Speed-ups by every launch model, and their errors.

    The models are given the graph arm's step and predict the eager arm's. Intervals carry the
    uncertainty of the measured steps through the model, by simulation.
    """
    graphs, eager = headline.numerator, headline.denominator
    known = {
        batch: pair
        for batch in dataset.batch_sizes
        if (pair := locate_pair(timed, eager, graphs, batch, seed)) is not None
    }
    batches = [batch for batch in sorted(known) if batch != CALIBRATED_AT]
    if CALIBRATED_AT not in known or not batches:
        return []
    profile = profile_of(dataset, headline, counts)
    busy = {b: profiled(dataset, graphs, "device_busy_s_per_step", b, counts) for b in batches}
    asked = [] if profile is None else _profiled(profile, busy)
    given = f"the pair at batch 1 and {HERE}; host term taken as 0"
    asked += [Asked(name, share, given) for name, share in HIDDEN_SHARE.items()]
    second = batches[0]
    values = (one.value for at in (CALIBRATED_AT, second) for one in known[at])
    share = float(hidden_share_from_pair(*values))
    unexplained = []
    if np.isnan(share):
        reason = f"no hidden share explains the pairs at batches {CALIBRATED_AT} and {second}"
        unexplained = [absent(MODEL_RATIO(model=PARTIAL, batch=b), reason) for b in batches]
    else:
        given = f"the pairs at batches 1 and {second} and {HERE}; host term taken as 0"
        asked.append(Asked(PARTIAL, share, given, (CALIBRATED_AT, second)))
    arms = [graphs, eager]
    answers = [r for one in asked for b in batches for r in _answers(one, b, known, arms)]
    return answers + unexplained


def _profiled(profile: Profile, busy: Mapping[int, float | None]) -> list[Asked]:
    """The models of a given share, with the host term of a profile."""
    whole = {batch: seconds for batch, seconds in busy.items() if seconds is not None}
    if len(whole) == len(busy):
        given = (
            f"the pair and the profile at batch 1, {HERE}, and the graph arm's profile there; "
            "host term from its idle time"
        )
    else:
        whole = {}
        given = (
            f"the pair and the profile at batch 1, and {HERE}; host term taken as that of batch 1"
        )
    return [
        Asked(f"{name}-profiled", share, given, profile=profile, busy_s=whole)
        for name, share in HIDDEN_SHARE.items()
    ]


def profile_of(dataset: Dataset, headline: Contrast, counts: Cells) -> Profile | None:
    """Launches and busy time of a decode step at batch 1, where both arms were profiled."""
    graphs, eager, at = headline.numerator, headline.denominator, CALIBRATED_AT
    launches = profiled(dataset, eager, "launches_per_step", at, counts)
    eager_busy_s = profiled(dataset, eager, "device_busy_s_per_step", at, counts)
    graph_busy_s = profiled(dataset, graphs, "device_busy_s_per_step", at, counts)
    if launches is None or eager_busy_s is None or graph_busy_s is None:
        return None
    return Profile(round(launches), eager_busy_s, graph_busy_s)


def _answers(asked: Asked, batch: int, known: Pairs, arms: list[str]) -> list[Result]:
    """The speed-up that a model says of a batch size, and its error."""
    eager_1, graph_1 = known[CALIBRATED_AT]
    eager, graph = known[batch]
    given = asked.profile, asked.busy_s.get(batch)
    ratio = float(eager_over_graph(asked.share, eager_1.value, graph_1.value, graph.value, *given))
    drawn = error = None
    e_1, g_1, g = eager_1.draws, graph_1.draws, graph.draws
    # A share that was fitted varies too, which these draws would leave out.
    if asked.model != PARTIAL and e_1 is not None and g_1 is not None and g is not None:
        drawn = eager_over_graph(asked.share, e_1, g_1, g, *given)
        if eager.draws is not None:
            error = drawn * g / eager.draws - 1
    mark = "; in-sample: calibrated on this batch" if batch in asked.calibrated_on else ""
    measured = eager.value / graph.value
    return [
        bounded(
            quantity(model=asked.model, batch=batch),
            value,
            central(draws),
            "t draws through the model",
            n=min(eager_1.n, graph_1.n, graph.n),
            arms=arms,
            note=note + mark,
            unpredicted="this is itself a prediction; the measured ratio is beside it",
        )
        for quantity, value, draws, note in (
            (MODEL_RATIO, ratio, drawn, asked.given),
            (MODEL_ERROR, ratio / measured - 1, error, "predicted over measured, minus 1"),
        )
    ]
