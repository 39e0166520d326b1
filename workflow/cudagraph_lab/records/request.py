"""What is asked of a run, and which requests belong to one data set."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cudagraph_lab.engine.foreign_code import foreign_code
from cudagraph_lab.forms import ExactForm

PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Workload(ExactForm):
    """What every arm is asked to do."""

    prompt: str | None
    prompt_token_ids: list[int] | None
    output_tokens: Annotated[int, Field(gt=0)]
    batch_sizes: list[Annotated[int, Field(gt=0)]]
    max_model_len: int
    gpu_memory_utilization: float


class Request(ExactForm):
    """What was asked of the run, before anything ran."""

    model: str
    weights: Literal["hub", "dummy"]
    revision: str | None = None
    workload: Workload
    engine_args: dict[str, Any]
    # As asked; `environment.vllm` is what vLLM says. Records without it are of the one there was.
    vllm: str = "0.22.1"
    env: dict[str, str] = Field(default_factory=dict)  # variables of this arm's engine
    purpose: Literal["timed", "startup", "profile"]
    compile_cache: Literal["shared", "cold"]
    iterations: Count
    warmups: Count
    seed: int
    # How the harness learns of steps: by vLLM's statistics, kept up inside the timed calls,
    # or from the engine core's messages, read after them.
    observed: Literal["statistics", "messages"] = "statistics"
    order: list[str]  # the arms of this repeat in the order drawn from the seed
    # `apart`: one arm after the other. `in_turn`: the arms of `order` were resident together,
    # and their calls took turns.
    measured: Literal["apart", "in_turn"] = "apart"
    # Of arms in turn: `together`, waiting for each other, or one after the other.
    boots: Literal["together", "in_sequence"] = "together"
    # Whether the threads that launch and call were kept on the same two processors in every arm.
    processors: Literal["any", "shared"] = "any"
    # Batch sizes in rounds; else all calls of one batch size, then those of the next.
    rounds: bool = False
    seconds: PositiveSeconds | None = None  # for the timed calls of one repeat, if bounded
    profile_after: bool = False  # after the timed calls a few steps ran under the profiler
    # Dummy weights: vLLM's constant-like values, or normal ones drawn from the seed.
    dummy_values: Literal["vllm", "normal"] = "vllm"

    @model_validator(mode="after")
    def _runs_no_foreign_code(self) -> Self:
        if found := foreign_code(self.engine_args):
            raise ValueError(f"engine_args.{found}: foreign code is never run")
        return self


# What runs of one data set share, what its timed arms share, what repeats of one arm share.
SHARED = (
    "model",
    "weights",
    "revision",
    "workload.prompt",
    "workload.prompt_token_ids",
    "workload.output_tokens",
    "workload.max_model_len",
    "workload.gpu_memory_utilization",
    "dummy_values",
)
SHARED_BY_TIMED = (
    "workload.batch_sizes",
    "iterations",
    "warmups",
    "seed",
    "observed",
    "rounds",
    "seconds",
    "boots",
    "processors",
)
SHARED_BY_REPEATS = ("purpose", "vllm", "env", "engine_args", "compile_cache")


def conflict(one: Request, other: Request, same_arm: bool) -> tuple[str, Any, Any] | None:
    """What keeps two requests from being of one data set: its name and both values, or None."""
    names = list(SHARED)
    if one.purpose == other.purpose == "timed":
        names += SHARED_BY_TIMED
    if same_arm:
        names += SHARED_BY_REPEATS
    for name in names:
        first, second = dotted(one, name), dotted(other, name)
        if first != second:
            return name, first, second
    return None


def dotted(value: Any, name: str) -> Any:
    """The attribute of an attribute that a dotted name leads to."""
    for part in name.split("."):
        value = getattr(value, part)
    return value
