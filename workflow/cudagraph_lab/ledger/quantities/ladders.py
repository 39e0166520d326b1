"""vLLM's default capture sizes against the best of `ladder_rungs`, over a batch mix."""

from collections.abc import Mapping

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.engine.capture_sizes import (
    full_decode_sizes,
    pad,
    vllm_capture_sizes,
    vllm_defaults,
)
from cudagraph_lab.ledger.catalogue import (
    LADDER_GRAPHS,
    LADDER_MISSED,
    LADDER_PADDED,
    LADDER_SAVED_S,
    LADDER_STEP_S,
)
from cudagraph_lab.ledger.cells import Cells, location_of, step_cell
from cudagraph_lab.ledger.quantities.startup import fit_of_captures
from cudagraph_lab.ledger.results import Result, absent
from cudagraph_lab.models import costs
from cudagraph_lab.models.ladder import LadderCost, compare_ladders
from cudagraph_lab.observations.dataset import Dataset


def ladder_results(
    dataset: Dataset,
    headline: Contrast,
    timed: Cells,
    startup: Cells,
    mix: Mapping[int, int],
    rungs: int,
) -> list[Result]:
    """Graphs, padding and steps of the default ladder and of the best of `rungs` sizes.

    What a step of the mix takes is read off the measured steps of the headline's arms. The
    saving is the captures left out times the fitted seconds per graph, where several ladder
    lengths were captured.
    """
    if dataset.device_memory_gib is None or dataset.vllm is None:
        return []
    max_num_seqs, max_tokens = vllm_defaults(
        dataset.device_memory_gib, dataset.device, "cpu" if dataset.platform == "cpu" else "cuda"
    )
    default = vllm_capture_sizes(max_num_seqs, max_tokens, dataset.vllm)
    compared = compare_ladders(mix, default, rungs)
    ladders = {"default": compared.default, "best": compared.best}
    graphs = {
        name: len(cost.sizes) + len(full_decode_sizes(cost.sizes, max_num_seqs))
        for name, cost in ladders.items()
    }
    note = (
        f"batch mix of {len(mix)} sizes from {min(mix)} to {max(mix)} (batch_mix); "
        f"max_num_seqs {max_num_seqs}"
    )
    results = []
    for name, cost in ladders.items():
        sizes = f"; sizes {', '.join(map(str, cost.sizes))}" if name == "best" else ""
        results += [
            Result(
                id=quantity(ladder=name),
                value=value,
                missing=None if value is not None else "no step is replayed",
                note=note + sizes,
                unpredicted="computed from vLLM's rule and the batch mix, not measured",
            )
            for quantity, value in (
                (LADDER_GRAPHS, float(graphs[name])),
                (LADDER_PADDED, cost.padded_share),
                (LADDER_MISSED, cost.missed_steps / cost.steps),
            )
        ]
        results.append(_mean_step(name, dataset, headline, timed, mix, cost))
    return [*results, _saved(startup, graphs["default"] - graphs["best"])]


def _saved(startup: Cells, fewer: int) -> Result:
    """Seconds that `fewer` captures save at every start."""
    fit, arms = fit_of_captures(startup)
    if fit is None:
        return absent(LADDER_SAVED_S(), "fewer than three ladder lengths were captured")
    return Result(
        id=LADDER_SAVED_S(),
        value=fewer * fit.seconds.per_graph,
        n=fit.points,
        note="captures left out times the fitted seconds per graph, per start",
        arms=arms,
    )


def _mean_step(
    name: str,
    dataset: Dataset,
    headline: Contrast,
    timed: Cells,
    mix: Mapping[int, int],
    cost: LadderCost,
) -> Result:
    """Mean seconds per step of the batch mix on one ladder, padding and eager misses included."""
    number = LADDER_STEP_S(ladder=name)
    arms = [headline.numerator, headline.denominator]
    known = {}
    for batch in dataset.batch_sizes:
        graphs, eager = (step_cell(timed, arm, batch) for arm in arms)
        if graphs is not None and eager is not None:
            known[batch] = (eager, graphs)
    needed = [rung for batch in mix if (rung := pad(batch, cost.sizes)) is not None]
    needed += mix
    if not known or min(needed) < min(known) or max(needed) > max(known):
        return absent(number, "the mix or its rungs lie outside the measured batch sizes")
    batches = sorted(known)
    eager_s, graph_s = (
        [location_of(known[batch][side], str(number)) for batch in batches] for side in (0, 1)
    )
    return Result(
        id=number,
        value=costs.mix_step_s(mix, cost.sizes, batches, eager_s, graph_s),
        n=min(len(cell) for pair in known.values() for cell in pair),
        note="over the batch mix, from the measured steps, straight lines between them",
        arms=arms,
        unpredicted="computed from measured steps and the batch mix",
    )
