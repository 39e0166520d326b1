"""A configuration as YAML has it, read into the model; each mistake becomes one line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from cudagraph_lab.config.checks import check_meaning
from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.config.model import Arm, Config, Model, Question, Workload
from cudagraph_lab.errors import LabError

_PARTS: dict[Any, type[BaseModel]] = {
    "model": Model,
    "workload": Workload,
    "arms": Arm,
    "contrasts": Contrast,
    "extrapolate": Question,
}

# pydantic's names of the forms that a value or a key may have; none is a key of the file.
_ALTERNATIVE = re.compile(r"\[|^constrained-")

# Null, in a file and in an argument of --config, where Snakemake reads it as text.
NOTHING = (None, "null")


def parse_config(raw: Mapping[Any, Any]) -> Config:
    """Check a configuration, fill in its defaults, and check what it means.

    An arm, a contrast or a size that is null is one that a later file removed. Raises LabError with
    one line that names the key, what is wrong, and where to read on.
    """
    config = parse_form(raw)
    check_meaning(config)
    return config


def parse_form(raw: Mapping[Any, Any]) -> Config:
    """Check types and fill in defaults, without a look at what the values mean together."""
    given: dict[Any, Any] = dict(raw)
    for key in ("arms", "contrasts", "sizes"):
        if isinstance(given.get(key), Mapping):
            given[key] = {name: one for name, one in given[key].items() if one not in NOTHING}
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise LabError(f"config: {_one_line(error, given)}; see config/README.md") from None


def _known(path: tuple[Any, ...]) -> list[str]:
    """The keys that the map at this place may have; empty where any may stand."""
    if not path:
        return sorted(Config.model_fields)
    if path[0] in _PARTS and len(path) == (1 if path[0] in ("model", "workload") else 2):
        return sorted(_PARTS[path[0]].model_fields)
    return []


def _one_line(error: ValidationError, given: Mapping[Any, Any]) -> str:
    """The first mistake: what a key holds that is wrong, and what it should be."""
    found = [(_place(one["loc"], given), one) for one in error.errors(include_url=False)]
    # Of the ways in which no form of a value fits, the one that lies deepest says most.
    first = found[0][0]
    place, one = max(
        (pair for pair in found if pair[0][: len(first)] == first), key=lambda pair: len(pair[0])
    )
    of_a_key = one["type"] == "invalid_key" or one["loc"][-1:] == ("[key]",)
    if of_a_key and not isinstance(one["input"], str):
        # YAML keys need not be text: `on`, `1` and nothing at all are not.
        around = _place(one["loc"][: -1 if one["type"] == "invalid_key" else -2], given)
        known = _known(around)
        listed = f"known here: {', '.join(known)}" if known else "put it in quotes"
        where = ".".join(map(str, around)) or "top level"
        return f"{where}: unknown key {str(one['input'])!r}; {listed}"
    if one["type"] == "extra_forbidden":
        *parents, _ = place
        known = _known(tuple(parents))
        unknown = sorted(
            str(p[-1]) for p, e in found if e["type"] == "extra_forbidden" and p[:-1] == place[:-1]
        )
        where = ".".join(map(str, parents)) or "top level"
        return f"{where}: unknown key {', '.join(map(repr, unknown))}; known here: " + ", ".join(
            known
        )
    if one["type"] == "missing":
        *parents, key = place
        return f"{'.'.join(map(str, parents)) or 'top level'}: {key!r} is missing; give it"
    where = ".".join(map(str, place)) or "top level"
    said = str(one["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    said = said.replace("valid dictionary", "map").replace("or instance of ", "or ")
    if one["type"] == "model_type" or one["type"] == "dict_type":
        said = "should be a map"
    shown = repr(one["input"])
    shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
    return " ".join(f"{where}: {shown} {said}".split())


def _place(loc: Sequence[int | str], given: Any) -> tuple[int | str, ...]:
    """The path of a key in what was given, without pydantic's names of alternatives."""
    place: list[int | str] = []
    value = given
    for position, part in enumerate(loc):
        if isinstance(value, Mapping):
            if part in value:
                value = value[part]
                place.append(part)
            elif position == len(loc) - 1 and not _ALTERNATIVE.search(str(part)):
                place.append(part)  # a key that is missing
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
            place.append(part)
    return tuple(place)
