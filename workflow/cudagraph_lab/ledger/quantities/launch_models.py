"""What the launch models, calibrated at batch 1, say of the other batch sizes."""

from dataclasses import dataclass

import numpy as np

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import MODEL_ERROR, MODEL_RATIO
from cudagraph_lab.ledger.cells import Cells, Floats, Location, central, locate_pair, profiled
from cudagraph_lab.ledger.results import Result, absent, bounded
from cudagraph_lab.models.launch import (
    HIDDEN_SHARE,
    LaunchPrediction,
    Profile,
    hidden_share_from_pair,
    predict,
    predict_eager_step_s,
)
from cudagraph_lab.observations.dataset import Dataset

CALIBRATED_AT = 1  # the batch size at which the launch models are given both steps


@dataclass(frozen=True)
class Steps:
    """Measured steps, eager and with graphs, by batch size; that of calibration among them."""

    known: dict[int, tuple[Location, Location]]
    arms: list[str]

    @property
    def batches(self) -> list[int]:
        """The batch sizes that the models are asked about."""
        return [batch for batch in sorted(self.known) if batch != CALIBRATED_AT]


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
    steps = Steps(known, [graphs, eager])
    if CALIBRATED_AT not in steps.known or len(steps.known) < 2:
        return []
    eager_1, graph_1 = steps.known[CALIBRATED_AT]
    second = steps.batches[0]
    eager_2, graph_2 = steps.known[second]
    profile = profile_of(dataset, headline, counts)
    busy = [
        value
        for batch in steps.batches
        if (value := profiled(dataset, graphs, "device_busy_s_per_step", batch, counts)) is not None
    ]
    busy_s = busy if len(busy) == len(steps.batches) else None
    results = _predicted(steps, None, None, None)
    if profile is not None:
        results += _predicted(steps, profile, None, busy_s)
    share = hidden_share_from_pair(eager_1.value, graph_1.value, eager_2.value, graph_2.value)
    if np.isnan(share):
        reason = f"no hidden share explains the pairs at batches {CALIBRATED_AT} and {second}"
        results += [
            absent(MODEL_RATIO(model="partial", batch=batch), reason) for batch in steps.batches
        ]
    else:
        results += _predicted(steps, None, (second, eager_2.value, graph_2.value), None)
    first = {result.id: result for result in reversed(results)}  # both ways give the same twice
    return list(reversed(first.values()))


def profile_of(dataset: Dataset, headline: Contrast, counts: Cells) -> Profile | None:
    """Launches and busy time of a decode step at batch 1, where both arms were profiled."""
    graphs, eager, at = headline.numerator, headline.denominator, CALIBRATED_AT
    launches = profiled(dataset, eager, "launches_per_step", at, counts)
    eager_busy_s = profiled(dataset, eager, "device_busy_s_per_step", at, counts)
    graph_busy_s = profiled(dataset, graphs, "device_busy_s_per_step", at, counts)
    if launches is None or eager_busy_s is None or graph_busy_s is None:
        return None
    return Profile(round(launches), eager_busy_s, graph_busy_s)


def _predicted(
    steps: Steps,
    profile: Profile | None,
    second_pair: tuple[int, float, float] | None,
    busy_s: list[float] | None,
) -> list[Result]:
    """Speed-up and error of each model that can be asked with what is given."""
    eager_1, graph_1 = steps.known[CALIBRATED_AT]
    rows = predict(
        steps.batches,
        eager_1.value,
        graph_1.value,
        [steps.known[batch][1].value for batch in steps.batches],
        profile,
        second_pair,
        graph_busy_s=busy_s,
    )
    busy = dict(zip(steps.batches, busy_s, strict=True)) if busy_s else {}
    return [result for row in rows for result in _model(row, steps, profile, busy.get(row.batch))]


def _model(
    row: LaunchPrediction, steps: Steps, profile: Profile | None, busy_s: float | None
) -> list[Result]:
    eager_1, graph_1 = steps.known[CALIBRATED_AT]
    eager_b, graph_b = steps.known[row.batch]
    name = f"{row.model}-profiled" if profile else row.model
    drawn = _drawn_ratio(row, eager_1, graph_1, graph_b, profile, busy_s)
    error = None
    if drawn is not None and graph_b.draws is not None and eager_b.draws is not None:
        error = drawn * graph_b.draws / eager_b.draws - 1
    mark = "; in-sample: calibrated on this batch" if row.in_sample else ""
    measured = eager_b.value / graph_b.value
    results = []
    for quantity, value, draws, note in (
        (MODEL_RATIO, row.ratio, drawn, row.information),
        (MODEL_ERROR, row.ratio / measured - 1, error, "predicted over measured, minus 1"),
    ):
        results.append(
            bounded(
                quantity(model=name, batch=row.batch),
                value,
                central(draws),
                "t draws through the model",
                n=min(eager_1.n, graph_1.n, graph_b.n),
                arms=steps.arms,
                note=note + mark,
                unpredicted="this is itself a prediction; the measured ratio is beside it",
            )
        )
    return results


def _drawn_ratio(
    row: LaunchPrediction,
    eager_1: Location,
    graph_1: Location,
    graph_b: Location,
    profile: Profile | None,
    busy_s: float | None,
) -> Floats | None:
    """The predicted ratio for every draw of the steps it was made from."""
    if eager_1.draws is None or graph_1.draws is None or graph_b.draws is None:
        return None
    if row.model not in HIDDEN_SHARE:
        return None  # its share was fitted too, which these draws would leave out
    host: float | Floats = 0.0
    host_b: float | Floats = 0.0
    scale = 1.0
    if profile is not None:
        # Draws of a graph step below the GPU's busy time cannot be: no host term is left.
        host = np.maximum(graph_1.draws - profile.graph_busy_s, 0.0)
        host_b = host if busy_s is None else np.maximum(graph_b.draws - busy_s, 0.0)
        scale = profile.eager_busy_s / profile.graph_busy_s
    predicted = predict_eager_step_s(
        eager_1.draws, graph_1.draws, graph_b.draws, row.hidden_share, host, host_b, scale
    )
    return np.asarray(predicted / graph_b.draws, dtype=np.float64)
