"""The JSON schema and the tables of config/README.md, made from the model of the configuration."""

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.engine_args import EngineArgs
from cudagraph_lab.config.model import Config
from cudagraph_lab.engine.log_wordings import release
from cudagraph_lab.engine.variables import ALLOWED
from cudagraph_lab.engine.versions import SUPPORTED, VLLM_VERSION

HEADER = """\
# Made from cudagraph_lab.config.model by `make format`: edit the model, not this file.
"""
TABLE = re.compile(r"(<!-- keys: ([a-z_ ]+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)


def json_schema() -> str:
    """The JSON schema of a configuration file, as YAML."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Config.model_json_schema()
    return HEADER + yaml.safe_dump(schema, sort_keys=False, width=100, allow_unicode=True)


def with_tables(readme: str) -> str:
    """The text of config/README.md with each table between its two marks made anew.

    A mark lists the keys of its table. Raises ValueError where a key of the model is in no
    table, in two, or where a mark names one that the model has not.
    """
    listed = [key for mark in TABLE.finditer(readme) for key in mark[2].split()]
    expected = [*Config.model_fields, "known_engine_args"]
    if sorted(listed) != sorted(expected):
        wrong = {key for key in {*listed, *expected} if listed.count(key) != expected.count(key)}
        raise ValueError(f"config/README.md: once in the marks each: {', '.join(sorted(wrong))}")
    for name, text in (("versions", _versions()), ("variables", _variables())):
        first, _, rest = readme.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        readme = f"{first}<!-- {name} -->\n{text}{end}{after}"
    return TABLE.sub(lambda mark: f"{mark[1]}{_table(mark[2].split())}{mark[3]}", readme)


def _versions() -> str:
    """A table of the versions of vLLM that can be measured, the lab's own marked."""
    rows = ["| version | on a GPU | on a CPU |", "|---|---|---|"]
    for version in sorted({v for known in SUPPORTED.values() for v in known}, key=release):
        said = ["yes" if version in SUPPORTED[platform] else "no lock" for platform in SUPPORTED]
        own = ", the default" if version == VLLM_VERSION else ""
        rows.append(f"| `{version}`{own} | {' | '.join(said)} |")
    return "\n".join(rows) + "\n"


def _variables() -> str:
    """The environment variables that an arm may set, one a line."""
    return "".join(f"- `{name}`\n" for name in sorted(ALLOWED))


def write_documents(repository: Path) -> None:
    """Write both again where they are not as the model says."""
    for path, text in documents(repository).items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def documents(repository: Path) -> dict[Path, str]:
    """Path and due content of what is made from the model."""
    readme = repository / "config" / "README.md"
    return {
        repository / "workflow" / "schemas" / "config.schema.yaml": json_schema(),
        readme: with_tables(readme.read_text(encoding="utf-8")),
    }


def _table(keys: list[str]) -> str:
    if keys == ["known_engine_args"]:
        rows = [(f"engine_args.{key}", text) for key, _, text in _rows("", EngineArgs)]
        lines = ["| key | form |", "|---|---|"]
        return "\n".join(lines + [f"| `{key}` | {text} |" for key, text in rows]) + "\n"
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key in keys:
        field = Config.model_fields[key]
        inner = [] if key.startswith("engine_args") else list(_inner(key, field.annotation))
        for name, default, text in [(key, _default(field), field.description or ""), *inner]:
            lines.append(f"| `{name}` | {default} | {text} |")
    return "\n".join(lines) + "\n"


def _inner(key: str, annotation: Any) -> Iterator[tuple[str, str, str]]:
    """The rows of the keys inside a key: of a map, of each named map, of each entry of a list."""
    while get_origin(annotation) in (Union, types.UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (dict, list):
        suffix = ".<name>" if get_origin(annotation) is dict else "[]"
        yield from _inner(f"{key}{suffix}", get_args(annotation)[-1])
    elif annotation is not EngineArgs and isinstance(annotation, type(BaseModel)):
        yield from _rows(f"{key}.", annotation)


def _rows(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", _default(field), field.description or ""
        yield from _inner(f"{prefix}{name}", field.annotation)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "none, required"
    if isinstance(field.default, EngineArgs):
        return "`{}`"
    if isinstance(field.default, BaseModel):
        return "see below"
    text = yaml.safe_dump(field.default, default_flow_style=True, width=1000)
    text = text.removesuffix("...\n").strip()
    return f"`{text}`" if field.default != "" else '`""`'


if __name__ == "__main__":
    write_documents(REPOSITORY)
