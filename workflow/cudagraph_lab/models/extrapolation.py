"""What graphs should gain elsewhere: a roofline and a launch bill, back-tested on anchors.

GPU work of one decode step is a roofline: the longer of bytes over bandwidth and FLOPs over
peak. The launch bill is kernels per layer times layers times microseconds per launch. The
answer is a bracket on the speed-up ratio, from the overlap to the additive model (see
`launch_models`) over the ends of the constants, never a single number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cudagraph_lab import REPOSITORY
from cudagraph_lab.errors import LabError

Range = tuple[float, float]
Dtype = Literal["bf16", "fp16", "fp8"]
Verdict = Literal["supported", "contradicted", "undecided"]
T = TypeVar("T")

CONFIG = REPOSITORY / "config"
FILES = [CONFIG / name for name in ("anchors.yaml", "devices.yaml", "models.yaml")]
WEIGHT_BYTES: Mapping[Dtype, int] = {"bf16": 2, "fp16": 2, "fp8": 1}
ACTIVATION_BYTES = 2

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Source = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Device(_Strict):
    """One device of config/devices.yaml; bandwidth in 1e9 bytes a second, per device."""

    name: str
    memory_bandwidth_gb_s: Positive
    peak_16bit_dense_tflops: Positive
    memory_gib: Positive | None  # None: not known
    l2_mib: Positive | None
    bf16: bool
    source: Source


class Model(_Strict):
    """One decoder of config/models.yaml; `ffn` is the width of one expert where there are any.

    Counts leave out norms and biases, which are below half a per cent of every model here.
    """

    layers: Count
    hidden: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    ffn: Count
    gated_ffn: bool
    vocab: Count
    tied_embeddings: bool
    learned_positions: int = 0
    experts: Count = 1
    experts_per_token: Count = 1
    published_parameters: Positive | None = None
    source: Source

    @property
    def attention_parameters(self) -> int:
        """Query, key, value and output projections of one layer."""
        return self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)

    @property
    def expert_parameters(self) -> int:
        """One expert's (or the dense) feed-forward matrices."""
        return (3 if self.gated_ffn else 2) * self.hidden * self.ffn

    @property
    def router_parameters(self) -> int:
        """The expert choice of one layer; none in a dense model."""
        return self.hidden * self.experts if self.experts > 1 else 0

    @property
    def parameters(self) -> int:
        """All weights: layers, embeddings, positions, output head."""
        layer = (
            self.attention_parameters
            + self.experts * self.expert_parameters
            + self.router_parameters
        )
        embeddings = self.vocab * (1 if self.tied_embeddings else 2) + self.learned_positions
        return self.layers * layer + self.hidden * embeddings

    def parameters_used(self, experts: float) -> float:
        """Weights that a step reads or multiplies with when `experts` per layer take part."""
        layer = (
            self.attention_parameters + experts * self.expert_parameters + self.router_parameters
        )
        return self.layers * layer + self.hidden * self.vocab

    def experts_read(self, batch: int) -> float:
        """Experts per layer that `batch` tokens are expected to touch, routed evenly."""
        untouched: float = (1 - self.experts_per_token / self.experts) ** batch
        return self.experts * (1 - untouched)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that one token takes in a 16-bit KV cache, over all devices."""
        return 2 * self.layers * self.kv_heads * self.head_dim * ACTIVATION_BYTES


class PublishedRange(_Strict):
    """A constant known as a range."""

    low: Positive
    high: Positive
    source: Source


class PublishedValue(_Strict):
    """A constant known as one value."""

    value: Positive
    source: Source


class AnchorConstants(_Strict):
    """The constants as config/anchors.yaml states them."""

    launch_us_published: PublishedRange
    launch_us_pair: str
    kernels_per_layer: PublishedRange
    replay_us_per_kernel: PublishedValue


class Pair(_Strict):
    """A published eager/graphs pair; `inferred` says which inputs its source leaves open, why."""

    device: str
    model: str
    batch: Count
    tp: Count
    dtype: Dtype
    context: Count
    eager: Positive
    graphs: Positive
    unit: Literal["tok/s", "ms/step"]
    inferred: dict[str, str]
    source: Source
    note: str

    @property
    def eager_step_s(self) -> float:
        """Eager seconds per decode step."""
        return self._step_s(self.eager)

    @property
    def graph_step_s(self) -> float:
        """Graph seconds per decode step."""
        return self._step_s(self.graphs)

    def _step_s(self, value: float) -> float:
        return self.batch / value if self.unit == "tok/s" else value / 1e3


class NotStated(_Strict):
    """A published pair that cannot be back-tested, and why."""

    workload: str
    published: str
    source: Source
    reason: str


class Setting(_Strict):
    """One configuration that a claim is judged on."""

    batch: Count
    tp: Count
    dtype: Dtype


class Claim(_Strict):
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


class Anchors(_Strict):
    """config/anchors.yaml."""

    constants: AnchorConstants
    pairs: dict[str, Pair]
    not_stated: list[NotStated]
    claims: dict[str, Claim]


@dataclass(frozen=True)
class Constants:
    """The one set of constants: (low, high) each, and where every one comes from."""

    launch_us: Range
    kernels_per_layer: Range
    replay_us: float
    sources: tuple[str, ...]


@dataclass(frozen=True)
class StepParts:
    """One decode step per device: bytes, FLOPs, and seconds; ranges over the constants."""

    weight_bytes: float
    kv_bytes: float
    activation_bytes: float
    flops: float
    memory_s: float
    compute_s: float
    gpu_s: float
    launches: Range
    launch_bill_s: Range
    replay_s: Range


@dataclass(frozen=True)
class Bracket:
    """The speed-up ratio of graphs over eager lies in [low, high] if the assumptions hold."""

    low: float
    high: float
    overlap: Range
    additive: Range
    assumptions: list[str]
    parts: StepParts

    @property
    def width(self) -> float:
        """High over low: how little a hit says."""
        return self.high / self.low


@dataclass(frozen=True)
class BacktestRow:
    """A published ratio against its bracket.

    `floor_s` is the roofline's step and `below_floor` says that the published graph step is
    shorter than the roofline allows even with the whole last-level cache holding weights, so
    that device, model or dtype cannot be as stated; None where the cache size is not known.
    `in_sample` marks the pairs of the publication that a constant was read from.
    """

    pair: str
    published: float
    bracket: Bracket
    hit: bool
    in_sample: bool
    floor_s: float
    graph_step_s: float
    below_floor: bool | None
    inferred: dict[str, str]


@dataclass(frozen=True)
class Backtest:
    """All rows; `hits`, `tested`, `hit_rate` and `median_width` leave the in-sample row out.

    `infeasible` counts tested rows below the floor: a hit there is no evidence either way.
    """

    rows: list[BacktestRow]
    hits: int
    tested: int
    hit_rate: float | None
    median_width: float | None
    infeasible: int
    not_stated: list[NotStated]
    constants: Constants


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim on one setting: supported if the bracket lies inside it, contradicted if apart."""

    claim: str
    setting: Setting
    bracket: Bracket
    verdict: Verdict


