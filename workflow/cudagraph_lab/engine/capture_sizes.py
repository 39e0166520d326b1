"""The sizes that vLLM captures CUDA graphs for: its rule per version, and what a step runs on."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

from cudagraph_lab.engine.versions import rule_of
from cudagraph_lab.errors import LabError

# The largest size that any of these chooses by itself.
CEILING = 512


def vllm_capture_sizes(
    max_num_seqs: int,
    max_num_batched_tokens: int,
    version: str,
    speculative_tokens: int = 0,
    max_capture_size: int | None = None,
) -> tuple[int, ...]:
    """Capture sizes, in tokens per step, that this version of vLLM chooses by itself.

    Source: see `SizeRule`. The maximum is `max_capture_size` (`max_cudagraph_capture_size`),
    else min(2 * max_num_seqs * (1 + speculative_tokens), 512), and never above
    `max_num_batched_tokens`; sizes are 1, 2, 4, then by 8 up to 248, then by 16 from 256, and
    `max_num_batched_tokens` if it does not exceed the maximum. 0.11 steps by 8 throughout and
    0.33 adds `max_num_seqs`. Not covered: the ceiling of 1024 that 0.28 has on sm100 devices,
    `performance_mode`, sequence parallelism, and the rounding to multiples of
    1 + speculative_tokens where full graphs of decode steps are captured.

    Raises LabError for a version whose rule is not known here, or a limit below 1.
    """
    rule = rule_of(version)
    for name, value, least in (
        ("max_num_seqs", max_num_seqs, 1),
        ("max_num_batched_tokens", max_num_batched_tokens, 1),
        ("speculative_tokens", speculative_tokens, 0),
        ("max_capture_size", 1 if max_capture_size is None else max_capture_size, 1),
    ):
        if value < least:
            raise LabError(f"{name}: must be at least {least}, got {value}")
    chosen = min(2 * max_num_seqs * (1 + speculative_tokens), CEILING)
    wanted = chosen if max_capture_size is None else max_capture_size
    maximum = min(wanted, max_num_batched_tokens)
    sizes = {size for size in (1, 2, 4) if size <= maximum}
    turn = rule.by_sixteen_from or maximum + 1
    sizes.update(range(8, min(maximum + 1, turn), 8))
    sizes.update(range(turn, maximum + 1, 16))
    if rule.adds_max_num_batched_tokens and max_num_batched_tokens <= maximum:
        sizes.add(max_num_batched_tokens)
    if rule.adds_max_num_seqs and max_num_seqs <= maximum:
        sizes.add(max_num_seqs)
    return tuple(sorted(sizes))


def own_capture_sizes(
    sizes: Sequence[int], max_num_batched_tokens: int, max_capture_size: int | None = None
) -> tuple[int, ...]:
    """The capture sizes that vLLM takes from `cudagraph_capture_sizes`: sorted, each once.

    Source: as `vllm_capture_sizes`; sizes above `max_num_batched_tokens` are left out. Raises
    LabError for an empty list, a size below 1, or a `max_capture_size` that is not its largest.
    """
    if not sizes or min(sizes) < 1:
        raise LabError("sizes: give at least one capture size, none below 1")
    taken = tuple(sorted({size for size in sizes if size <= max_num_batched_tokens}))
    if not taken:
        raise LabError(f"sizes: all are above max_num_batched_tokens ({max_num_batched_tokens})")
    if max_capture_size is not None and max_capture_size != taken[-1]:
        raise LabError(
            f"max_capture_size: is {max_capture_size}, but the largest of the sizes is "
            f"{taken[-1]}; vLLM refuses that, leave one of them out"
        )
    return taken


def full_decode_sizes(
    sizes: Sequence[int], max_num_seqs: int, speculative_tokens: int = 0
) -> tuple[int, ...]:
    """Those sizes that a FULL graph of decode steps is captured for: what a step can carry."""
    most = max_num_seqs * (1 + speculative_tokens)
    return tuple(size for size in sizes if size <= most)


def vllm_defaults(
    device_memory_gib: float, device_name: str, platform: Literal["cuda", "cpu"]
) -> tuple[int, int]:
    """(max_num_seqs, max_num_batched_tokens) that the `LLM` class of vLLM 0.22.1 defaults to.

    Source: vLLM 0.22.1, `EngineArgs.get_batch_defaults` in engine/arg_utils.py, for one
    worker. vLLM lowers the second to max_num_seqs * max_model_len where that is smaller,
    which this function does not know about.
    """
    if platform == "cpu":
        return 256, 4096
    if device_memory_gib >= 70 and "a100" not in device_name.lower():
        return 1024, 16384
    return 256, 8192


def pad(tokens: int, sizes: Sequence[int]) -> int | None:
    """The size that a step of so many tokens runs on; None above the largest: without a graph.

    `sizes` must be ascending. Raises LabError for a step below 1 token.
    """
    if tokens < 1:
        raise LabError(f"batch: must be at least 1, got {tokens}")
    index = bisect_left(sizes, tokens)
    return sizes[index] if index < len(sizes) else None
