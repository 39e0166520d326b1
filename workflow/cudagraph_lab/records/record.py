"""The record of one run: one arm, one repeat, one fresh process.

This schema is the contract between measuring and everything after it. A record
holds what was asked, what vLLM made of it, raw times in seconds, and the
conditions; nothing in it is derived. Records of runs, of failures, of published
numbers (transcribed) and of simulations share it and say which they are.
"""

import gzip
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cudagraph_lab.engine.foreign_code import foreign_code
from cudagraph_lab.engine.profile_trace import StepProfile
from cudagraph_lab.engine.startup_log import StartupFacts
from cudagraph_lab.errors import LabError, printable
from cudagraph_lab.files import write_atomically

SCHEMA_VERSION = 1
# The largest records, profiles with every step, stay far below; more is not read at all.
LARGEST_RECORD_BYTES = 64 << 20
# Between the name of a record and the time at which it was set aside.
SET_ASIDE = ".damaged-"


class NotBelievedError(LabError):
    """A record that is damaged, implausible, or not what its name says.

    `reason` says why; the whole message adds the file and what to do.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = printable(reason)
        mend = "move it away, then run the same command again to measure it anew"
        super().__init__(f"{path}: {reason}; {mend}")


# Names become parts of paths, of Snakemake wildcards and of number ids.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Model(BaseModel):
    """Base of every part of a record: unknown keys are refused, values do not change.

    Nor are they converted: a number in quotes is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Workload(Model):
    """What every arm is asked to do."""

    prompt: str | None
    prompt_token_ids: list[int] | None
    output_tokens: Annotated[int, Field(gt=0)]
    batch_sizes: list[Annotated[int, Field(gt=0)]]
    max_model_len: int
    gpu_memory_utilization: float


class Request(Model):
    """What was asked of the run, before anything ran."""

    model: str
    weights: Literal["hub", "dummy"]
    revision: str | None = None
    workload: Workload
    engine_args: dict[str, Any]
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
)
SHARED_BY_REPEATS = ("purpose", "engine_args", "compile_cache")


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


class Resolved(Model):
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
    speculative_tokens: int | None = None
    async_scheduling: bool | None = None
    model_runner: str | None = None  # module of the worker's model runner


class Span(Model):
    """A phase of the start-up; `start_s` counts from the start of the process."""

    name: str
    start_s: float
    seconds: Annotated[float, Field(ge=0)]


class CapturedGraph(Model):
    """One graph as the worker captured it (warm-up runs of that shape included)."""

    routine: str
    tokens: int
    seconds: PositiveSeconds
    bytes: int


class Capture(Model):
    """Graph capture as data from the worker, not from its log."""

    seconds: float
    pool_bytes: int
    estimate_bytes: int | None
    graphs: list[CapturedGraph]


class StartUp(Model):
    """From the start of the process to an engine that answers."""

    spans: list[Span]
    compile_seconds: float | None
    compile_cache_was: Literal["cold", "warm"] | None
    capture: Capture | None
    kv_cache_tokens: int | None
    available_kv_cache_bytes: int | None
    model_bytes: int | None
    log: StartupFacts | None


class StepCount(Model):
    """How many engine steps ran with this graph mode and this padding."""

    mode: str
    unpadded_tokens: Count
    padded_tokens: Count
    count: Annotated[int, Field(gt=0)]


class Call(Model):
    """One `generate` call. Published calls may know only their tokens per second."""

    role: Literal["first", "warmup", "timed"]
    seconds: PositiveSeconds | None
    tokens: Count | None
    tokens_per_s: PositiveSeconds | None = None
    # Version 1: since the start of the process. Version 2: since the measuring process began its
    # job, on one clock for all arms of the job.
    started_s: float | None = None
    round: Count | None = None  # of the schedule; None for first calls and warm-ups
    # Microseconds of each step after the first, by the times of the engine core's messages.
    step_us: list[Count] | None = None
    energy_j: Annotated[float, Field(ge=0)] | None = None  # of the whole board, during the call
    decode_s_per_step: list[PositiveSeconds] | None = None  # one per request
    # One per request, since the call began (by statistics: since the request's arrival).
    first_token_s: list[PositiveSeconds] | None = None
    steps: list[StepCount] | None = None

    @model_validator(mode="after")
    def _says_how_fast(self) -> Self:
        if (self.seconds is None or self.tokens is None) and self.tokens_per_s is None:
            raise ValueError("a call needs seconds and tokens, or tokens_per_s where published")
        return self

    @property
    def throughput(self) -> float:
        """Output tokens per second of this call."""
        if self.seconds is not None and self.tokens is not None:
            return self.tokens / self.seconds
        assert self.tokens_per_s is not None  # noqa: S101 - the validator above
        return self.tokens_per_s


class Cell(Model):
    """All calls of one batch size within one run."""

    batch: Annotated[int, Field(gt=0)]
    calls: list[Call]
    output_sha256: list[str] | None = None  # of the greedy token ids, one per request
    output_token_ids: list[list[int]] | None = None  # of the first request only, to find a fork

    def timed(self) -> list[Call]:
        """The calls that count."""
        return [call for call in self.calls if call.role == "timed"]


