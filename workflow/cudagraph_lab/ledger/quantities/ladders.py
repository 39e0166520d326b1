"""vLLM's default capture sizes against the best of `ladder_rungs`, over a batch mix."""

from collections.abc import Mapping

from cudagraph_lab.engine.capture_sizes import full_decode_sizes, vllm_capture_sizes, vllm_defaults
from cudagraph_lab.ledger.catalogue import LADDER_GRAPHS, LADDER_SAVED_S
from cudagraph_lab.ledger.cells import Cells
from cudagraph_lab.ledger.quantities.startup import fit_of_captures
from cudagraph_lab.ledger.results import Result, absent
from cudagraph_lab.models.ladder import best_ladder
from cudagraph_lab.observations.dataset import Dataset


def ladder_results(
    dataset: Dataset, startup: Cells, mix: Mapping[int, int], rungs: int
) -> list[Result]:
    """Graphs of the default ladder and of the best of `rungs` sizes, and what fewer would save.

    The saving is the captures left out times the fitted seconds per graph, where several ladder
    lengths were captured.
    """
    if dataset.device_memory_gib is None or dataset.vllm is None:
        return []
    max_num_seqs, max_tokens = vllm_defaults(
        dataset.device_memory_gib, dataset.device, "cpu" if dataset.platform == "cpu" else "cuda"
    )
    best = best_ladder(mix, rungs)
    default = vllm_capture_sizes(max_num_seqs, max_tokens, dataset.vllm)
    graphs = {
        name: len(sizes) + len(full_decode_sizes(sizes, max_num_seqs))
        for name, sizes in (("default", default), ("best", best))
    }
    note = (
        f"batch mix of {len(mix)} sizes from {min(mix)} to {max(mix)} (batch_mix); "
        f"max_num_seqs {max_num_seqs}"
    )
    chosen = f"; sizes {', '.join(map(str, best))}"
    results = [
        Result(
            id=LADDER_GRAPHS(ladder=name),
            value=float(count),
            note=note + (chosen if name == "best" else ""),
            unpredicted="computed from vLLM's rule and the batch mix, not measured",
        )
        for name, count in graphs.items()
    ]
    return [*results, _saved(startup, graphs["default"] - graphs["best"])]


def _saved(startup: Cells, fewer: int) -> Result:
    """Seconds that `fewer` captures save at every start."""
    fit, arms = fit_of_captures(startup)
    if fit is None:
        return absent(LADDER_SAVED_S(), "fewer than three ladder lengths were captured")
    return Result(
        id=LADDER_SAVED_S(),
        value=fewer * fit.per_graph,
        n=fit.points,
        note="captures left out times the fitted seconds per graph, per start",
        arms=arms,
    )
