"""From configuration to what is to be run: arms, repeats, their order, the data set's name."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cudagraph_lab.config.checks import engine_args_of, version_of
from cudagraph_lab.config.model import Config
from cudagraph_lab.engine.graph_modes import asks_for_graphs, devices_of
from cudagraph_lab.engine.log_wordings import release
from cudagraph_lab.engine.versions import SUPPORTED, VLLM_VERSION
from cudagraph_lab.errors import LabError

SIMULATED = "simulated"  # begins the name of every simulated data set, and of no other


def slug(text: str) -> str:
    """Lower-case letters, digits, dots and single dashes, fit for a path and a wildcard."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:60] or "unknown"


def dataset_name(platform: str, device: str, versions: Sequence[str] = (VLLM_VERSION,)) -> str:
    """`<platform>-<device>-vllm<version>`, or all versions: what makes two data sets two."""
    return f"{platform}-{slug(device)}-vllm{'-'.join(versions)}"


def versions_of(config: Config, platform: str) -> list[str]:
    """The versions of vLLM that the design measures on this platform, the oldest first."""
    left_out = arms_left_out(config, platform)
    found = {version_of(config, arm, platform) for arm in config.arms if arm not in left_out}
    return sorted(found, key=release)


def check_versions(config: Config, platform: str) -> None:
    """Refuse a version that has no lock for this platform, and one Python for two versions.

    Raises LabError naming the key.
    """
    versions = versions_of(config, platform)
    python = config.vllm_python
    for version in versions:
        given = python != "managed" if isinstance(python, str) else version in python
        if version not in SUPPORTED[platform] and not given:
            where = next(a for a in config.arms if version_of(config, a, platform) == version)
            key = "vllm" if config.arms[where].vllm is None else f"arms.{where}.vllm"
            raise LabError(
                f"config: {key}: {version} has no lock for {platform}; supported there are "
                f"{', '.join(SUPPORTED[platform])}"
            )
    if isinstance(python, str) and python != "managed" and len(versions) > 1:
        raise LabError(
            f"config: vllm_python: {python} is one Python, but the arms run on "
            f"{' and '.join(versions)}; name one for each version: {{VERSION: PYTHON, ...}}"
        )


def not_measurable(arguments: Mapping[str, Any], platform: str) -> str | None:
    """Why an arm with these engine arguments cannot be measured on a platform, or None.

    Only an arm that certainly asks for graphs cannot be measured on a CPU; one that leaves
    it to vLLM is measured there, and the record says what vLLM made of it.
    """
    if platform == "cpu" and asks_for_graphs(arguments) == "yes":
        return "CUDA graphs do not exist on a CPU"
    return None


def arms_left_out(config: Config, platform: str) -> dict[str, str]:
    """The arms that this platform cannot measure, each with the reason."""
    reasons = {
        arm: not_measurable(engine_args_of(config, arm, platform), platform) for arm in config.arms
    }
    return {arm: reason for arm, reason in reasons.items() if reason is not None}


def ranks_of_arms(config: Config, arms: Sequence[str], platform: str) -> int:
    """Ranks of the largest of these arms: tensor x pipeline x data parallel size."""
    return max(devices_of(engine_args_of(config, arm, platform)) for arm in arms)


def devices_of_run(config: Config, arms: Sequence[str], platform: str | None) -> int:
    """How many devices a run of these arms occupies.

    Arms in turn are resident on the same devices: the largest of them counts. On a CPU ranks are
    processes of one device.
    """
    return ranks_of_arms(config, arms, platform) if platform == "cuda" else 1


def check_devices(config: Config, platform: str, available: float, granted: int | None) -> None:
    """Refuse an arm that needs more devices than the machine has, or than Snakemake may give.

    `granted` is Snakemake's `--resources gpu=...`, None where it sets no bound; it cuts what a
    job asks for to that without a word. Raises LabError naming the arm.
    """
    for arm in config.arms:
        needed = devices_of_run(config, [arm], platform)
        where = f"config: arms.{arm}.engine_args: {needed} devices are needed (tensor x pipeline "
        where += "x data parallel size)"
        if granted is not None and needed > granted:
            raise LabError(
                f"{where}, Snakemake may use {granted}; add --resources gpu={needed}, or "
                f"GPUS={needed} with make"
            )
        if needed > available:
            raise LabError(f"{where}, {available} are here; lower the sizes or set the arm to null")


def arm_repeats(config: Config, arm: str) -> int:
    """How many fresh processes this arm gets."""
    return config.arms[arm].repeats or config.repeats


