"""What engines need of a device's memory: what fits at all, and what fits together."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cudagraph_lab.config.checks import engine_args_of
from cudagraph_lab.config.model import Config
from cudagraph_lab.design.drafts import draft_directory, draft_of
from cudagraph_lab.design.runs import (
    KV_CACHE_BYTES_IN_TURN,
    arms_in_turn,
    arms_left_out,
    ranks_of_arms,
    share_of_memory,
)
from cudagraph_lab.design.weights import architecture_directory
from cudagraph_lab.errors import LabError
from cudagraph_lab.shapes import KV_BYTES, Model, decoder_of, text_part

GIB = 1 << 30
# Beside weights and KV cache an engine holds the device's context, activations, the graphs and
# what the allocator keeps. On an H100 an engine of OPT-125m and one of Llama-8B's shape booted
# with this much; it is a stated allowance, no bound.
ALLOWANCE_BYTES = 3 * GIB // 2
# Of the memory, at most: for engines beside each other, and for one alone. A 70B shape booted
# alone on an H200 with the latter. One that needs less gets what vLLM takes by default.
TOGETHER, ALONE, BY_DEFAULT = 0.92, 0.97, 0.9
# What measurement_environment gives to vLLM as VLLM_CPU_KVCACHE_SPACE.
KV_CACHE_BYTES_ON_CPU = GIB
BLOCK_TOKENS = 16  # of vLLM's KV cache on CUDA
WIDE = frozenset({"float32", "float", "torch.float32"})


def check_memory_in_turn(config: Config, platform: str) -> None:
    """Raise LabError where the arms in turn ask for more than the whole memory together."""
    shares = {
        arm: float(
            engine_args_of(config, arm, platform).get(
                "gpu_memory_utilization", share_of_memory(config, arm, platform)
            )
        )
        for arm in arms_in_turn(config, platform)
    }
    if sum(shares.values()) > 1:
        said = ", ".join(f"{arm} {share:g}" for arm, share in shares.items())
        raise LabError(
            f"config: order: in_turn: the arms ask for {sum(shares.values()):g} of the memory "
            f"together ({said}); lower gpu_memory_utilization or set order to apart"
        )


@dataclass(frozen=True)
class Need:
    """Bytes that one engine takes of one device."""

    weights: int
    kv_cache: int

    @property
    def total(self) -> int:
        """With the allowance."""
        return self.weights + self.kv_cache + ALLOWANCE_BYTES


class TooLargeError(LabError):
    """No engine of this plan fits on the device, not even alone."""


def that_fit(
    plans: Mapping[str, Config], platform: str, memory_bytes: int | None
) -> tuple[dict[str, Config], list[str]]:
    """The plans whose engines fit on the device, with `order: auto` settled; a line on each other.

    `memory_bytes` is None where the device is not known here: then all plans stay. Raises
    LabError where `order: auto` cannot be settled.
    """
    fitting: dict[str, Config] = {}
    lines = []
    for name, plan in plans.items():
        try:
            fitting[name] = settled(plan, platform, memory_bytes)
        except TooLargeError as error:
            lines.append(f"{name} is not measured here: {error}")
    return fitting, lines


def settled_lines(named: Mapping[str, Config], fitting: Mapping[str, Config]) -> list[str]:
    """A line for each data set that `order: auto` measures apart: why its arms do not take turns.

    That they do is in the plan of the data set.
    """
    return [
        f"{name}: order: auto: one arm after the other, since {_why_apart(plan)}"
        for name, plan in fitting.items()
        if named[name].order == "auto" and plan.order == "apart"
    ]


def _why_apart(config: Config) -> str:
    try:
        if (shapes := shapes_of(config)) is not None and model_of(shapes):
            return "they do not fit together"
    except LabError:
        pass
    return (
        f"no config.json here tells the shapes of {config.model.name}; name a directory with one "
        "as model.architecture, or set order to in_turn"
    )


def settled(config: Config, platform: str, memory_bytes: int | None) -> Config:
    """The plan with `apart` or `in_turn` in the place of `auto`, and the shares that follow.

    In turn where all timed arms fit together; apart where no shapes of the model are known from
    which that could be told. Raises TooLargeError with the bytes needed and there where
    not even the largest engine fits alone, and LabError where `auto` cannot be settled because
    the memory is not known.
    """
    shapes = shapes_of(config)
    if memory_bytes is None and config.order == "auto":
        raise LabError(
            "config: order: auto goes by the memory of the device, but no NVIDIA GPU answers here; "
            "set measure to cpu or none, or order to apart or in_turn where the jobs run elsewhere"
        )
    if memory_bytes is None or shapes is None:
        order = "apart" if config.order == "auto" else config.order
        return config.model_copy(update={"order": order})
    left_out = arms_left_out(config, platform)
    try:
        needs = {
            arm: need_of(config, arm, platform, shapes)
            for arm in config.arms
            if arm not in left_out
        }
    except LabError as error:
        if config.order == "auto":
            return config.model_copy(update={"order": "apart"})
        raise LabError(
            f"config: model.architecture: the config.json of {config.model.name} is none of a "
            f"decoder whose memory can be planned ({error})"
        ) from None
    if not needs:
        return config
    # Devices of one kind differ by some MiB, and a data set has one share: whole GiB.
    whole = memory_bytes // GIB * GIB
    largest = max(needs.values(), key=lambda need: need.total)
    if largest.total > ALONE * whole:
        raise TooLargeError(
            f"an engine needs {largest.total / GIB:.1f} GiB ({largest.weights / GIB:.1f} of "
            f"weights, {largest.kv_cache / GIB:.1f} of KV cache, {ALLOWANCE_BYTES / GIB:.1f} for "
            f"all else), "
            f"the device has {memory_bytes / GIB:.1f} GiB"
        )
    if config.order != "auto":
        return config
    timed = [a for a in needs if config.arms[a].purpose == "timed" and not config.arms[a].alone]
    share = _share(max(needs[arm].total for arm in timed), whole) if timed else 1.0
    # The waiting workers of several ranks keep cores busy, so that arms disturb each other.
    several = any(ranks_of_arms(config, [arm], platform) > 1 for arm in timed)
    if not several and share * len(timed) <= TOGETHER:
        kv_cache = max(needs[arm].kv_cache for arm in timed)
        asked = min(config.workload.gpu_memory_utilization, TOGETHER) / len(timed)
        each = max(share, math.floor(asked * 1000) / 1000)
        return _in_turn(config, platform, round(each * len(timed), 3), kv_cache)
    by_default = BY_DEFAULT if platform == "cuda" else config.workload.gpu_memory_utilization
    alone = max(by_default, _share(largest.total, whole))
    return config.model_copy(update={"order": "apart", "workload": _taking(config, alone)})


def need_of(config: Config, arm: str, platform: str, shapes: Mapping[str, Any]) -> Need:
    """What an engine of this arm takes of each of its devices, in bytes; a draft model is in it."""
    arguments = engine_args_of(config, arm, platform)
    resident = [model_of({**shapes, **(arguments.get("hf_overrides") or {})})]
    if (draft := draft_of(arguments)) is not None:
        resident.append(model_of(read_shapes(draft_directory(draft))))
    ranks = int(arguments.get("tensor_parallel_size") or 1) * int(
        arguments.get("pipeline_parallel_size") or 1
    )
    element = 4 if arguments.get("dtype") in WIDE else 2
    if platform == "cpu":
        kv_cache = KV_CACHE_BYTES_ON_CPU
    elif given := arguments.get("kv_cache_memory_bytes"):
        kv_cache = int(given)
    else:
        tokens = max(_resident_tokens(config), int(config.workload.max_model_len))
        each = sum(model.kv_bytes_per_token for model in resident) * element // KV_BYTES
        kv_cache = max(KV_CACHE_BYTES_IN_TURN, tokens * each // ranks)
    weights = sum(model.parameters for model in resident)
    return Need(math.ceil(weights * element / ranks), kv_cache)


def _resident_tokens(config: Config) -> int:
    """Tokens of the largest batch, in whole blocks."""
    request = len(config.workload.prompt_token_ids or [0]) + config.workload.output_tokens
    return max(config.workload.batch_sizes) * math.ceil(request / BLOCK_TOKENS) * BLOCK_TOKENS


def shapes_of(config: Config) -> dict[str, Any] | None:
    """The model's config.json; None where none is shipped or configured."""
    try:
        directory = architecture_directory(config.model.name, config.model.architecture)
    except LabError:
        return None
    return read_shapes(directory)


