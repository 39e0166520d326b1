"""The sizes of a configuration: a data set each, with a complete configuration of its own."""

from collections.abc import Mapping
from typing import Any

from cudagraph_lab.config.model import Config
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.errors import LabError

# What a size may set. All other keys are about the machine or the report, and the same for all.
KEYS = (
    "model",
    "workload",
    "vllm",
    "repeats",
    "iterations",
    "warmups",
    "order",
    "boots",
    "processors",
    "seconds_per_repeat",
    "profile_after",
    "timeout_s",
    "engine_args",
    "engine_args_cpu",
    "arms",
    "contrasts",
)


def plans(config: Config, dataset: str) -> dict[str, Config]:
    """By data set, the configuration that it is measured with, in the order of the file.

    Without `sizes` the one plan is `config` itself, for `dataset`. Each size lays its keys over
    the rest, as a second configuration file would, and is the data set `<dataset>-<size>`.
    Raises LabError naming the size and the key where the result is no configuration.
    """
    if not config.sizes:
        return {dataset: config}
    rest = config.model_dump(exclude={"sizes"})
    made = [
        _plan(rest, size, changes, f"{dataset}-{size}") for size, changes in config.sizes.items()
    ]
    return {plan.dataset: plan for plan in made}


def _plan(rest: Mapping[str, Any], size: str, changes: Mapping[str, Any], name: str) -> Config:
    unknown = sorted(changes.keys() - set(KEYS))
    if unknown:
        raise LabError(
            f"config: sizes.{size}: {', '.join(map(repr, unknown))} cannot differ between sizes; "
            f"known here: {', '.join(sorted(KEYS))}; see config/README.md"
        )
    try:
        return parse_config(laid_over(rest, changes) | {"dataset": name})
    except LabError as error:
        raise LabError(f"config: sizes.{size}: {str(error).removeprefix('config: ')}") from None


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Maps are merged; lists and single values are replaced, as Snakemake lays files over."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[key] = laid_over(known, value) if both else value  # type: ignore[arg-type]
    return merged
