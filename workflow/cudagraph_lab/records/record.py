"""The record of one run: one arm, one repeat, one fresh process.

This schema is the contract between measuring and everything after it. A record
holds what was asked, what vLLM made of it, raw times in seconds, and the
conditions; nothing in it is derived. Records of runs, of failures, of published
numbers (transcribed) and of simulations share it and say which they are.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cudagraph_lab.engine.profile_trace import StepProfile
from cudagraph_lab.engine.startup_facts import StartupFacts
from cudagraph_lab.forms import ExactForm
from cudagraph_lab.protocol import FailureKind
from cudagraph_lab.records.call import Cell, misfit
from cudagraph_lab.records.request import Count, PositiveSeconds, Request

# Names become parts of paths, of Snakemake wildcards and of number ids.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)]


class ResolvedDraft(ExactForm):
    """What vLLM made of a draft model with weights of its own."""

    method: str
    layers: int
    weight_bytes: int | None  # None where the build packs weights
    # None where this vLLM does not tell. The draft has a dispatcher of its own.
    cudagraph_mode: str | None
    capture_sizes: list[int] | None
    attention_backend: str | None


class Resolved(ExactForm):
    """What vLLM made of the request, read from the worker after boot."""

    compile_mode: str
    cudagraph_mode: str
    capture_sizes: list[int]
    custom_ops: list[str]
    enforce_eager: bool
    dtype: str
    attention_backend: str | None
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    block_size: int | None
    num_gpu_blocks: int | None
    enable_prefix_caching: bool | None
    optimization_level: int | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    all_reduce: str | None = None  # who sums over the ranks of tensor parallelism
    speculative_tokens: int | None = None
    draft: ResolvedDraft | None = None
    async_scheduling: bool | None = None
    model_runner: str | None = None  # module of the worker's model runner


class Rank(ExactForm):
    """What one of several ranks spent at start-up; `startup` holds the slowest one's capture."""

    rank: Count
    capture_seconds: float | None
    pool_bytes: int | None
    graphs: Count
    compile_seconds: float | None
    model_bytes: int | None
    available_kv_cache_bytes: int | None
    differs: list[str]  # settings of `resolved` that are others than the first rank's


class Span(ExactForm):
    """A phase of the start-up; `start_s` counts from the start of the process."""

    name: str
    start_s: float
    seconds: Annotated[float, Field(ge=0)]


class CapturedGraph(ExactForm):
    """One graph as the worker captured it (warm-up runs of that shape included)."""

    routine: str
    tokens: int
    seconds: PositiveSeconds
    bytes: int


class Capture(ExactForm):
    """Graph capture as data from the worker, not from its log."""

    seconds: float
    pool_bytes: int
    estimate_bytes: int | None
    graphs: list[CapturedGraph]


class StartUp(ExactForm):
    """From the start of the process to an engine that answers."""

    spans: list[Span]
    compile_seconds: float | None
    compile_cache_was: Literal["cold", "warm"] | None
    capture: Capture | None
    kv_cache_tokens: int | None
    available_kv_cache_bytes: int | None
    model_bytes: int | None
    log: StartupFacts | None


class Environment(ExactForm):
    """Where and with what it ran; runs that differ here are not one data set."""

    platform: Literal["cuda", "cpu"]
    device: str
    device_id: str | None = None  # which one of its kind: from its UUID, hashed
    device_memory_gib: float | None = None
    compute_capability: str | None = None
    driver: str | None = None
    cpu: str | None = None
    cores: int | None = None
    memory_gib: float | None = None
    python: str | None = None
    vllm: str | None
    torch: str | None = None
    threads: int | None = None
    variables: dict[str, str] = Field(default_factory=dict)
    lock: str | None = None  # name and SHA-256 of the lock, or how else it came to be
    commit: str | None = None
    host: str | None = None  # its name, hashed
    notes: list[str] = Field(default_factory=list)


class Conditions(ExactForm):
    """The state of device and machine at one moment."""

    at: Literal["before", "during", "after"]
    seconds: float
    place: Count | None = None  # which of the run's devices, from 0
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_w: float | None = None
    temperature_c: int | None = None
    throttle_reasons: list[str] | None = None
    memory_used_gib: float | None = None
    foreign_processes: list[int] | None = None
    load_average: float | None = None
    governor: str | None = None
    unavailable: str | None = None  # why the device told nothing


class Failure(ExactForm):
    """Why a run has no numbers."""

    kind: FailureKind
    reason: str
    log_tail: list[str]


class Record(ExactForm):
    """One run, whole."""

    schema_version: Literal[1, 2] = 2
    dataset: Name
    arm: Name
    repeat: Annotated[int, Field(gt=0)]
    kind: Literal["measured", "transcribed", "simulated"]
    status: Literal["ok", "failed"]
    source: str  # the command that measured it, or the publication it was copied from
    measured_at: str | None  # ISO 8601, UTC, start of the run
    request: Request
    resolved: Resolved | None
    startup: StartUp | None
    ranks: list[Rank] | None = None  # None of a single one
    cells: list[Cell]
    profile: list[StepProfile] | None = None
    environment: Environment
    conditions: list[Conditions] = Field(default_factory=list)
    failure: Failure | None = None

    @model_validator(mode="after")
    def _is_plausible(self) -> Self:
        if (self.status == "failed") != (self.failure is not None):
            raise ValueError("a failed run, and no other, says why in `failure`")
        if self.status == "failed":
            return self
        if self.kind == "measured":
            self._is_what_was_asked()
        return self

    def _is_what_was_asked(self) -> None:
        """Raise ValueError where a measured run lacks something or has it in another number."""
        asked = self.request.workload
        batches = [cell.batch for cell in self.cells]
        if batches != asked.batch_sizes:
            raise ValueError(f"cells {batches} do not match batch sizes {asked.batch_sizes}")
        for cell in self.cells:
            where = f"batch {cell.batch}"
            expected = cell.batch * asked.output_tokens
            for call in cell.calls:
                if call.tokens != expected:
                    raise ValueError(
                        f"{where}: {call.tokens} tokens came back, {expected} were asked"
                    )
                if (reason := misfit(call, cell.batch, asked.output_tokens)) is not None:
                    raise ValueError(f"{where}: {reason}")
            roles: list[str] = [call.role for call in cell.calls]
            counts = {
                "first": 1,
                "warmup": self.request.warmups,
                "timed": self.request.iterations,
            }
            for role, count in counts.items():
                # Bounded in seconds, a repeat ends after the last whole round.
                fewer = role == "timed" and self.request.seconds is not None
                if not (1 if fewer else count) <= roles.count(role) <= count:
                    raise ValueError(
                        f"{where}: {roles.count(role)} {role} calls, {count} were asked"
                    )