class Environment(Model):
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
    variables: dict[str, str] = {}
    lock: str | None = None  # name and SHA-256 of the lock, or how else it came to be
    commit: str | None = None
    host: str | None = None  # its name, hashed
    notes: list[str] = []


class Conditions(Model):
    """The state of device and machine at one moment."""

    at: Literal["before", "during", "after"]
    seconds: float
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


class Failure(Model):
    """Why a run has no numbers."""

    kind: Literal["out_of_memory", "boot", "generate", "timeout", "killed", "not_supported"]
    reason: str
    log_tail: list[str]


class Record(Model):
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
    cells: list[Cell]
    profile: list[StepProfile] | None = None
    environment: Environment
    conditions: list[Conditions] = []
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
                if (reason := _misfit(call, cell.batch, asked.output_tokens)) is not None:
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


def _misfit(call: Call, batch: int, output_tokens: int) -> str | None:
    """What of a call's own figures cannot be, beside each other; else None."""
    if call.seconds is None:
        return "a measured call has no seconds"
    decode, first = call.decode_s_per_step, call.first_token_s
    for name, values in (("decode_s_per_step", decode), ("first_token_s", first)):
        if values is not None and len(values) != batch:
            return f"{name} has {len(values)} values"
    # Parts of a call that last longer than all of it were read from a clock that jumped.
    if decode and max(decode) * (output_tokens - 1) > call.seconds:
        return "a request decoded longer than the call lasted"
    if first and max(first) > call.seconds:
        return "a first token came later than the call ended"
    return None


def _checksum(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_record(record: Record, path: Path) -> None:
    """Write a record with its checksum, whole or not at all."""
    body = record.model_dump(mode="json")
    write_atomically(path, document_of(body))


def document_of(body: dict[str, Any]) -> str:
    """The text of a record's file: JSON with a line for each top-level key."""
    lines = [
        f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}"
        for key, value in body.items()
    ]
    return f'{{"sha256":"{_checksum(body)}",\n"record":{{\n' + ",\n".join(lines) + "}}\n"


def read_record(path: Path, dataset: str | None = None, name: Path | None = None) -> Record:
    """Read a record; refuse, by name, what is half-written, changed, implausible or foreign.

    `name` is the path that the record is to have, where it is not there yet.

    Raises NotBelievedError, a LabError that names the file and the mend.
    """
    # A pipe would be waited for, a device never ends.
    if not path.is_file():
        raise NotBelievedError(path, "not a file" if path.exists() else "it is not there")
    if (size := path.stat().st_size) > LARGEST_RECORD_BYTES:
        raise NotBelievedError(path, f"larger than any record ({size} bytes)")
    try:
        document = json.loads(_content(path).decode("utf-8"))
        body, checksum = document["record"], document["sha256"]
        fits = checksum == _checksum(body)
        record = Record.model_validate(body) if fits else None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise NotBelievedError(path, f"{where}: {first['msg']}") from None
    except (ValueError, KeyError, TypeError, RecursionError, EOFError, OSError) as error:
        raise NotBelievedError(path, f"not a record of a run ({type(error).__name__})") from None
    if record is None:
        raise NotBelievedError(path, "its checksum does not fit its content")
    if dataset is not None and record.dataset != dataset:
        raise NotBelievedError(path, f"belongs to data set {record.dataset!r}, not {dataset!r}")
    named = name or path
    arm, repeat = named.parent.name, named.name.split(".")[0]
    if (arm, repeat) != (record.arm, f"rep{record.repeat}"):
        raise NotBelievedError(
            path, f"holds {record.arm} rep{record.repeat}, not what its name says"
        )
    return record


def _content(path: Path) -> bytes:
    """The bytes of a record's file, unpacked where its name ends in .gz.

    Raises ValueError where the unpacked record is larger than any, OSError where it is damaged.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    with gzip.open(path) as stream:
        content = stream.read(LARGEST_RECORD_BYTES + 1)
    if len(content) > LARGEST_RECORD_BYTES:
        raise ValueError("larger than any record")
    return content


def log_of(path: Path) -> Path:
    """The start-up log that belongs to a record."""
    return path.with_name(path.name.split(".")[0] + ".log")


def set_aside(path: Path) -> Path:
    """Rename a record that is not believed, and its log, beside where they are; nothing is lost.

    Returns the record's new path. Raises OSError where the directory cannot be changed.
    """
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}{SET_ASIDE}{when}")
    while os.path.lexists(aside):
        aside = aside.with_name(aside.name + "x")
    path.rename(aside)
    log = log_of(path)
    if log.exists():
        log.rename(log.with_name(log.name + aside.name.removeprefix(path.name)))
    return aside


def records_aside(runs: Path) -> set[Path]:
    """Paths of the records under `runs` that were set aside and not measured again since."""
    aside = runs.glob(f"*/rep*.json{SET_ASIDE}*")
    paths = {path.with_name(path.name.partition(SET_ASIDE)[0]) for path in aside}
    return {path for path in paths if not path.exists()}
