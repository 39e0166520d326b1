"""Devices and models as their documents describe them, and the least work of a decode step.

Read from config/devices.yaml and config/models.yaml. The work of a step is counted: bytes that
have to be moved, FLOPs that have to be done. How fast a device really does that is for
`models.step` to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from cudagraph_lab import REPOSITORY
from cudagraph_lab.errors import LabError
from cudagraph_lab.files import parse_yaml
from cudagraph_lab.forms import Form, first_mistake
from cudagraph_lab.shapes import Model, Positive, Source

Dtype = Literal["bf16", "fp16", "fp8"]
T = TypeVar("T")

CONFIG = REPOSITORY / "config"
ANCHORS, DEVICES, MODELS, ASSUMED = TABLES = tuple(
    CONFIG / name for name in ("anchors.yaml", "devices.yaml", "models.yaml", "step_model.yaml")
)
WEIGHT_BYTES: Mapping[Dtype, int] = {"bf16": 2, "fp16": 2, "fp8": 1}
ACTIVATION_BYTES = 2


class Device(Form):
    """One device of config/devices.yaml; bandwidth in 1e9 bytes a second, per device."""

    name: str
    reported_as: str | None = None  # by the driver
    memory_bandwidth_gb_s: Positive
    peak_16bit_dense_tflops: Positive
    memory_gib: Positive | None  # None: not known
    l2_mib: Positive | None
    bf16: bool
    source: Source


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
    def bytes(self) -> float:
        """All that has to be moved."""
        return self.weight_bytes + self.kv_bytes + self.activation_bytes

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
    tokens: int = 1,
) -> Roofline:
    """Roofline of one decode step per device, at the full documented bandwidth and peak.

    `tokens` are those that a step carries for each request: 1 + k where k drafts are verified.

    Bytes: weights that take part once (of experts, those expected to be touched), the KV
    cache of `batch` requests of `context` tokens, and every matrix product's input and
    output once. Key and value heads are repeated where `tp` exceeds them. FLOPs: two per
    weight and token, and four per cached element and query head. Raises LabError as
    `extrapolate` does.
    """
    for name, count in (("batch", batch), ("tp", tp), ("context", context), ("tokens", tokens)):
        if count < 1:
            raise LabError(f"{name} {count}: must be 1 or more")
    if model.heads % tp or (model.kv_heads % tp and tp % model.kv_heads):
        raise LabError(f"tp {tp}: does not divide the model's {model.heads} heads; use a divisor")
    if dtype == "bf16" and not device.bf16:
        raise LabError(f"dtype bf16: {device.name} has no bf16; use fp16")
    if weight_bits is not None and not 0 < weight_bits <= 64:
        raise LabError(f"weight_bits: must be above 0 and at most 64, got {weight_bits}")
    bytes_each = WEIGHT_BYTES[dtype] if weight_bits is None else weight_bits / 8
    carried = batch * tokens
    weight_bytes = model.parameters_used(model.experts_read(carried)) * bytes_each / tp
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
    activation_bytes = carried * elements * ACTIVATION_BYTES
    flops = carried * (
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


def read_devices(path: Path = DEVICES) -> dict[str, Device]:
    """Read config/devices.yaml. Raises LabError naming the file and key."""
    return read_yaml(path, TypeAdapter(dict[str, Device]))


def read_models(path: Path = MODELS) -> dict[str, Model]:
    """Read config/models.yaml. Raises LabError naming the file and key."""
    return read_yaml(path, TypeAdapter(dict[str, Model]))


def find(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of that name; LabError listing the known names if there is none."""
    if name not in table:
        raise LabError(f"{what} {name!r}: not known; use one of {', '.join(table)}")
    return table[name]


def read_yaml(path: Path, adapter: TypeAdapter[T]) -> T:
    """A table of config/ in its form. Raises LabError naming the file and key."""
    try:
        return adapter.validate_python(parse_yaml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise LabError(f"{path}: {first_mistake(error, 'all of it')}") from error
    except yaml.YAMLError as error:
        raise LabError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: cannot be read ({error})") from error
