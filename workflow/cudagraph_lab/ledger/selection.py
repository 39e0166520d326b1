"""Which numbers a reader is shown first: what figures and report both choose, chosen once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cudagraph_lab.config.contrast import Role
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import BACKTEST, BUSY_S, CURVE, STARTUP, STEP, STEP_RATIO
from cudagraph_lab.ledger.index import (
    Index,
    everywhere,
    of_primary,
    ratios,
    short_device,
    short_model,
    value_at,
    with_quantity,
)
from cudagraph_lab.models.architecture import read_models
from cudagraph_lab.observations.dataset import Dataset

# The contrast to lead with: the first of these that any data set has measured.
LEADING: tuple[Role, ...] = ("primary", "graph", "graph_compiled", "graph_uncompiled", "compile")


def leading_role(index: Index) -> Role | None:
    """The role of the contrast that the page leads with; None where nothing was measured.

    What was measured here decides; where nothing was, any data set that the page is about.
    """
    here = index.ledger.measured_here
    for names in (here, [d.name for d in index.main]):
        for role in LEADING:
            if any(ratios(index, name, role) for name in names if name in index.datasets):
                return role
    return None


# Graphs alone and compilation alone; where the plain pair is lacking, the factorial's.
PAIRS: tuple[tuple[Role, Role], ...] = (
    ("graph", "compile"),
    ("graph_compiled", "compile_ungraphed"),
)


def factors(index: Index, dataset: str) -> tuple[dict[int, Number], dict[int, Number]] | None:
    """Speed-ups of graphs alone and of compilation alone, by batch; None where one is lacking."""
    for graph, compiler in PAIRS:
        pair = ratios(index, dataset, graph), ratios(index, dataset, compiler)
        if all(pair):
            return pair
    return None


Profiled = tuple[str, int, Number, Number]  # arm, batch size, step, GPU work of it


def profiled(index: Index, dataset: str) -> list[Profiled]:
    """The steps at the smallest and the largest profiled batch size, by batch, slow arms first.

    The steps are those of a data set with the arms in turn, where one of the same device and
    model has them all: the load of the host then tells no arm from another.
    """
    works = with_quantity(index, dataset, BUSY_S)
    own = _timed(index, dataset, works)
    sizes = [size for _, size, _, _ in own]
    ends = [row for row in own if row[1] in (min(sizes), max(sizes))] if own else []
    facts = index.datasets[dataset]
    for other in index.main:
        alike = (other.device, other.model, other.weights) == (
            facts.device,
            facts.model,
            facts.weights,
        )
        steadier = _timed(index, other.name, [work for *_, work in ends])
        if alike and other.measured == "in_turn" and len(steadier) == len(ends):
            ends = steadier
            break
    slowest = {arm: float(step.value or 0) for arm, _, step, _ in reversed(ends)}
    return sorted(ends, key=lambda row: (row[1], -slowest[row[0]]))


def _timed(index: Index, dataset: str, works: Sequence[Number]) -> list[Profiled]:
    """GPU work with the steps of a data set, where it has them."""
    found = []
    for work in works:
        arm, size = str(work.id.arm), int(work.id.batch)
        step = value_at(index, dataset, STEP(arm=arm, batch=size))
        if step is not None:
            found.append((arm, size, step, work))
    return found


def differs_from_itself(index: Index, dataset: str) -> list[int]:
    """The batch sizes at which the interval of an arm against itself excludes 1."""
    return [
        size
        for size, n in ratios(index, dataset, "a_a").items()
        if n.low is not None and n.high is not None and not n.low <= 1 <= n.high
    ]


@dataclass(frozen=True)
class Sized:
    """A measured model: its size, and the speed-ups of a decode step by batch size."""

    dataset: str
    label: str
    parameters: float
    ratios: dict[int, Number]
    ranks: int  # devices that share the model


def sized(index: Index) -> dict[str, list[Sized]]:
    """By device, the measured models whose size is in config/models.yaml, the smallest first.

    Of several data sets of one model and device the first counts; those of one GPU.
    """
    found: dict[str, dict[float, Sized]] = {}
    for device, row in _all_sized(index):
        if row.ranks == 1:
            found.setdefault(device, {}).setdefault(row.parameters, row)
    return {
        device: sorted(rows.values(), key=lambda row: row.parameters)
        for device, rows in sorted(found.items())
    }


def ranked(index: Index) -> dict[tuple[str, str], list[Sized]]:
    """By device and model, data sets with one GPU and several, by their number.

    Only models that were measured on several. Of one GPU the first data set counts; of several
    all do, since they were measured on different hosts, in the order in which they were measured.
    """
    found: dict[tuple[str, str], list[Sized]] = {}
    for device, row in _all_sized(index):
        rows = found.setdefault((device, row.label), [])
        if row.ranks > 1 or all(other.ranks > 1 for other in rows):
            rows.append(row)
    return {
        place: sorted(
            rows,
            key=lambda row: (row.ranks, index.datasets[row.dataset].first_measured_at or ""),
        )
        for place, rows in sorted(found.items())
        if any(row.ranks > 1 for row in rows)
    }


def _all_sized(index: Index) -> list[tuple[str, Sized]]:
    """Device and row of every measured data set whose model's size is in config/models.yaml."""
    sizes = {model.hub: model for model in read_models().values() if model.hub}
    found = []
    for dataset in index.ledger.datasets:
        model, steps = sizes.get(dataset.model), _step_ratios(index, dataset)
        if model is None or dataset.kind != "measured" or dataset.platform != "cuda" or not steps:
            continue
        row = Sized(
            dataset.name, short_model(dataset), float(model.parameters), steps,
            dataset.tensor_parallel_size,
        )  # fmt: skip
        found.append((short_device(dataset), row))
    return found


