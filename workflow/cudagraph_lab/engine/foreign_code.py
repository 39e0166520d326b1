"""Arguments of the engine that would run code which is neither vLLM's nor this project's."""

from collections.abc import Mapping
from typing import Any

FOREIGN_CODE = frozenset(
    {
        "trust_remote_code",
        "worker_cls",
        "worker_extension_cls",
        "scheduler_cls",
        "logits_processors",
        "inductor_passes",
        "kv_connector_module_path",
        "io_processor_plugin",
        "reasoning_parser_plugin",
        "tool_parser_plugin",
    }
)
# These take vLLM's own by a word, and anything else by the dotted name of a module.
BACKENDS = frozenset({"backend", "distributed_executor_backend"})


def foreign_code(engine_args: Any, prefix: str = "") -> str | None:
    """The first argument, at any depth, that names code to run, as a dotted name; else None.

    >>> foreign_code({"speculative_config": {"trust-remote-code": True}})
    'speculative_config.trust-remote-code'
    """
    if isinstance(engine_args, Mapping):
        for key, value in engine_args.items():
            name = str(key).replace("-", "_").lower()
            if name in FOREIGN_CODE or (name in BACKENDS and "." in str(value)):
                return f"{prefix}{key}"
            if found := foreign_code(value, f"{prefix}{key}."):
                return found
    elif isinstance(engine_args, list):
        for index, value in enumerate(engine_args):
            if found := foreign_code(value, f"{prefix}{index}."):
                return found
    return None
