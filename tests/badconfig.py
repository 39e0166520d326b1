"""Configurations with one mistake each, drawn at random: what is wrong, and which key it is."""

import copy
import math
from collections.abc import Iterator
from datetime import date
from random import Random
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators

from cudagraph_lab import REPOSITORY

SCHEMA = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
BASE = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
RULES = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
# Whole numbers are integers only where they are written so.
STRICT = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2.5, 8.0, math.nan, math.inf, 10**30, "", "x", "../up", "a b",
    "A", "1", "\0", "ünï\n", date(2026, 5, 4), [], [0], [None], ["x", "x"], [[1]], {}, {"x": 1},
    {1: 2}, {"engine_args": []}, [{"device": "h100"}],
]  # fmt: skip
WORDS = ["masure", "batchsizes", "engine_arg", "x", "Arms", "on", "trust", "workload ", "ключ", 1]
FOREIGN = ["trust_remote_code", "trust-remote-code", "worker_extension_cls", "scheduler_cls",
           "logits_processors", "io_processor_plugin"]  # fmt: skip

Path = tuple[Any, ...]


def parts(rules: dict[str, Any], config: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every key that this configuration has or may have, with what the schema says of it."""
    if path:
        yield path, rules
    # Of several forms, the keys of the one that is a map.
    forms = [rules, *rules.get("anyOf", [])]
    named = next((form["$ref"] for form in forms if "$ref" in form), "").rpartition("/")[2]
    rules = rules | RULES["$defs"].get(named, {})
    inside = dict(rules.get("properties", {}))
    if isinstance(rules.get("additionalProperties"), dict) and isinstance(config, dict):
        inside |= dict.fromkeys(config, rules["additionalProperties"])
    if "patternProperties" in rules and isinstance(config, dict):
        (named,) = rules["patternProperties"].values()
        inside |= dict.fromkeys(config, named)
    there = set(config) if isinstance(config, dict) else set()
    for key, part in inside.items():
        # A map that is not there yet would lack its other required keys: a second mistake.
        if set(rules.get("required", ())) - {key} - there:
            continue
        below = config.get(key, {}) if isinstance(config, dict) else {}
        yield from parts(part, below, (*path, key))
    if isinstance(rules.get("items"), dict) and isinstance(config, list):
        for index, one in enumerate(config):
            yield from parts(rules["items"], one, (*path, index))


PARTS = list(parts(RULES, BASE))
CLOSED: list[Path] = [(), ("model",), ("workload",), ("extrapolate", 0)]
CLOSED += [(key, name) for key in ("arms", "contrasts") for name in BASE[key]]
ENGINE: list[Path] = [("engine_args",), ("engine_args_cpu",)]
ENGINE += [("arms", arm, "engine_args") for arm in BASE["arms"]]


def put(config: dict[str, Any], path: Path, value: Any) -> None:
    *parents, last = path
    target: Any = config
    for part in parents:
        target = target[part] if isinstance(target, list) else target.setdefault(part, {})
    target[last] = value


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def allowed(valid: Any, value: Any) -> bool:
    """Whether the schema allows a value; a key that is no text is never allowed."""
    try:
        return bool(valid.is_valid(value))
    except TypeError:
        return False


def wrong_value(rng: Random, config: dict[str, Any]) -> str:
    """A value that the schema does not allow."""
    while True:
        path, rules = rng.choice(PARTS)
        valid = STRICT({**rules, "$defs": RULES["$defs"]})
        # Null in place of an arm or a contrast removes it.
        removes = len(path) == 2 and path[0] in ("arms", "contrasts")
        bad = [v for v in VALUES if not allowed(valid, v) and not (removes and v is None)]
        if bad:
            put(config, path, rng.choice(bad))
            # An item may be wrong for being equal to another: then it is the list that is named.
            return dotted(path if isinstance(path[-1], str) else path[:-1])


def unknown_key(rng: Random, config: dict[str, Any]) -> str:
    path, word = rng.choice(CLOSED), rng.choice(WORDS)
    put(config, (*path, word), rng.choice(VALUES))
    return f"{dotted(path) or 'top level'}: unknown key {str(word)!r}"


def misspelt_key(rng: Random, config: dict[str, Any]) -> str:
    """One letter of a known key changed."""
    path, _ = rng.choice([p for p in PARTS if p[0][:-1] in CLOSED and isinstance(p[0][-1], str)])
    word = path[-1]
    at = rng.randrange(len(word))
    word = word[:at] + rng.choice([one for one in "qzk" if one != word[at]]) + word[at + 1 :]
    put(config, (*path[:-1], word), 1)
    return repr(word)


def foreign_code(rng: Random, config: dict[str, Any]) -> str:
    path = (*rng.choice(ENGINE), *rng.choice([(), ("speculative_config",), ("a", "b")]))
    key = rng.choice(FOREIGN)
    put(config, (*path, key), rng.choice([True, False, "module.Class", ["module.f"]]))
    return f"{dotted(path)}.{key}"


def way_out(rng: Random, config: dict[str, Any]) -> str:
    key = rng.choice([("own_predictions",), ("batch_mix",), ("cache_dir",), ("vllm_python",),
                      ("model", "architecture")])  # fmt: skip
    put(config, key, rng.choice(["..", "../x", "a/../../b", "./../x.yaml", "../../../etc/passwd"]))
    return f"{dotted(key)}: "


def no_such_name(rng: Random, config: dict[str, Any]) -> str:
    """A name, well formed, of something that is not there."""
    name = rng.choice(["nowhere", "eager2", "graph", "x.y-z"])
    side = (
        "contrasts",
        rng.choice(sorted(BASE["contrasts"])),
        rng.choice(["numerator", "denominator"]),
    )
    path = rng.choice([side, ("headline",), ("batch_mix",), ("own_predictions",)])
    if path == ("headline",) and name in config["contrasts"]:
        name = "nowhere"
    put(config, path, name)
    return dotted(path)


def lonely_arm(rng: Random, config: dict[str, Any]) -> str:
    name = rng.choice(["spare", "a.b", "x-1"])
    put(config, ("arms", name), {"engine_args": rng.choice([{}, {"enforce_eager": True}])})
    return f"arms.{name}"


def no_room(rng: Random, config: dict[str, Any]) -> str:
    put(config, ("workload", "output_tokens"), rng.randrange(513, 10_000))
    return "workload.max_model_len"


def removed(rng: Random, config: dict[str, Any]) -> str:
    path = rng.choice(
        [
            ("arms",),
            ("contrasts",),
            ("contrasts", "bundle", "numerator"),
            ("contrasts", "graph", "denominator"),
            ("extrapolate", 0, "batch"),
        ]
    )
    target: Any = config
    for part in path[:-1]:
        target = target[part]
    del target[path[-1]]
    return repr(path[-1])


MISTAKES = [wrong_value, wrong_value, wrong_value, unknown_key, misspelt_key, foreign_code, way_out,
            no_such_name, lonely_arm, no_room, removed]  # fmt: skip


def bad_configuration(rng: Random) -> tuple[dict[str, Any], str]:
    """A configuration with one mistake, and words that an error about it must hold."""
    config = copy.deepcopy(BASE) | {"measure": "none"}
    mistake = rng.choice(MISTAKES)
    return config, mistake(rng, config)


assert Draft202012Validator(RULES).is_valid(BASE)  # else every one is bad