def _step_ratios(index: Index, dataset: Dataset) -> dict[int, Number]:
    primary = [name for name, c in dataset.contrasts.items() if c.role == "primary"]
    return {
        int(number.id.batch): number
        for number in with_quantity(index, dataset.name, STEP_RATIO)
        if number.id.contrast in primary
    }


def plain_steps(index: Index, dataset: str) -> dict[int, tuple[Number, Number, Number]]:
    """By batch size: the speed-up of a step, the step in eager, the step with graphs."""
    return {
        size: (gain, *steps)
        for size, gain in _step_ratios(index, index.datasets[dataset]).items()
        if (steps := of_primary(index, dataset, STEP, batch=size)) is not None
    }


def impossible(index: Index, dataset: Dataset) -> list[int]:
    """The batch sizes at which a published speed-up is of a step faster than the device allows.

    The back-test finds them: it leaves such a pair without a prediction.
    """
    if dataset.kind != "transcribed":
        return []
    left_out = [
        float(number.value or 0) for number in everywhere(index, BACKTEST) if not number.predictions
    ]
    return [
        size
        for size, number in ratios(index, dataset.name, "primary").items()
        if any(math.isclose(float(number.value or 0), other, rel_tol=1e-6) for other in left_out)
    ]


def one_a_device(index: Index, names: Sequence[str]) -> list[str]:
    """The first of these data sets on each device."""
    first = {short_device(index.datasets[name]): name for name in reversed(names)}
    return [name for name in names if first[short_device(index.datasets[name])] == name]


@dataclass(frozen=True)
class Curve:
    """Forecasts over model size: one host, device and number of GPUs."""

    host: str
    device: str
    tp: int
    batch: int
    points: list[tuple[float, Number]]  # parameters, speed-up


def curves(index: Index) -> list[Curve]:
    """The curves of the ledger; the models of each from small to large."""
    models = read_models()
    found: dict[tuple[str, str, int, int], list[tuple[float, Number]]] = {}
    for number in everywhere(index, CURVE):
        key = number.id
        place = (str(key.host), str(key.device), int(key.tp), int(key.batch))
        size = float(models[str(key.model)].parameters)
        found.setdefault(place, []).append((size, number))
    return [
        Curve(*place, sorted(points, key=lambda point: point[0])) for place, points in found.items()
    ]


def cold_arms(index: Index, dataset: str) -> list[str]:
    """Arms of the purpose startup that only ever compiled with an empty cache."""

    def compiled(arm: str, phase: str) -> bool:
        return value_at(index, dataset, STARTUP(phase=phase, arm=arm)) is not None

    return [
        arm
        for arm, facts in index.datasets[dataset].arms.items()
        if facts.purpose == "startup"
        and compiled(arm, "compile_cold")
        and not compiled(arm, "compile_warm")
    ]


def arms_shown(index: Index, dataset: str) -> list[str]:
    """The arms whose start-up is compared: those of the leading contrasts, and cold starts."""
    facts = index.datasets[dataset]
    roles = ("primary", "graph", "compile", "graph_compiled", "compile_ungraphed")
    sides = [
        arm
        for role in roles
        for contrast in facts.contrasts.values()
        if contrast.role == role
        for arm in (contrast.denominator, contrast.numerator)
    ]
    wanted = dict.fromkeys([*sides, *cold_arms(index, dataset)] if sides else facts.arms)
    return [arm for arm in wanted if value_at(index, dataset, STARTUP(phase="boot", arm=arm))]
