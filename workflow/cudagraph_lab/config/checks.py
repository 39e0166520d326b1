"""What the values of a configuration mean together: refused before anything runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cudagraph_lab.config.model import Config
from cudagraph_lab.engine.foreign_code import foreign_code
from cudagraph_lab.errors import LabError


def check_meaning(config: Config) -> None:
    """Raise LabError, in one line with the key and the remedy, where the values do not fit."""
    _check_paths(config)
    _check_arguments(config)
    _check_contrasts(config)
    _check_workload(config)
    _check_limits(config)


def engine_args_of(config: Config, arm: str, platform: str) -> dict[str, Any]:
    """The arm's engine arguments on this platform; the arm's own win, key by key."""
    merged: dict[str, Any] = config.engine_args.model_dump()
    if platform == "cpu":
        merged |= config.engine_args_cpu.model_dump()
    merged |= config.arms[arm].engine_args.model_dump()
    return merged


def version_of(config: Config, arm: str | None, platform: str) -> str:
    """The version of vLLM that an arm is measured with on this platform; None: the general one."""
    own = None if arm is None else config.arms[arm].vllm
    said = config.vllm if own is None else own
    return said if isinstance(said, str) else str(getattr(said, platform))


def _check_paths(config: Config) -> None:
    pythons = config.vllm_python
    paths = {
        "own_predictions": config.own_predictions,
        "batch_mix": config.batch_mix,
        "cache_dir": config.cache_dir,
        "model.architecture": config.model.architecture,
    } | (
        {"vllm_python": pythons}
        if isinstance(pythons, str)
        else {f"vllm_python.{version}": python for version, python in pythons.items()}
    )
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
    if config.batch_mix is not None and not Path(config.batch_mix).is_file():
        raise LabError(
            f"config: batch_mix: there is no file {config.batch_mix}, looked for from "
            f"{Path.cwd()}; write it or set the key to null"
        )


def _places(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everywhere that engine arguments stand, with what stands there."""
    yield "engine_args", config.engine_args.model_dump()
    yield "engine_args_cpu", config.engine_args_cpu.model_dump()
    for name, arm in config.arms.items():
        yield f"arms.{name}.engine_args", arm.engine_args.model_dump()


def _check_arguments(config: Config) -> None:
    for place, arguments in _places(config):
        if "model" in arguments:
            raise LabError(
                f"config: {place}.model: this argument is not for an arm to set; remove it here "
                "and set model.name"
            )
        if found := foreign_code(arguments):
            raise LabError(
                f"config: {place}.{found}: foreign code is never run; remove this argument"
            )


def _check_contrasts(config: Config) -> None:
    arms, contrasts = config.arms, config.contrasts
    for name, contrast in contrasts.items():
        for side, arm in (("numerator", contrast.numerator), ("denominator", contrast.denominator)):
            if arm not in arms:
                raise LabError(
                    f"config: contrasts.{name}.{side}: there is no arm {arm!r}; name one of "
                    f"{', '.join(arms)}, add it under arms, or set contrasts.{name} to null"
                )
            if arms[arm].alone != (contrast.role == "co_resident" and side == "denominator"):
                raise LabError(
                    f"config: contrasts.{name}.{side}: {arm!r} is "
                    f"{'measured alone' if arms[arm].alone else 'not measured alone'}; a contrast "
                    "of role co_resident, and no other, sets an arm against one with alone: true"
                )
            if arms[arm].purpose != "timed":
                raise LabError(
                    f"config: contrasts.{name}.{side}: arm {arm!r} is for "
                    f"{arms[arm].purpose} and never timed; name a timed arm"
                )
    used = {arm for one in contrasts.values() for arm in (one.numerator, one.denominator)}
    for name, one in arms.items():
        if one.purpose == "timed" and name not in used:
            raise LabError(
                f"config: arms.{name}: no contrast uses this arm; "
                "add one under contrasts or remove the arm"
            )
    if config.headline is None and "primary" not in {c.role for c in contrasts.values()}:
        raise LabError(
            "config: contrasts: none has the role primary; give one `role: primary`, "
            "or name one under headline"
        )
    if config.headline is not None and config.headline not in contrasts:
        raise LabError(
            f"config: headline: there is no contrast {config.headline!r}; "
            f"name one of {', '.join(contrasts)}"
        )


def _check_workload(config: Config) -> None:
    workload = config.workload
    if workload.prompt is not None:
        if config.model.weights != "hub":
            raise LabError(
                "config: workload.prompt: a text needs the tokenizer from the hub; "
                "set model.weights to hub, or give prompt_token_ids"
            )
    elif workload.prompt_token_ids is None:
        raise LabError("config: workload.prompt_token_ids: give token ids here or a text as prompt")
    elif (longest := _tokens(config)) > workload.max_model_len:
        raise LabError(
            f"config: workload.max_model_len: {workload.max_model_len} is less than "
            f"prompt and output together ({longest} tokens); raise it"
        )


def _tokens(config: Config) -> int:
    """Tokens of one request, prompt and output together; a text counts as one at least."""
    return len(config.workload.prompt_token_ids or [0]) + config.workload.output_tokens


def _check_limits(config: Config) -> None:
    """What vLLM would serve in another way than the design takes for granted."""
    for name, arm in config.arms.items():
        for platform in ("cuda", "cpu"):
            arguments = engine_args_of(config, name, platform)
            # Of a general argument that an arm does not repeat, the general place is named.
            own = arm.engine_args.model_fields_set
            served = arguments.get("max_num_seqs")
            above = [b for b in config.workload.batch_sizes if served is not None and b > served]
            if above and arm.purpose == "timed":
                place = _place(config, name, "max_num_seqs", platform, own)
                sizes = " and ".join(map(str, above))
                raise LabError(
                    f"config: {place}: vLLM would serve the requests of batch {sizes} {served} at "
                    f"a time in arm {name!r}; lower workload.batch_sizes or raise max_num_seqs"
                )
            bound = arguments.get("max_model_len")
            if bound is not None and bound < _tokens(config):
                place = _place(config, name, "max_model_len", platform, own)
                raise LabError(
                    f"config: {place}: {bound} is less than prompt and output together "
                    f"({_tokens(config)} tokens) in arm {name!r}; raise it"
                )


def _place(config: Config, arm: str, key: str, platform: str, own: set[str]) -> str:
    if key in own:
        return f"arms.{arm}.engine_args.{key}"
    cpu = platform == "cpu" and key in config.engine_args_cpu.model_fields_set
    return f"engine_args_cpu.{key}" if cpu else f"engine_args.{key}"
