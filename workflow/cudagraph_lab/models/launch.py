"""Launch models: what the eager arm's decode step should take, from batch 1 and the graph arm.

One formula holds the three models. A step has GPU work `gpu_s`, a launch bill `launch_s`
that the host pays in eager mode and that graphs remove, and a host term `host_s` that both
arms pay (scheduler, sampling, detokenising):

    eager = host_s + gpu_s + launch_s - hidden_share * min(launch_s, gpu_s)
    graph = host_s + gpu_s

`hidden_share` is the share of the shorter of the two that hides behind the longer:

- 0, *additive*: Amdahl's step, launch bill plus GPU work, as the course's lab 02 has it;
- 1, *overlap*: launches are asynchronous, so the step is the longer of launch bill and GPU
  work;
- between, *partial*. One pair of cells does not identify the share: a second pair does
  (`hidden_share_from_pair`), and is then no longer out of sample.

The launch bill does not grow with the batch. Everything here takes arrays of any shapes
that broadcast, so that bootstrap replicates go through in one call.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cudagraph_lab.errors import LabError

Floats = NDArray[np.float64]

# The models whose share is given, and what each says in words.
HIDDEN_SHARE = {"additive": 0.0, "overlap": 1.0}
IN_WORDS = {
    "additive": "launch bill on top of the GPU work",
    "overlap": "the longer of launch bill and GPU work",
}


@dataclass(frozen=True)
class Profile:
    """One profiled decode step per arm at batch 1; busy is the union of kernel intervals."""

    eager_launches: int
    eager_busy_s: float
    graph_busy_s: float


def eager_step_s(
    gpu_s: ArrayLike, launch_s: ArrayLike, hidden_share: ArrayLike, host_s: ArrayLike = 0.0
) -> Floats:
    """Eager step in seconds: the module's formula."""
    gpu, launch = _floats(gpu_s), _floats(launch_s)
    return _floats(host_s) + gpu + launch - _share(hidden_share) * np.minimum(launch, gpu)


def model_ratios(gpu_s: float, launch_s: float) -> dict[str, float]:
    """Eager over graph step by each model of HIDDEN_SHARE, where the host does nothing else."""
    return {
        name: float(eager_step_s(gpu_s, launch_s, share)) / gpu_s
        for name, share in HIDDEN_SHARE.items()
    }


def launch_bill_s(
    eager_s: ArrayLike, gpu_s: ArrayLike, hidden_share: ArrayLike, host_s: ArrayLike = 0.0
) -> Floats:
    """The launch bill in seconds that explains an eager step: the formula solved for it.

    Negative where the eager step is the shorter and the share is below 1. With share 1 and
    an eager step no longer than the GPU work the bill is hidden whole and only known to be
    at most the eager step, which is what is returned.
    """
    rest, gpu = _floats(eager_s) - _floats(host_s), _floats(gpu_s)
    exposed = 1.0 - _share(hidden_share)
    rest, gpu, exposed = np.broadcast_arrays(rest, gpu, exposed)
    longer_than_gpu = rest - exposed * gpu
    shorter = np.divide(rest - gpu, exposed, out=rest.copy(), where=exposed != 0)
    return np.where(rest >= (1.0 + exposed) * gpu, longer_than_gpu, shorter)


def predict_eager_step_s(
    eager_1_s: ArrayLike,
    graph_1_s: ArrayLike,
    graph_s: ArrayLike,
    hidden_share: ArrayLike,
    host_1_s: ArrayLike = 0.0,
    host_s: ArrayLike = 0.0,
    gpu_scale: ArrayLike = 1.0,
) -> Floats:
    """Eager step in seconds at some batch, from the pair at batch 1 and the graph step there.

    `host_1_s` and `host_s` are the host terms at batch 1 and at the predicted batch;
    `gpu_scale` is eager over graph GPU work, other than 1 where compilation fuses kernels.
    With both host terms 0 the graph step is taken to be all GPU work. In the additive model
    with `gpu_scale` 1 a host term makes no difference: the graph step already holds it.
    """
    scale = _floats(gpu_scale)
    bill = launch_bill_s(
        eager_1_s, (_floats(graph_1_s) - _floats(host_1_s)) * scale, hidden_share, host_1_s
    )
    return eager_step_s((_floats(graph_s) - _floats(host_s)) * scale, bill, hidden_share, host_s)


def eager_over_graph(
    hidden_share: float,
    eager_1_s: ArrayLike,
    graph_1_s: ArrayLike,
    graph_s: ArrayLike,
    profile: Profile | None = None,
    busy_s: float | None = None,
) -> Floats:
    """Eager over graph step at some batch, from the pair at batch 1 and the graph step there.

    With a `profile` the time in which the graph arm's GPU is idle at batch 1 is the host term, and
    the ratio of busy times the scale of GPU work. The host term is the same at every batch, unless
    `busy_s` gives the graph arm's busy time at this one.
    """
    host_1_s, host_s, scale = _floats(0.0), _floats(0.0), 1.0
    if profile is not None:
        # A graph step drawn below the GPU's busy time leaves no host term.
        host_1_s = np.maximum(_floats(graph_1_s) - profile.graph_busy_s, 0.0)
        host_s = host_1_s if busy_s is None else np.maximum(_floats(graph_s) - busy_s, 0.0)
        scale = profile.eager_busy_s / profile.graph_busy_s
    eager_s = predict_eager_step_s(
        eager_1_s, graph_1_s, graph_s, hidden_share, host_1_s, host_s, scale
    )
    return np.asarray(eager_s / _floats(graph_s), dtype=np.float64)


def hidden_share_from_pair(
    eager_1_s: ArrayLike, graph_1_s: ArrayLike, eager_s: ArrayLike, graph_s: ArrayLike
) -> Floats:
    """The hidden share that carries the pair at batch 1 into a second pair, by bisection.

    No host term. nan where no share in [0, 1] does it, so where the second pair lies outside
    what additive and overlap say, where those two agree and so every share does it, or where
    the eager step at batch 1 is not the longer one. Where some range of shares does it, one
    of them is returned.
    """
    e1, g1, e, g = np.broadcast_arrays(
        _floats(eager_1_s), _floats(graph_1_s), _floats(eager_s), _floats(graph_s)
    )
    most = predict_eager_step_s(e1, g1, g, 0.0)
    least = predict_eager_step_s(e1, g1, g, 1.0)
    low, high = np.zeros_like(e), np.ones_like(e)
    for _ in range(60):
        middle = (low + high) / 2
        too_long = predict_eager_step_s(e1, g1, g, middle) > e
        low, high = np.where(too_long, middle, low), np.where(too_long, high, middle)
    apart = most - least > 1e-9 * most
    identified = (e1 > g1) & (g >= g1) & apart & (least <= e) & (e <= most)
    return np.where(identified, high, np.nan)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _share(hidden_share: ArrayLike) -> Floats:
    share = _floats(hidden_share)
    # nan is a replicate whose share could not be found: it goes through as nan.
    if np.any((share < 0) | (share > 1)):
        raise LabError("hidden_share: must lie between 0 (additive) and 1 (overlap)")
    return share
