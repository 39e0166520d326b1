"""From configuration to what is to be run: arms, repeats, their order, the data set's name."""

import json
import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cudagraph_lab.errors import LabError
from cudagraph_lab.records.record import foreign_code

VLLM_VERSION = "0.22.1"
SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"

VARIABLE = "CUDAGRAPH_LAB_DESIGN"
SIMULATED = "simulated"  # begins the name of every simulated data set, and of no other

Config = dict[str, Any]


def to_environment(config: Mapping[str, Any], platform: str | None) -> str:
    """The completed configuration and the platform, for jobs that must not depend on them."""
    return json.dumps({"config": dict(config), "platform": platform})


def from_environment() -> tuple[Config, str]:
    """Configuration and platform as the workflow that started this process completed them.

    Raises LabError outside the workflow and where nothing is to be measured.
    """
    try:
        design = json.loads(os.environ[VARIABLE])
    except KeyError:
        raise LabError("this command is a step of the workflow; run `make lab`") from None
    if design["platform"] is None:
        raise LabError("config: measure: none, but a measurement was asked for; set it to auto")
    return design["config"], design["platform"]


def complete_config(config: Config) -> Config:
    """Check a configuration and fill in the defaults of its schema, in place.

    Raises LabError with one line that names the key and the mend.
    """
    # Here, since the jobs need this module too and wait for none of these.
    from jsonschema import Draft202012Validator, validators
    from jsonschema.exceptions import best_match
    from snakemake.utils import validate

    # JSON Schema takes 8.0 for an integer; vLLM does not.
    strict = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
            "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
        ),
    )
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    error = best_match(strict(schema).iter_errors(config))
    if error is not None:
        raise LabError(f"config: {_one_line(error)}; see config/README.md")
    validate(config, str(SCHEMA))
    _check_meaning(config)
    return config


