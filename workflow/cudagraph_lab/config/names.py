"""Names that a configuration may give: of data sets, models, versions and variables."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from cudagraph_lab.engine.variables import ALLOWED
from cudagraph_lab.engine.versions import SUPPORTED, supported_text

NAME = r"^[a-z0-9][a-z0-9._-]{0,99}$"


def _name(value: str) -> str:
    if not re.fullmatch(NAME[1:-1], value):
        raise ValueError(
            "is no name: use lower-case letters, digits, dots, dashes and underscores, "
            "at most 100, and begin with a letter or a digit"
        )
    return value


def _hub_name(value: str) -> str:
    if not re.fullmatch(HUB_NAME[1:-1], value):
        raise ValueError("is no model of the hub: write it as OWNER/NAME")
    return value


def _cluster_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.]+", value):
        raise ValueError("is no GPU of a cluster: use letters, digits, dots and underscores")
    return value


def _version(value: str) -> str:
    if not any(value in versions for versions in SUPPORTED.values()):
        raise ValueError(f"is no supported version of vLLM; supported are {supported_text()}")
    return value


def _variable(value: str) -> str:
    if value not in ALLOWED:
        raise ValueError(f"is not for an arm to set; an arm may set {', '.join(sorted(ALLOWED))}")
    return value


HUB_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"

# Names become parts of paths, wildcards and ids of numbers.
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME})]
HubName = Annotated[
    str, AfterValidator(_hub_name), WithJsonSchema({"type": "string", "pattern": HUB_NAME})
]
ClusterName = Annotated[
    str,
    AfterValidator(_cluster_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_.]+$"}),
]
Text = Annotated[str, Field(min_length=1)]
Version = Annotated[str, AfterValidator(_version)]
Variable = Annotated[str, AfterValidator(_variable)]
