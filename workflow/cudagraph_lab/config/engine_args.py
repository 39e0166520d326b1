"""Arguments of vLLM's engine, as far as their form is known; all others pass unchecked."""

import re
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from cudagraph_lab.engine.graph_modes import COMPILE_MODES, CompileMode, GraphMode

LEVEL = "-?[Oo]([0-3])"


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _level(value: Any) -> Any:
    """`O2` and `-O2`, as on vLLM's command line, for 2."""
    found = re.fullmatch(LEVEL, value) if isinstance(value, str) else None
    return int(found[1]) if found else value


def _as_map(value: Any) -> Any:
    """vLLM takes a bare number or name for the mode of compilation."""
    known = isinstance(value, str) and value.upper() in COMPILE_MODES
    number = isinstance(value, int) and not isinstance(value, bool)
    return {"mode": value} if known or number else value


def _given(description: str, **limits: Any) -> Any:
    """An argument without a default here: what is not given is left to vLLM."""
    return Field(default_factory=lambda: None, description=description, **limits)


class Given(BaseModel):
    """Arguments that the user gave, and no others: what is not given is left to vLLM."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    @model_serializer
    def _only_what_was_given(self) -> dict[str, Any]:
        values = {**self.__dict__, **(self.__pydantic_extra__ or {})}
        return {name: value for name, value in values.items() if name in self.model_fields_set}


Positive = Annotated[int, Field(ge=1)]


class CompilationConfig(Given):
    """vLLM's `compilation_config`."""

    mode: Annotated[CompileMode | Annotated[int, Field(ge=0, le=3)], BeforeValidator(_upper)] = (
        _given("how vLLM compiles, by name in any case or by number")
    )
    cudagraph_mode: Annotated[GraphMode, BeforeValidator(_upper)] = _given(
        "which steps are captured, in any case"
    )
    cudagraph_capture_sizes: list[Positive] = _given("list of the sizes to capture", min_length=1)
    custom_ops: list[str] = _given("list of names")


class SpeculativeConfig(Given):
    """vLLM's `speculative_config`."""

    method: Annotated[str, Field(min_length=1)] = _given(
        "who drafts: `draft_model`, `ngram`, or another method of vLLM"
    )
    model: Annotated[str, Field(min_length=1)] = _given(
        "the draft model as the model hub spells it, with weights as those of the "
        "target; or a directory with its `config.json`"
    )
    num_speculative_tokens: Positive = _given("tokens that are drafted for a step")


Level = Annotated[int, Field(ge=0, le=3)] | Annotated[str, Field(pattern=f"^{LEVEL}$")]
Compilation = CompilationConfig | CompileMode | Annotated[int, Field(ge=0, le=3)]


class EngineArgs(Given):
    """Arguments of vLLM's `LLM(...)`."""

    enforce_eager: bool = _given(
        "true turns off graphs and compilation; false says that graphs are wanted, "
        "as vLLM documents it"
    )
    optimization_level: Annotated[
        int, Field(ge=0, le=3), BeforeValidator(_level, json_schema_input_type=Level)
    ] = _given("0 to 3, or `O0` to `O3`; 0 is without compilation and graphs")
    compilation_config: Annotated[
        CompilationConfig, BeforeValidator(_as_map, json_schema_input_type=Compilation)
    ] = _given("a map, or the mode of compilation alone")
    speculative_config: SpeculativeConfig = _given("speculative decoding: a map")
    max_num_seqs: Positive = _given(
        "requests that vLLM serves at once; no batch size may be above it"
    )
    max_model_len: Positive = _given("in place of `workload.max_model_len`, for this arm")
    tensor_parallel_size: Positive = _given("devices that share each layer")
    pipeline_parallel_size: Positive = _given("devices that share the layers")
    data_parallel_size: Positive = _given("copies of the engine")

    @model_validator(mode="before")
    @classmethod
    def _level_by_its_flag(cls, value: Any) -> Any:
        """`-O: 3` is the optimisation level."""
        if not isinstance(value, dict):
            return value
        return {"optimization_level" if key in ("-O", "O") else key: v for key, v in value.items()}
