"""The step model: seconds of a decode step, from a host, a device and a model.

    host = fixed * (1 + ranks share, of several ranks) + per_request * batch + per_launch * launches
    gpu  = kernel * kernels + max(bytes / bandwidth, flops / matrix rate) + all-reduces
    step = max(host, gpu) + serial_share * min(host, gpu)

Launches are asynchronous, so the longer of host and GPU work sets the step; `serial_share` is
what of the shorter does not hide. With graphs one replay takes the place of all launches, and its
cost is part of `fixed`. `fixed` and `per_request` are the scheduler, the sampler and the message
passing, which every arm pays.

All constants are arrays of draws, so that their uncertainty goes into every step and ratio.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, model_validator

from cudagraph_lab.forms import Form
from cudagraph_lab.models.architecture import ASSUMED, Device, Roofline, read_yaml
from cudagraph_lab.shapes import Model, Positive, Source

Floats = NDArray[np.float64]
StepArm = Literal["eager", "compiled", "graphs"]
STEP_ARMS: tuple[StepArm, ...] = get_args(StepArm)
DRAWS = 4_000
_NORMAL_90 = 1.6448536269514722  # the normal quantile that bounds the central 90%


class Belief(Form):
    """A constant that is not measured: median and central 90%, lognormal."""

    median: Positive
    low: Positive
    high: Positive
    source: Source

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low < self.median < self.high:
            raise ValueError("low < median < high does not hold")
        return self

    def draw(self, rng: np.random.Generator) -> Floats:
        """DRAWS draws with this median; each side has the spread of its own bound."""
        return self.at(rng.standard_normal(DRAWS) / _NORMAL_90)

    def at(self, rank: Floats) -> Floats:
        """The value at a place of the spread: -1 is the lower bound, 0 the median, 1 the upper."""
        up, down = np.log(self.high / self.median), np.log(self.median / self.low)
        return np.asarray(self.median * np.exp(rank * np.where(rank > 0, up, down)))


class DeviceBeliefs(Form):
    """How fast a device does the work that is counted."""

    bandwidth_share: Belief
    matrix_share: Belief
    kernel_us: Belief
    serial_share: Belief
    all_reduce_us: Belief
    all_reduce_gb_s: Belief


class KernelBeliefs(Form):
    """How many kernels a step has, of a model that was not profiled."""

    eager_per_layer: Belief
    compiled_share: Belief
    outside_layers: Belief


class TransferBeliefs(Form):
    """What changes from where a constant was measured to where it is used."""

    ranks_share: Belief
    all_reduce_doubling: Belief
    launch_cost: Belief
    host_again: Belief
    step: Belief
    arm: Belief


class HostBeliefs(Form):
    """A host that nobody measured."""

    fixed_us: Belief
    per_request_us: Belief
    launch_us: Belief
    compiled_launch: Belief


class SpeculationBeliefs(Form):
    """What a step of speculative decoding does beside the passes of its two models."""

    pass_launches: Belief
    verify_launches: Belief
    piecewise_per_layer: Belief
    not_hidden: Belief


class Assumed(Form):
    """config/step_model.yaml."""

    device: DeviceBeliefs
    kernels: KernelBeliefs
    transfer: TransferBeliefs
    unknown_host: HostBeliefs
    speculation: SpeculationBeliefs


@dataclass(frozen=True)
class Host:
    """Seconds of host work: a step, a request in it, a launch in eager and in compiled code."""

    fixed_s: Floats
    per_request_s: Floats
    per_launch_s: Mapping[StepArm, Floats]


@dataclass(frozen=True)
class Speed:
    """What a device achieves, and what of the shorter part of a step does not hide."""

    bandwidth_b_s: Floats
    matrix_flop_s: Floats
    kernel_s: Floats
    serial_share: Floats
    all_reduce_s: Floats
    all_reduce_b_s: Floats


@dataclass(frozen=True)
class Work:
    """A step's work on each device: bytes, FLOPs, kernels per arm, and all-reduces."""

    batch: int
    bytes: float
    flops: float
    kernels: Mapping[StepArm, Floats]
    kernels_outside: Floats  # launched one by one in every arm; their launches are in `fixed_s`
    all_reduces: int
    all_reduce_bytes: float

    def launches(self, arm: StepArm) -> Floats:
        """Launches of a step beside those that every arm has."""
        if arm == "graphs":
            return np.zeros_like(self.kernels_outside)
        return self.kernels[arm] - self.kernels_outside


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step and of the two parts that it is made of; one array of draws each."""

    host_s: Floats
    gpu_s: Floats
    step_s: Floats


def read_assumed(path: Path = ASSUMED) -> Assumed:
    """Read config/step_model.yaml. Raises LabError naming the file and key."""
    return read_yaml(path, TypeAdapter(Assumed))


def gpu_s(speed: Speed, work: Work, arm: StepArm) -> Floats:
    """Seconds of GPU work of a step: kernels' own latency, data or products, all-reduces."""
    roof = np.maximum(work.bytes / speed.bandwidth_b_s, work.flops / speed.matrix_flop_s)
    exchanged = work.all_reduces * (
        speed.all_reduce_s + work.all_reduce_bytes / speed.all_reduce_b_s
    )
    return np.asarray(speed.kernel_s * work.kernels[arm] + roof + exchanged, dtype=np.float64)