def read_devices(path: Path) -> dict[str, Device]:
    """Read config/devices.yaml. Raises LabError naming the file and key."""
    return _read(path, TypeAdapter(dict[str, Device]))


def read_models(path: Path) -> dict[str, Model]:
    """Read config/models.yaml. Raises LabError naming the file and key."""
    return _read(path, TypeAdapter(dict[str, Model]))


def read_anchors(path: Path) -> Anchors:
    """Read config/anchors.yaml. Raises LabError naming the file and key."""
    return _read(path, TypeAdapter(Anchors))


def find(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of that name; LabError listing the known names if there is none."""
    if name not in table:
        raise LabError(f"{what} {name!r}: not known; use one of {', '.join(table)}")
    return table[name]


def resolve_constants(anchors: Anchors, models: Mapping[str, Model]) -> Constants:
    """The constants, with the launch cost spanning its two sources.

    The second source is the eager step of one published pair over its launches: if the step
    is all host, that is the cost of a launch with the Python above it, and if it is not, an
    upper bound of it. Ranges are combined end to end, so the top of a bracket has up to twice
    the bill per layer that the pair itself shows.
    """
    stated = anchors.constants
    kernels = (stated.kernels_per_layer.low, stated.kernels_per_layer.high)
    pair = find(anchors.pairs, stated.launch_us_pair, "constants.launch_us_pair")
    layers = find(models, pair.model, "model").layers
    from_pair = [pair.eager_step_s * 1e6 / (layers * count) for count in kernels]
    published = stated.launch_us_published
    return Constants(
        launch_us=(min(published.low, *from_pair), max(published.high, *from_pair)),
        kernels_per_layer=kernels,
        replay_us=stated.replay_us_per_kernel.value,
        sources=(
            f"launch cost: {published.source}; and the eager step of {stated.launch_us_pair} "
            f"({pair.source}) over {layers} layers",
            f"kernels per layer: {stated.kernels_per_layer.source}",
            f"replay: {stated.replay_us_per_kernel.source}",
        ),
    )


def extrapolate(
    device: Device,
    model: Model,
    batch: int,
    tp: int,
    dtype: Dtype,
    *,
    context: int,
    launch_us: Range,
    kernels_per_layer: Range,
    replay_us: float,
    weight_bits: float | None = None,
) -> Bracket:
    """Bracket the speed-up ratio of graphs over eager for one decode step.

    `context` is the mean number of tokens that a request holds in the KV cache; `launch_us`
    is host microseconds per launch, `replay_us` what a graph leaves per kernel; `weight_bits`
    takes the place of the dtype's bits per weight. With g the
    GPU work, k the kernels, l and r those two costs, the graph step is g + k r, and the eager
    step is g + k l (additive) or max(k l, g + k r) (overlap). Low and high are over both
    models and the ends of both ranges.

    Raises LabError for a `tp` that does not divide the heads, a dtype that the device lacks,
    ranges that are not ascending and above 0, or weights and cache larger than the memory.
    """
    for name, value in (("batch", batch), ("tp", tp), ("context", context)):
        if value < 1:
            raise LabError(f"{name}: must be at least 1, got {value}")
    for name, (low, high) in (("launch_us", launch_us), ("kernels_per_layer", kernels_per_layer)):
        if not 0 < low <= high:
            raise LabError(f"{name}: must be (low, high) with 0 < low <= high, got {low}, {high}")
    if not replay_us >= 0:
        raise LabError(f"replay_us: must not be negative, got {replay_us}")
    roof = roofline(device, model, batch, tp, dtype, context, weight_bits)
    gpu_s = roof.gpu_s
    overlap, additive = [], []
    for kernels, launch in product(kernels_per_layer, launch_us):
        launches = kernels * model.layers
        bill_s, graph_s = launches * launch / 1e6, gpu_s + launches * replay_us / 1e6
        overlap.append(max(bill_s, graph_s) / graph_s)
        additive.append((gpu_s + bill_s) / graph_s)
    launches_range = (kernels_per_layer[0] * model.layers, kernels_per_layer[1] * model.layers)
    return Bracket(
        low=min(overlap + additive),
        high=max(overlap + additive),
        overlap=(min(overlap), max(overlap)),
        additive=(min(additive), max(additive)),
        assumptions=_assumptions(device, model, tp, dtype, context, weight_bits),
        parts=StepParts(
            weight_bytes=roof.weight_bytes,
            kv_bytes=roof.kv_bytes,
            activation_bytes=roof.activation_bytes,
            flops=roof.flops,
            memory_s=roof.memory_s,
            compute_s=roof.compute_s,
            gpu_s=gpu_s,
            launches=launches_range,
            launch_bill_s=(
                launches_range[0] * launch_us[0] / 1e6,
                launches_range[1] * launch_us[1] / 1e6,
            ),
            replay_s=(launches_range[0] * replay_us / 1e6, launches_range[1] * replay_us / 1e6),
        ),
    )


@dataclass(frozen=True)
class Roofline:
    """GPU work of one decode step on one device: bytes, FLOPs, and the seconds they take."""

    weight_bytes: float
    kv_bytes: float
    activation_bytes: float
    flops: float
    memory_s: float
    compute_s: float

    @property
    def gpu_s(self) -> float:
        """The longer of memory and compute."""
        return max(self.memory_s, self.compute_s)


def roofline(
    device: Device,
    model: Model,
    batch: int,
    tp: int,
    dtype: Dtype,
    context: int,
    weight_bits: float | None = None,
) -> Roofline:
    """Roofline of one decode step per device, at the full documented bandwidth and peak.

    Bytes: weights that take part once (of experts, those expected to be touched), the KV
    cache of `batch` requests of `context` tokens, and every matrix product's input and
    output once. Key and value heads are repeated where `tp` exceeds them. FLOPs: two per
    weight and token, and four per cached element and query head. Raises LabError as
    `extrapolate` does.
    """
    if model.heads % tp or (model.kv_heads % tp and tp % model.kv_heads):
        raise LabError(f"tp {tp}: does not divide the model's {model.heads} heads; use a divisor")
    if dtype == "bf16" and not device.bf16:
        raise LabError(f"dtype bf16: {device.name} has no bf16; use fp16")
    if weight_bits is not None and not 0 < weight_bits <= 64:
        raise LabError(f"weight_bits: must be above 0 and at most 64, got {weight_bits}")
    bytes_each = WEIGHT_BYTES[dtype] if weight_bits is None else weight_bits / 8
    weight_bytes = model.parameters_used(model.experts_read(batch)) * bytes_each / tp
    kv_heads = max(model.kv_heads // tp, 1)
    kv_bytes = model.kv_bytes_per_token * kv_heads / model.kv_heads * batch * context
    held = model.parameters * bytes_each / tp + kv_bytes
    if device.memory_gib is not None and held > device.memory_gib * 2**30:
        raise LabError(
            f"tp {tp}, dtype {dtype}: weights and cache take {held / 2**30:.0f} GiB a device, "
            f"{device.name} has {device.memory_gib:g}; raise tp or lower batch or context"
        )
    attention_width = model.head_dim * model.heads / tp
    experts = model.experts_per_token
    ffn_width = (3 if model.gated_ffn else 2) * experts * model.ffn / tp
    per_layer = (
        (3 + experts) * model.hidden + 2 * attention_width + 2 * model.head_dim * kv_heads
    ) + ffn_width
    elements = model.layers * per_layer + model.hidden + model.vocab / tp
    activation_bytes = batch * elements * ACTIVATION_BYTES
    flops = batch * (
        2 * model.parameters_used(model.experts_per_token) / tp
        + 4 * model.layers * attention_width * context
    )
    total = weight_bytes + kv_bytes + activation_bytes
    return Roofline(
        weight_bytes=weight_bytes,
        kv_bytes=kv_bytes,
        activation_bytes=activation_bytes,
        flops=flops,
        memory_s=total / (device.memory_bandwidth_gb_s * 1e9),
        compute_s=flops / (device.peak_16bit_dense_tflops * 1e12),
    )


def backtest(
    anchors: Anchors, devices: Mapping[str, Device], models: Mapping[str, Model]
) -> Backtest:
    """Bracket every published pair with the one set of constants, and count the hits."""
    constants = resolve_constants(anchors, models)
    rows = []
    for name, pair in anchors.pairs.items():
        device = find(devices, pair.device, f"pairs.{name}: device")
        bracket = _bracket(
            device, find(models, pair.model, f"pairs.{name}: model"), pair, pair.context, constants
        )
        parts = bracket.parts
        published = pair.eager_step_s / pair.graph_step_s
        below = None
        if device.l2_mib is not None:
            uncached = max(
                parts.memory_s - device.l2_mib * 2**20 / (device.memory_bandwidth_gb_s * 1e9), 0.0
            )
            below = pair.graph_step_s < max(uncached, parts.compute_s)
        rows.append(
            BacktestRow(
                pair=name,
                published=published,
                bracket=bracket,
                hit=bracket.low <= published <= bracket.high,
                in_sample=pair.source == anchors.pairs[anchors.constants.launch_us_pair].source,
                floor_s=parts.gpu_s,
                graph_step_s=pair.graph_step_s,
                below_floor=below,
                inferred=pair.inferred,
            )
        )
    out_of_sample = [row for row in rows if not row.in_sample]
    hits = sum(row.hit for row in out_of_sample)
    tested = len(out_of_sample)
    return Backtest(
        rows=rows,
        hits=hits,
        tested=tested,
        hit_rate=hits / tested if tested else None,
        median_width=median(row.bracket.width for row in out_of_sample) if tested else None,
        infeasible=sum(row.below_floor is True for row in out_of_sample),
        not_stated=anchors.not_stated,
        constants=constants,
    )


def judge_claim(
    name: str, anchors: Anchors, devices: Mapping[str, Device], models: Mapping[str, Model]
) -> list[ClaimVerdict]:
    """Judge a claim of config/anchors.yaml on each of its settings."""
    claim = find(anchors.claims, name, "claim")
    device = find(devices, claim.device, f"claims.{name}: device")
    model = find(models, claim.model, f"claims.{name}: model")
    constants = resolve_constants(anchors, models)
    verdicts = []
    for setting in claim.settings:
        bracket = _bracket(device, model, setting, claim.context, constants)
        verdicts.append(ClaimVerdict(name, setting, bracket, _verdict(bracket, claim)))
    return verdicts


def _bracket(
    device: Device, model: Model, case: Pair | Setting, context: int, constants: Constants
) -> Bracket:
    return extrapolate(
        device,
        model,
        case.batch,
        case.tp,
        case.dtype,
        context=context,
        launch_us=constants.launch_us,
        kernels_per_layer=constants.kernels_per_layer,
        replay_us=constants.replay_us,
    )


def _verdict(bracket: Bracket, claim: Claim) -> Verdict:
    if bracket.low >= claim.low and bracket.high <= claim.high:
        return "supported"
    if bracket.low > claim.high or bracket.high < claim.low:
        return "contradicted"
    return "undecided"


def _assumptions(
    device: Device,
    model: Model,
    tp: int,
    dtype: Dtype,
    context: int,
    weight_bits: float | None,
) -> list[str]:
    assumptions = [
        "GPU work is the roofline at full documented bandwidth and peak: the least it can be",
        "launches outside the layers and host work outside the launches are left out",
        "kernels per layer are the same for every architecture, and the same in both arms: "
        "what compilation fuses is not modelled",
        f"every request holds {context} tokens in a 16-bit KV cache",
    ]
    if tp > 1:
        assumptions.append(
            "every device has a host process of its own; all-reduces between devices are left "
            "out, launches and time, for want of a sourced figure"
        )
    if weight_bits is not None:
        assumptions.append(
            f"weights take {weight_bits:g} bits each; products are counted at the 16-bit peak"
        )
    elif dtype == "fp8":
        assumptions.append("fp8 halves the weights; products are counted at the 16-bit peak")
    if model.experts > 1:
        assumptions.append("tokens are routed evenly and independently over the experts")
    if device.memory_gib is None:
        assumptions.append("weights and cache fit: the device's memory is not known")
    return assumptions


def _read(path: Path, adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LabError(f"{path}: {where}: {first['msg']}") from error
    except yaml.YAMLError as error:
        raise LabError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: cannot be read ({error})") from error
