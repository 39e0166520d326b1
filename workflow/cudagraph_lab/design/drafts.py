"""Which draft models the arms of a configuration name, and where they lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cudagraph_lab.config.checks import engine_args_of
from cudagraph_lab.config.model import Config
from cudagraph_lab.design.weights import architecture_directory
from cudagraph_lab.errors import LabError

NO_MODEL = frozenset({"ngram", "[ngram]"})  # as vLLM takes them for a method


def draft_of(arguments: Mapping[str, Any]) -> str | None:
    """The draft model that engine arguments name; None where nothing is drafted by a model."""
    asked = arguments.get("speculative_config")
    if not isinstance(asked, Mapping):
        return None
    # Whatever the method says: vLLM imports a model that is named like a module.
    name = asked.get("model")
    return None if name is None or name in NO_MODEL else str(name)


def drafts_of(config: Config, platform: str) -> list[str]:
    """The draft models of all arms, each once, in the order of the arms."""
    named = (draft_of(engine_args_of(config, arm, platform)) for arm in config.arms)
    return list(dict.fromkeys(name for name in named if name is not None))


def draft_directory(name: str) -> Path:
    """The directory with the draft's `config.json`: a path that holds one, else a shipped one.

    Raises LabError where there is none.
    """
    own = name if Path(name, "config.json").is_file() else None
    try:
        return architecture_directory(name, own)
    except LabError:
        raise LabError(
            f"config: speculative_config.model: {name}: dummy weights need a config.json, and "
            "neither a directory of that name nor resources/models has one; name a directory "
            "that holds the draft's config.json"
        ) from None


def draft_path(arguments: Mapping[str, Any], weights: Mapping[str, Any]) -> str | None:
    """What vLLM is given as the draft model of an arm; None where it has none.

    `weights` is what choose_weights decided for the data set. Raises LabError where the draft's
    weights or shapes are not there.
    """
    name = draft_of(arguments)
    if name is None:
        return None
    if weights["weights"] == "dummy":
        return str(draft_directory(name))
    if name not in weights.get("drafts", {}):
        raise LabError(
            f"config: speculative_config.model: {name}: its weights were not fetched when those "
            "of the data set were; remove the data set's weights.json to fetch them"
        )
    return str(weights["drafts"][name]["path"])