def host_s(host: Host, work: Work, arm: StepArm) -> Floats:
    """Seconds of host work of a step."""
    launched = 0.0 if arm == "graphs" else host.per_launch_s[arm] * work.launches(arm)
    return np.asarray(host.fixed_s + host.per_request_s * work.batch + launched, dtype=np.float64)


def step(host: Host, speed: Speed, work: Work, arm: StepArm) -> StepTime:
    """A decode step of one arm: the module's formula."""
    on_host, on_gpu = host_s(host, work, arm), gpu_s(speed, work, arm)
    longer, shorter = np.maximum(on_host, on_gpu), np.minimum(on_host, on_gpu)
    return StepTime(on_host, on_gpu, longer + speed.serial_share * shorter)


def work_of(
    model: Model, roof: Roofline, batch: int, tp: int, assumed: KernelBeliefs, seed: int
) -> Work:
    """The work of a step of `batch` requests; kernels from the model's profile, else assumed.

    Tensor parallelism divides bytes and products (`roof` is per device), not kernels, and adds
    two all-reduces a layer, each a launch of its own, and one for the embedding.
    """
    rng = np.random.default_rng(seed)
    all_reduces = 2 * model.layers + 1 if tp > 1 else 0
    counted = model.kernels_at(batch)
    if counted is None:
        outside = assumed.outside_layers.draw(rng)
        layers = assumed.eager_per_layer.draw(rng) * model.layers
        compiled = layers * assumed.compiled_share.draw(rng)
    else:
        outside = np.full(DRAWS, counted.outside_layers)
        layers = np.full(DRAWS, counted.eager_per_layer * model.layers)
        compiled = np.full(DRAWS, counted.compiled_per_layer * model.layers)
    return Work(
        batch=batch,
        bytes=roof.bytes,
        flops=roof.flops,
        kernels={
            "eager": layers + outside + all_reduces,
            "compiled": compiled + outside + all_reduces,
            "graphs": compiled + outside + all_reduces,
        },
        kernels_outside=outside,
        all_reduces=all_reduces,
        all_reduce_bytes=batch * model.hidden * 2.0,
    )


def assumed_speed(device: Device, assumed: DeviceBeliefs, seed: int) -> Speed:
    """What a device achieves where nothing was measured on it."""
    rng = np.random.default_rng(seed)

    def draw(belief: Belief) -> Floats:
        return belief.draw(rng)

    return Speed(
        bandwidth_b_s=device.memory_bandwidth_gb_s * 1e9 * draw(assumed.bandwidth_share),
        matrix_flop_s=device.peak_16bit_dense_tflops * 1e12 * draw(assumed.matrix_share),
        kernel_s=draw(assumed.kernel_us) / 1e6,
        serial_share=draw(assumed.serial_share),
        all_reduce_s=draw(assumed.all_reduce_us) / 1e6,
        all_reduce_b_s=draw(assumed.all_reduce_gb_s) * 1e9,
    )


def unknown_host(assumed: HostBeliefs, seed: int) -> Host:
    """A host that nobody measured. One that is slow in launches is slow in the rest as well."""
    rng = np.random.default_rng(seed)
    rank = rng.standard_normal(DRAWS) / _NORMAL_90
    eager = assumed.launch_us.at(rank) / 1e6
    return Host(
        fixed_s=assumed.fixed_us.at(rank) / 1e6,
        per_request_s=assumed.per_request_us.at(rank) / 1e6,
        per_launch_s={"eager": eager, "compiled": eager * assumed.compiled_launch.draw(rng)},
    )


def with_ranks(host: Host, assumed: TransferBeliefs, tp: int, seed: int) -> Host:
    """The host of an engine with `tp` ranks, whose steps go to worker processes and back."""
    if tp == 1:
        return host
    return replace(
        host, fixed_s=host.fixed_s * (1 + assumed.ranks_share.draw(np.random.default_rng(seed)))
    )


def among_ranks(speed: Speed, assumed: TransferBeliefs, tp: int, seed: int) -> Speed:
    """The speed with the all-reduce of `tp` ranks in place of that of two.

    `all_reduce_s` is what an all-reduce takes beyond the latency of any kernel; both grow.
    """
    if tp <= 2:
        return speed
    growth = assumed.all_reduce_doubling.draw(np.random.default_rng(seed)) ** np.log2(tp / 2)
    whole = speed.kernel_s + speed.all_reduce_s
    return replace(speed, all_reduce_s=whole * growth - speed.kernel_s)


def carried_over(host: Host, assumed: TransferBeliefs, *, same_model: bool, seed: int) -> Host:
    """The host on another day and, unless `same_model`, with another architecture's launches."""
    rng = np.random.default_rng(seed)
    again = assumed.host_again.draw(rng)
    launch = assumed.launch_cost.draw(rng)
    if same_model:
        launch = np.ones(DRAWS)
    return Host(
        fixed_s=host.fixed_s * again,
        per_request_s=host.per_request_s * again,
        per_launch_s={arm: cost * again * launch for arm, cost in host.per_launch_s.items()},
    )