def read_shapes(directory: Path) -> dict[str, Any]:
    """The config.json of a directory. Raises LabError where it is no JSON object."""
    path = Path(directory, "config.json")
    try:
        return text_part(json.loads(path.read_text(encoding="utf-8")))[0]
    except (ValueError, TypeError) as error:
        raise LabError(f"config: model.architecture: {path}: no JSON ({error})") from None


def model_of(shapes: Mapping[str, Any]) -> Model:
    """The decoder of these shapes. Raises LabError where they are of none."""
    return decoder_of(shapes, "config.json")


def _share(needed: int, memory_bytes: int) -> float:
    """The share of the memory, rounded up."""
    return math.ceil(needed / memory_bytes * 100) / 100


def _taking(config: Config, utilization: float) -> Any:
    return config.workload.model_copy(update={"gpu_memory_utilization": utilization})


def _in_turn(config: Config, platform: str, utilization: float, kv_cache: int) -> Config:
    update: dict[str, Any] = {"order": "in_turn", "workload": _taking(config, utilization)}
    if platform == "cuda" and config.boots == "together":
        given = config.engine_args.model_dump()
        arguments = {"kv_cache_memory_bytes": kv_cache} | given
        update["engine_args"] = type(config.engine_args).model_validate(arguments)
    return config.model_copy(update=update)
