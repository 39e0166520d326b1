"""What was measured of the very model, number of GPUs and batch size that somebody asks about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cudagraph_lab.design.datasets import RESULTS, SHIPPED, record_files
from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.cells import cells_of, locate_pair
from cudagraph_lab.ledger.hosts import dtype_of, mean_context, read_measured, step_arms
from cudagraph_lab.models.architecture import read_devices, read_models
from cudagraph_lab.records.store import read_record


@dataclass(frozen=True)
class Measured:
    """Eager over graphs in seconds a decode step, as it was measured; steps in seconds."""

    dataset: str
    device: str
    ratio: float
    eager_s: float
    graphs_s: float
    repeats: int
    context: int


def measured_beside(asked: Mapping[str, Any]) -> list[Measured]:
    """The data sets of this model, number of GPUs, dtype and batch size, on any device.

    Those on the device that is asked about come first. What lacks an arm, is about draft models,
    or has a model or dtype that is not in the tables, is passed over.
    """
    models, devices = read_models(), read_devices()
    model = models.get(str(asked["model"]))
    if model is None or model.hub is None or asked.get("weight_bits"):
        return []
    found = []
    for directory in sorted({*SHIPPED.glob("*/runs"), *RESULTS.glob("*/runs")}):
        name = directory.parent.name
        if not _is_of(directory, name, model.hub, asked["tp"]):
            continue
        try:
            one = _measured(name, asked)
        except LabError:
            continue
        if one is not None:
            found.append(one)
    wanted = devices[asked["device"]].reported_as if asked.get("device") in devices else None
    return sorted(found, key=lambda one: (one.device != wanted, one.dataset))


def _is_of(directory: Path, name: str, hub: str, tp: int) -> bool:
    """Whether the first record that ran is of this model on this many GPUs."""
    for path in record_files(directory):
        try:
            record = read_record(path, name)
        except LabError:
            continue
        if record.resolved is not None and record.environment.platform == "cuda":
            ranks = record.resolved.tensor_parallel_size or 1
            return record.kind == "measured" and record.request.model == hub and ranks == tp
    return False


def _measured(name: str, asked: Mapping[str, Any]) -> Measured | None:
    dataset, table = read_measured(name)
    if dtype_of(dataset) != asked["dtype"] or dataset.series == "speculation":
        return None
    timed, arms = cells_of(table, "timed"), step_arms(dataset)
    pair = locate_pair(timed, arms["eager"], arms["graphs"], asked["batch"], 0)
    if pair is None:
        return None
    eager, graphs = pair
    return Measured(
        name,
        dataset.device,
        eager.value / graphs.value,
        eager.value,
        graphs.value,
        min(dataset.arms[arms[side]].repeats for side in ("eager", "graphs")),
        mean_context(dataset),
    )