def _one_line(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        # YAML keys need not be text: `on`, `1` and nothing at all are not.
        unknown = sorted(str(key) for key in error.instance if key not in known)
        return (
            f"{where}: unknown key {', '.join(map(repr, unknown))}; known here: {', '.join(known)}"
        )
    if error.validator == "not":
        return f"{where}: this argument is not for an arm to set; remove it"
    return f"{where}: {' '.join(str(error.message).split())[:300]}"


def _check_meaning(config: Config) -> None:
    """What a JSON schema cannot say."""
    _check_paths(config)
    places = {"engine_args": config["engine_args"], "engine_args_cpu": config["engine_args_cpu"]}
    places |= {
        f"arms.{name}.engine_args": arm["engine_args"] for name, arm in config["arms"].items()
    }
    for place, arguments in places.items():
        if found := foreign_code(arguments):
            raise LabError(
                f"config: {place}.{found}: foreign code is never run; remove this argument"
            )
    arms, contrasts = config["arms"], config["contrasts"]
    for name, contrast in contrasts.items():
        for side in ("numerator", "denominator"):
            arm = contrast[side]
            if arm not in arms:
                raise LabError(
                    f"config: contrasts.{name}.{side}: there is no arm {arm!r}; "
                    f"name one of {', '.join(arms)} or add it under arms"
                )
            if arms[arm]["purpose"] != "timed":
                raise LabError(
                    f"config: contrasts.{name}.{side}: arm {arm!r} is for "
                    f"{arms[arm]['purpose']} and never timed; name a timed arm"
                )
    used = {
        contrast[side] for contrast in contrasts.values() for side in ("numerator", "denominator")
    }
    for name, arm in arms.items():
        if arm["purpose"] == "timed" and name not in used:
            raise LabError(
                f"config: arms.{name}: no contrast uses this arm; "
                "add one under contrasts or remove the arm"
            )
    roles = {contrast.get("role") for contrast in contrasts.values()}
    if "headline" not in config and "primary" not in roles:
        raise LabError(
            "config: contrasts: none has the role primary; give one `role: primary`, "
            "or name one under headline"
        )
    if "headline" in config and config["headline"] not in contrasts:
        raise LabError(
            f"config: headline: there is no contrast {config['headline']!r}; "
            f"name one of {', '.join(contrasts)}"
        )
    if config["batch_mix"] is not None and not Path(config["batch_mix"]).is_file():
        raise LabError(
            f"config: batch_mix: there is no file {config['batch_mix']}, looked for from "
            f"{Path.cwd()}; write it or set the key to null"
        )
    workload = config["workload"]
    if workload["prompt"] is not None:
        if config["model"]["weights"] != "hub":
            raise LabError(
                "config: workload.prompt: a text needs the tokenizer from the hub; "
                "set model.weights to hub, or give prompt_token_ids"
            )
        workload["prompt_token_ids"] = None
    elif workload["prompt_token_ids"] is None:
        raise LabError("config: workload.prompt_token_ids: give token ids here or a text as prompt")
    else:
        longest = len(workload["prompt_token_ids"]) + workload["output_tokens"]
        if longest > workload["max_model_len"]:
            raise LabError(
                f"config: workload.max_model_len: {workload['max_model_len']} is less than "
                f"prompt and output together ({longest} tokens); raise it"
            )


def _check_paths(config: Config) -> None:
    paths = {
        key: config[key] for key in ("own_predictions", "batch_mix", "cache_dir", "vllm_python")
    }
    paths["model.architecture"] = config["model"]["architecture"]
    for key, value in paths.items():
        if value is None:
            continue
        if "\0" in value or "\n" in value:
            raise LabError(f"config: {key}: {value!r} is no path; name a file or directory")
        if not Path(value).is_absolute() and Path(os.path.normpath(value)).parts[:1] == ("..",):
            raise LabError(
                f"config: {key}: {value} leads out of the directory that Snakemake runs in; "
                "give an absolute path if that is meant"
            )


def slug(text: str) -> str:
    """Lower-case letters, digits, dots and single dashes, fit for a path and a wildcard."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:60] or "unknown"


def dataset_name(platform: str, device: str) -> str:
    """`<platform>-<device>-vllm<version>`: what makes two data sets two."""
    return f"{platform}-{slug(device)}-vllm{VLLM_VERSION}"


def engine_args(config: Mapping[str, Any], arm: str, platform: str) -> dict[str, Any]:
    """The arm's engine arguments on this platform; the arm's own win, key by key."""
    merged: dict[str, Any] = dict(config["engine_args"])
    if platform == "cpu":
        merged |= config["engine_args_cpu"]
    merged |= config["arms"][arm]["engine_args"]
    return merged


def asks_for_graphs(arguments: Mapping[str, Any]) -> bool:
    """Whether vLLM would capture CUDA graphs with these arguments on a GPU."""
    if arguments.get("enforce_eager"):
        return False
    compilation = arguments.get("compilation_config", {})
    mode = compilation.get("cudagraph_mode")
    if mode is None:
        # vLLM 0.22.1 turns its default into NONE where nothing is compiled.
        return compilation.get("mode") not in ("NONE", 0)
    return bool(mode != "NONE")


def not_measurable(config: Mapping[str, Any], arm: str, platform: str) -> str | None:
    """Why this arm cannot be measured on this platform, or None where it can."""
    if platform == "cpu" and asks_for_graphs(engine_args(config, arm, platform)):
        return "CUDA graphs do not exist on a CPU"
    return None


def arm_repeats(config: Mapping[str, Any], arm: str) -> int:
    """How many fresh processes this arm gets."""
    return int(config["arms"][arm].get("repeats", config["repeats"]))


def runs_to_measure(config: Mapping[str, Any], platform: str) -> list[tuple[str, int]]:
    """Every (arm, repeat) of the design that this platform can measure, in no order."""
    return [
        (arm, repeat)
        for arm in config["arms"]
        if not_measurable(config, arm, platform) is None
        for repeat in range(1, arm_repeats(config, arm) + 1)
    ]


def order_of_repeat(config: Mapping[str, Any], platform: str, repeat: int) -> list[str]:
    """The arms of one repeat in an order drawn from the seed, another for each repeat.

    Drift of the machine then falls on all arms alike. The draw depends on the seed
    and the repeat alone, so that raising `repeats` does not reorder earlier ones.
    """
    arms = [
        arm
        for arm in config["arms"]
        if 1 <= repeat <= arm_repeats(config, arm) and not_measurable(config, arm, platform) is None
    ]
    random.Random(f"{config['seed']}/{repeat}").shuffle(arms)  # noqa: S311 - not for secrets
    return arms


def priority_of_run(config: Mapping[str, Any], platform: str, arm: str, repeat: int) -> int:
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


def request_of_run(
    config: Mapping[str, Any], platform: str, arm: str, repeat: int, weights: Mapping[str, Any]
) -> dict[str, Any]:
    """The `request` of a record: all that the run is asked to do."""
    purpose = config["arms"][arm]["purpose"]
    workload = dict(config["workload"])
    if purpose == "startup":
        # One call of one request shows that the engine answers; nothing is timed.
        workload["batch_sizes"] = [1]
    return {
        "model": config["model"]["name"],
        "weights": weights["weights"],
        "revision": weights["revision"],
        "workload": workload,
        "engine_args": engine_args(config, arm, platform),
        "purpose": purpose,
        "compile_cache": config["arms"][arm]["compile_cache"],
        "iterations": config["iterations"] if purpose == "timed" else 0,
        "warmups": config["warmups"] if purpose == "timed" else 0,
        "seed": config["seed"],
        "observed": "messages",
        "order": order_of_repeat(config, platform, repeat),
    }