def runs_to_measure(config: Config, platform: str) -> list[tuple[str, int]]:
    """Every (arm, repeat) of the design that this platform can measure, in no order."""
    left_out = arms_left_out(config, platform)
    return [
        (arm, repeat)
        for arm in config.arms
        if arm not in left_out
        for repeat in range(1, arm_repeats(config, arm) + 1)
    ]


def order_of_repeat(config: Config, platform: str, repeat: int) -> list[str]:
    """The arms of one repeat in an order drawn from the seed, another for each repeat.

    Drift of the machine then falls on all arms alike. The draw depends on the seed
    and the repeat alone, so that raising `repeats` does not reorder earlier ones.
    """
    arms = [arm for arm, k in runs_to_measure(config, platform) if k == repeat]
    random.Random(f"{config.seed}/{repeat}").shuffle(arms)  # noqa: S311 - not for secrets
    return arms


def priority_of_run(config: Config, platform: str, arm: str, repeat: int) -> int:
    """Snakemake priority that makes ready runs start repeat by repeat, in the drawn order.

    Raises LabError where the design has no such run on this platform.
    """
    order = order_of_repeat(config, platform, repeat)
    if arm not in order:
        raise LabError(
            f"config: arms: repeat {repeat} of arm {arm!r} is not to be measured here; "
            f"repeat {repeat} has: {', '.join(sorted(order)) or 'no arms, raise repeats'}"
        )
    return 1_000_000 - repeat * 1_000 - order.index(arm)


def priority_of_turn(config: Config, platform: str, repeat: int) -> int:
    """Snakemake priority of the arms in turn of a repeat: the place of the first of them.

    Arms that are measured apart beside them then come before or after them by the draw.
    """
    together = arms_in_turn(config, platform)
    return max(
        priority_of_run(config, platform, arm, repeat)
        for arm in order_of_repeat(config, platform, repeat)
        if arm in together
    )


# In turn on a GPU: with a given size of the KV cache vLLM does not profile its memory, so that
# engines can boot beside each other.
KV_CACHE_BYTES_IN_TURN = 2_000_000_000


def arms_in_turn(config: Config, platform: str) -> list[str]:
    """The arms that are resident together and take turns; none where arms are measured apart."""
    if config.order != "in_turn":
        return []
    left_out = arms_left_out(config, platform)
    return [
        name
        for name, arm in config.arms.items()
        if arm.purpose == "timed" and not arm.alone and name not in left_out
    ]


def share_of_memory(config: Config, arm: str, platform: str) -> float:
    """The share of the device's memory that an arm's engine takes.

    Arms in turn divide `workload.gpu_memory_utilization` among them; an arm of the same design
    that is not timed takes as much, so that all engines of the data set are alike.
    """
    whole = config.workload.gpu_memory_utilization
    together = arms_in_turn(config, platform)
    return round(whole / len(together), 3) if together else whole


def request_of_run(
    config: Config, platform: str, arm: str, repeat: int, weights: Mapping[str, Any]
) -> dict[str, Any]:
    """The `request` of a record: all that the run is asked to do.

    `weights` is what choose_weights decided: `weights` and `revision` are read.
    """
    design = config.arms[arm]
    timed = design.purpose == "timed"
    workload = config.workload.model_dump()
    if design.purpose == "startup":
        # One call of one request shows that the engine answers; nothing is timed.
        workload["batch_sizes"] = [1]
    workload["gpu_memory_utilization"] = share_of_memory(config, arm, platform)
    together = arms_in_turn(config, platform)
    in_turn = arm in together
    arguments = engine_args_of(config, arm, platform)
    if together and config.boots == "together" and platform == "cuda":
        arguments = {"kv_cache_memory_bytes": KV_CACHE_BYTES_IN_TURN} | arguments
    order = order_of_repeat(config, platform, repeat)
    return {
        "model": config.model.name,
        "weights": weights["weights"],
        "revision": weights["revision"],
        "workload": workload,
        "engine_args": arguments,
        "vllm": version_of(config, arm, platform),
        "env": dict(design.env),
        "purpose": design.purpose,
        "compile_cache": design.compile_cache,
        "iterations": config.iterations if timed else 0,
        "warmups": config.warmups if timed else 0,
        "seed": config.seed,
        "observed": "messages",
        "order": [name for name in order if name in together] if in_turn else order,
        "measured": "in_turn" if in_turn else "apart",
        "boots": config.boots if together else "together",
        "processors": config.processors if together and timed and platform == "cuda" else "any",
        "rounds": timed,
        "seconds": config.seconds_per_repeat if timed else None,
        # Counts do not differ between repeats.
        "profile_after": config.profile_after and timed and repeat == 1,
        "dummy_values": "normal",
    }
