"""Published eager/graphs pairs and claims, and the back-test of the step model on them.

The hosts of published pairs are unknown, so the back-test takes the prior of a host that nobody
measured. Misses stay; no constant changes because of the outcome.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from cudagraph_lab.forms import Form
from cudagraph_lab.models.architecture import ANCHORS, Device, Dtype, find, read_yaml
from cudagraph_lab.models.forecast import Forecast, Question, answer, forecast, roof_asked
from cudagraph_lab.models.step import Assumed, assumed_speed, unknown_host
from cudagraph_lab.shapes import Count, Model, Positive, Source


class Pair(Form):
    """A published eager/graphs pair; `inferred` says which inputs its source leaves open, why."""

    device: str
    model: str
    batch: Count
    tp: Count
    dtype: Dtype
    weight_bits: Positive | None = None  # None: those of the dtype
    context: Count
    eager: Positive
    graphs: Positive
    unit: Literal["tok/s", "ms/step"]
    inferred: dict[str, str]
    source: Source
    note: str

    @property
    def ratio(self) -> float:
        """The published speed-up."""
        return self.step_s(self.eager) / self.step_s(self.graphs)

    def step_s(self, value: float) -> float:
        """Seconds per decode step of `eager` or `graphs`."""
        return self.batch / value if self.unit == "tok/s" else value / 1e3


class NotStated(Form):
    """A published pair that cannot be back-tested, and why."""

    workload: str
    published: str
    source: Source
    reason: str


class Setting(Form):
    """One configuration that a claim is judged on."""

    batch: Count
    tp: Count
    dtype: Dtype


class Claim(Form):
    """A published claim that the speed-up ratio lies between `low` and `high`."""

    text: str
    low: Positive
    high: Positive
    source: Source
    device: str
    model: str
    context: Count
    reading: str
    settings: list[Setting]


class Anchors(Form):
    """config/anchors.yaml."""

    pairs: dict[str, Pair]
    not_stated: list[NotStated]
    claims: dict[str, Claim]


@dataclass(frozen=True)
class BacktestRow:
    """A published ratio against its forecast.

    `floor_s` is the roofline's step and `below_floor` says that the published graph step is
    shorter than the roofline allows even with the whole last-level cache holding weights, so
    that device, model or dtype cannot be as stated; None where the cache size is not known.
    """

    pair: str
    published: float
    forecast: Forecast
    floor_s: float
    graph_step_s: float
    below_floor: bool | None
    inferred: dict[str, str]


def read_anchors(path: Path = ANCHORS) -> Anchors:
    """Read config/anchors.yaml. Raises LabError naming the file and key."""
    return read_yaml(path, TypeAdapter(Anchors))


def backtest(
    anchors: Anchors,
    devices: Mapping[str, Device],
    models: Mapping[str, Model],
    assumed: Assumed,
    seed: int,
) -> list[BacktestRow]:
    """Forecast every published pair on a host that nobody measured."""
    rows = []
    for name, pair in anchors.pairs.items():
        device = find(devices, pair.device, f"pairs.{name}: device")
        model = find(models, pair.model, f"pairs.{name}: model")
        question = Question(
            model, device, pair.batch, pair.tp, pair.dtype, pair.context, pair.weight_bits
        )
        said = answer(
            question,
            unknown_host(assumed.unknown_host, seed),
            assumed_speed(device, assumed.device, seed),
            assumed,
            seed,
        )
        roof = roof_asked(question, model, 1)
        graph_step_s = pair.step_s(pair.graphs)
        below = None
        if device.l2_mib is not None:
            cached_s = device.l2_mib * 2**20 / (device.memory_bandwidth_gb_s * 1e9)
            below = graph_step_s < max(roof.memory_s - cached_s, roof.compute_s, 0.0)
        rows.append(
            BacktestRow(
                pair=name,
                published=pair.ratio,
                forecast=forecast(said.ratio),
                floor_s=roof.gpu_s,
                graph_step_s=graph_step_s,
                below_floor=below,
                inferred=pair.inferred,
            )
        )
    return rows
