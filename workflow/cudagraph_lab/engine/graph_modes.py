"""Modes of compilation and of CUDA graphs, and whether an arm asks for graphs."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from cudagraph_lab.engine.versions import graphs_without_compilation

CompileMode = Literal["NONE", "STOCK_TORCH_COMPILE", "DYNAMO_TRACE_ONCE", "VLLM_COMPILE"]
GraphMode = Literal["NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"]

COMPILE_MODES: tuple[str, ...] = get_args(CompileMode)  # a mode's number is its place here
GRAPH_MODES: tuple[str, ...] = get_args(GraphMode)

AsksForGraphs = Literal["yes", "no", "vllm decides"]


def asks_for_graphs(arguments: Mapping[str, Any], version: str | None = None) -> AsksForGraphs:
    """Whether these arguments of vLLM's `LLM(...)` ask for CUDA graphs, in this version.

    `yes` and `no` where an argument says so, and `vllm decides` where none does: what vLLM
    then makes of it depends on platform, model and version, and stands in the record.
    Source: vLLM 0.22.1, `VllmConfig.__post_init__`: optimisation level 0 captures nothing and
    the levels above it do; the default of cudagraph_mode becomes NONE where nothing is compiled.
    """
    if arguments.get("enforce_eager"):
        return "no"
    compilation = arguments.get("compilation_config", {})
    if not isinstance(compilation, Mapping):  # a number is the mode of compilation
        compilation = {"mode": compilation}
    graphs, compiled = _word(compilation.get("cudagraph_mode")), _word(compilation.get("mode"))
    if graphs == "NONE":
        return "no"
    if graphs is not None:
        # Piecewise graphs need the pieces that compilation makes.
        return "vllm decides" if graphs == "PIECEWISE" and compiled in ("NONE", "0") else "yes"
    level = _level(arguments.get("optimization_level"))
    if level == 0:
        return "no"
    if compiled in ("NONE", "0"):
        return "vllm decides" if graphs_without_compilation(version) else "no"
    if level is not None or compilation.get("cudagraph_capture_sizes"):
        return "yes"
    # vLLM documents `enforce_eager: false` as: use CUDA graphs.
    return "yes" if arguments.get("enforce_eager") is False else "vllm decides"


def _word(value: Any) -> str | None:
    return None if value is None else str(value).upper()


def _level(value: Any) -> int | None:
    """An optimisation level as vLLM's users write it: 2, "2", "O2" or "-O2"."""
    digits = str(value).upper().removeprefix("-").removeprefix("O")
    return int(digits) if digits.isdecimal() else None


def devices_of(arguments: Mapping[str, Any]) -> int:
    """How many devices an engine with these arguments occupies: one per rank."""
    ranks = 1
    for kind in ("tensor", "pipeline", "data"):
        ranks *= int(arguments.get(f"{kind}_parallel_size") or 1)
    return ranks
