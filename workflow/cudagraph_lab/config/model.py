"""The configuration: every key, its type, its default and what it means.

The JSON schema and the tables of config/README.md are made from this module; see documents.py.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.config.engine_args import EngineArgs, Positive
from cudagraph_lab.config.names import ClusterName, HubName, Name, Text, Variable, Version
from cudagraph_lab.engine.versions import VLLM_VERSION
from cudagraph_lab.forms import ExactForm

Count = Annotated[int, Field(ge=0)]


def _all_different(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("names a value twice; name each once")
    return values


class Model(ExactForm):
    """Which model is measured."""

    name: HubName = Field("facebook/opt-125m", description="as the model hub spells it")
    weights: Literal["auto", "hub", "dummy"] = Field(
        "auto",
        description="`hub`: the published weights. `dummy`: the same shapes with random values, "
        "no download. `auto`: `hub` if it answers within seconds, else `dummy`, and says so. "
        "Decided once per data set",
    )
    architecture: Text | None = Field(
        None,
        description="directory with the model's `config.json`, for dummy weights; `null` takes "
        "`resources/models/<owner>--<name>`",
    )


class Workload(ExactForm):
    """What every arm is asked to do."""

    prompt_token_ids: Annotated[list[Count], Field(min_length=1)] | None = Field(
        [2, 133, 3099, 9, 301, 16],
        description="the prompt of every request, as token ids; needs no tokenizer",
    )
    prompt: Text | None = Field(
        None,
        description="a text in its place; needs the hub's tokenizer, so `model.weights` must be "
        "`hub`",
    )
    output_tokens: int = Field(
        128, ge=2, description="tokens written per request, always that many; at least 2"
    )
    batch_sizes: Annotated[list[Positive], AfterValidator(_all_different)] = Field(
        [1, 8, 64],
        min_length=1,
        json_schema_extra={"uniqueItems": True},
        description="requests per `generate` call; every timed arm runs all of them",
    )
    max_model_len: int = Field(
        512, ge=8, description="vLLM's bound on prompt and output together, in tokens"
    )
    gpu_memory_utilization: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of the device's memory that vLLM takes; on a CPU, of the machine's, "
        "and vLLM refuses to start where less is free",
    )

    @model_validator(mode="before")
    @classmethod
    def _text_for_token_ids(cls, value: Any) -> Any:
        """A text takes the place of the token ids."""
        if isinstance(value, dict) and value.get("prompt") is not None:
            return {**value, "prompt_token_ids": None}
        return value


class Versions(ExactForm):
    """A version for each platform, since their newest builds differ."""

    cuda: Version = Field(description="the version on a GPU")
    cpu: Version = Field(description="the version on a CPU")


class Arm(ExactForm):
    """One way to start the engine."""

    engine_args: EngineArgs = Field(
        EngineArgs(), description="arguments of vLLM's `LLM(...)`, as vLLM spells them"
    )
    vllm: Version | Versions | None = Field(
        None, description="version of vLLM for this arm alone; `null` takes the general `vllm`"
    )
    env: dict[Variable, str] = Field(
        {},
        description="environment variables of this arm's engine, from the list under "
        "[Versions](#versions); numbers in quotes",
    )
    purpose: Literal["timed", "startup", "profile"] = Field(
        "timed",
        description="`timed`: start-up and all batch sizes. `startup`: the start-up and one "
        "request. `profile`: kernels and launches per step, never timed",
    )
    compile_cache: Literal["shared", "cold"] = Field(
        "shared",
        description="`shared`: one compile cache per data set. `cold`: an empty one for every "
        "repeat",
    )
    repeats: Positive | None = Field(
        None, description="processes of this arm; `null` takes the general `repeats`"
    )
    alone: bool = Field(
        False,
        description="measured apart also where the others take turns, to see what their company "
        "changes: in a contrast of role `co_resident`, and in no other",
    )
    note: str = Field("", description="what a reader should know")


class Question(ExactForm):
    """A question about hardware and a model that were not measured here."""

    device: Name = Field(description="a name of `devices.yaml`")
    model: Name = Field(description="a name of `models.yaml`")
    batch: Positive = Field(description="requests per decode step")
    tp: Positive = Field(description="tensor parallelism: devices that share the model")
    dtype: Literal["bf16", "fp16", "fp8"] = Field(description="`bf16`, `fp16` or `fp8`")
    context: Positive = Field(1024, description="mean tokens in a request's cache")


class Config(ExactForm):
    """Configuration of cudagraph-lab. Unknown keys are refused."""

    measure: Literal["auto", "cuda", "cpu", "none"] = Field(
        "auto",
        description="`auto`: the NVIDIA GPU if there is one, else what a CPU can measure. `cuda` "
        "or `cpu`: this and no other. `none`: nothing; the report is made from records that are "
        "there",
    )
    dataset: Name = Field(
        "auto",
        description="name of the data set measured here; `auto` is platform, device and vLLM "
        "version, see [Data sets](#data-sets)",
    )
    gpu_model: ClusterName | None = Field(
        None,
        description="the GPU to ask a cluster for, as the cluster calls it; `null` asks for any. "
        "See [docs/clusters.md](../docs/clusters.md)",
    )
    compare: Literal["auto"] | list[Name] = Field(
        "auto",
        description="list of data sets beside the measured one in the report; `auto` is all that "
        "are there, local and shipped; a name that no data set has is left out, and the report "
        "says so",
    )
    vllm: Version | Versions = Field(
        VLLM_VERSION,
        description="version of vLLM that every arm runs on which names none itself; or one for "
        "each platform, `{cuda: VERSION, cpu: VERSION}`. See [Versions](#versions)",
    )
    vllm_python: Text | dict[Version, Text] = Field(
        "managed",
        description="`managed`: vLLM's environment is built from its lock when a measurement "
        "needs it. Else a Python that imports vLLM, by path or name, which is taken as it is; or a "
        "map with one for each version, where versions that it leaves out are managed",
    )
    cache_dir: Text = Field(
        "auto",
        description="where vLLM's environments, compile caches and the tables of shipped records "
        "are kept; `auto` is the user's cache directory. The lock of the device stays in the "
        "user's cache (`XDG_CACHE_HOME`) in any case, and what uv downloads in uv's own "
        "(`UV_CACHE_DIR` moves it)",
    )
    model: Model = Field(Model(), description="a map of the keys in this table")
    workload: Workload = Field(Workload(), description="a map of the keys in this table")
    sizes: dict[Name, dict[str, Any]] = Field(
        {},
        description="one data set per size, `<dataset>-<size>`: by a short name, the keys that are "
        "laid over the rest, `{}` for none. See [Sizes](#sizes); `null` removes one",
    )
    repeats: Positive = Field(
        3,
        description="fresh processes per arm; intervals come from their spread, so one gives none",
    )
    iterations: Positive = Field(
        5, description="timed calls per batch size and process (`config.yaml` says 10)"
    )
    warmups: Count = Field(
        1,
        description="calls between the first and the timed ones; they are kept in the record and "
        "not counted",
    )
    order: Literal["apart", "in_turn", "auto"] = Field(
        "apart",
        description="`apart`: one arm after the other. `in_turn`: the timed arms of a repeat are "
        "resident together, each in its own process, and their calls take turns. `auto`: in turn "
        "where all of them fit into the device's memory together, else apart; their shares of "
        "the memory then follow from the model's shapes",
    )
    boots: Literal["in_sequence", "together"] = Field(
        "in_sequence",
        description="of arms in turn. `in_sequence`: one boots after the other, so that a start "
        "tells its seconds and its memory. `together`: at the same time, which is quicker on a "
        "GPU; start-up times and the memory of the graphs are then not known, and the KV cache "
        "has a given size",
    )
    processors: Literal["any", "shared"] = Field(
        "any",
        description="of arms in turn on a GPU. `shared`: once the engines are warm, the thread "
        "that launches runs on one processor in every arm, and so does the caller's, so that what "
        "other guests of the host take from a processor falls on all arms alike. `any`: where "
        "the system puts them",
    )
    seconds_per_repeat: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="no round of timed calls begins after so many seconds of a repeat; "
        "`iterations` bounds the rounds as well",
    )
    profile_after: bool = Field(
        False,
        description="whether each timed arm, after its timed calls in repeat 1, runs a few steps "
        "per batch size under the profiler: kernels and launches per step, as with `purpose: "
        "profile`, from the very engine that was timed",
    )
    seed: Count = Field(
        20260504,
        description="order of the arms within each repeat, vLLM's seed, and resampling",
    )
    timeout_s: float = Field(
        1800,
        gt=0,
        description="a run that takes longer, in seconds, is ended and recorded as failed",
    )
    own_predictions: Text | None = Field(
        None,
        description="a file of your own predictions, of the form below, in addition to "
        "`predictions.yaml`",
    )
    batch_mix: Text | None = Field(
        None,
        description="file with a histogram of decode batch sizes for the ladder advisor, a size "
        "and a count per line; `null` takes every size from 1 to the largest of "
        "`workload.batch_sizes` once",
    )
    ladder_rungs: Positive = Field(8, description="capture sizes that the ladder advisor may use")
    extrapolate: list[Question] = Field(
        [],
        description="questions about hardware and models that were not measured here, one entry "
        "each; answered by a bracket, never by a single number",
    )
    restarts_per_day: float = Field(
        50, ge=0, description="how often a service restarts, for what graphs cost a day"
    )
    engine_args: EngineArgs = Field(EngineArgs(), description="given to every arm")
    engine_args_cpu: EngineArgs = Field(
        EngineArgs(), description="given to every arm on a CPU only (`config.yaml` sets float32)"
    )
    arms: dict[Name, Arm] = Field(
        min_length=1,
        description="the ways to start the engine, by name: lower-case letters, digits, dots, "
        "dashes, underscores; `null` removes an arm that an earlier file defines",
    )
    contrasts: dict[Name, Contrast] = Field(
        min_length=1,
        description="ratios of two timed arms' throughput, by name; every timed arm must be in "
        "one; `null` removes one",
    )
    headline: Name | None = Field(
        None,
        description="the contrast that the report leads with; `null` takes the one of role "
        "`primary`",
    )
