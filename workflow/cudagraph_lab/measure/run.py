"""Run one arm once in a fresh process and write its record.

This side runs in the pipeline's environment: it holds the device, starts the
harness in vLLM's environment, watches it, and turns what comes back into a
record. A failed arm becomes a record too; only faults of the machinery (no
environment, a device in use, a foreign record) are errors.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import ValidationError

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.model import Config
from cudagraph_lab.design.runs import request_of_run
from cudagraph_lab.engine.environment import cache_directory, exclusive, lock_file, vllm_python
from cudagraph_lab.engine.profile_trace import StepProfile, read_trace, summarise_decode_steps
from cudagraph_lab.engine.startup_log import read_startup_log
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.files import sha256_of
from cudagraph_lab.measure.machine import describe, gpus
from cudagraph_lab.records.record import (
    NotBelievedError,
    Record,
    Request,
    conflict,
    read_record,
    write_record,
)

HARNESS = REPOSITORY / "workflow" / "harness"
PARENT = "CUDAGRAPH_LAB_PARENT"  # as in harness/lineage.py
FOREIGN_PROCESS_EXIT = 3  # as in harness/run.py
NO_RESULT_EXIT = 4  # as in harness/run.py
# Ended by one of these, and not by the kernel for want of memory, a run was stopped by
# somebody: that says nothing of the arm.
STOPPED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
PROFILE_TOKENS = 12
LOG_TAIL_LINES = 15
QUOTED_LINES = 5
LONGEST_LINE_BYTES = 1 << 16
WATCH_INTERVAL_S = 0.5

# Snakemake sets these to the rule's threads over the caller's wish; a measurement
# leaves them to vLLM, and records what came of it.
THREAD_VARIABLES = {
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
}
# VLLM_API_KEY and its like are nobody's business; records get published.
RECORDED_VARIABLES = re.compile(
    r"^(?!.*_(KEY|TOKEN|SECRET|PASSWORD)$)"
    r"(VLLM_|CUDA_|NCCL_|OMP_|KMP_|MKL_|TORCH|TRITON_|LD_PRELOAD$)"
)


@dataclass(frozen=True)
class Outcome:
    """How the harness process ended."""

    returncode: int
    timed_out: bool
    tail: list[str]
    out_of_memory: bool = False  # the kernel ended some process for want of memory meanwhile


def measure(
    config: Config,
    platform: str,
    dataset: str,
    arm: str,
    repeat: int,
    weights: Mapping[str, Any],
    output: Path,
) -> Record:
    """Measure one repeat of one arm and write its record, with the log beside it.

    `config` is the completed configuration, `weights` what choose_weights decided.
    Raises LabError for faults that are not the arm's.
    """
    request = request_of_run(config, platform, arm, repeat, weights)
    hardware = describe(platform)
    lock = described_lock(lock_file(config.vllm_python, platform))
    here = {"device": hardware["device"], "driver": hardware.get("driver"), "lock": lock}
    refuse_other_request(output, dataset, Request.model_validate(request), here)
    if not Path(weights["path"]).exists():
        raise LabError(
            f"{weights['path']}: the weights of data set {dataset!r} are no longer there; put them "
            f"back, or remove results/{dataset}/weights.json to choose anew"
        )
    python = vllm_python(config.vllm_python, config.cache_dir, platform)
    cache = cache_directory(config.cache_dir)

    name = f"{arm} rep {repeat}"
    waiting = f"{name}: another measurement holds the device; waiting for it"
    with ExitStack() as locked:
        descriptors = [
            locked.enter_context(exclusive(path, waiting)) for path in device_locks(platform)
        ]
        if output.exists():
            # Who held the device was at this very run, left by an interrupted workflow.
            return read_record(output, dataset)
        clear_unfinished(output)
        work = work_directory(output)
        (work / "traces").mkdir(parents=True)
        compile_cache = compile_cache_directory(cache, dataset)
        if request["compile_cache"] == "cold":
            compile_cache = work / "compile"
        job = {
            "request": request,
            "platform": platform,
            "model_path": weights["path"],
            "trace_dir": str((work / "traces").absolute()),
            "profile_tokens": PROFILE_TOKENS,
        }
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        environment = measurement_environment(os.environ, compile_cache)
        hidden = {
            str(REPOSITORY): "<repository>",
            str(python.parent.parent): "<environment>",
            str(cache): "<cache>",
            str(output.parent.absolute()): "<runs>",
            str(Path.home()): "~",
        }
        log = output.with_suffix(".log")
        measured_at = datetime.now(UTC).isoformat(timespec="seconds")
        outcome = run_harness(
            [str(python), str(HARNESS / "run.py"), str(work / "job.json"), str(work / "raw.json")],
            environment,
            descriptors,
            log,
            hidden,
            name,
            config.timeout_s,
        )
        said = outcome.tail[-1] if outcome.tail else "no message"
        if outcome.returncode == FOREIGN_PROCESS_EXIT:
            raise LabError(f"{name}: {said}; wait for them to end or end them, then run again")
        if outcome.returncode == NO_RESULT_EXIT:
            raise LabError(
                f"{name}: the result could not be written ({said}); mend that and run again"
            )
        raw: dict[str, Any] = {"cells": [], "conditions": [], "failure": None}
        finished = (work / "raw.json").exists()
        stopped = outcome.returncode in STOPPED and not outcome.timed_out
        if stopped and not finished and not outcome.out_of_memory:
            how = signal.Signals(-outcome.returncode).name
            raise LabError(
                f"{name}: vLLM's process was ended from outside ({how}), not by the kernel for "
                "want of memory; nothing is recorded, run again, with more memory where that is "
                "limited"
            )
        if finished:
            raw = read_result(work / "raw.json")
        if raw["failure"] and "unexpected keyword argument" in raw["failure"]["reason"]:
            raise LabError(
                f"config: arms.{arm}.engine_args: vLLM refuses them ({raw['failure']['reason']}); "
                "spell them as vLLM does"
            )
        failure = None
        if not finished or raw["failure"]:
            failure = explain_failure(raw["failure"], outcome, config.timeout_s)
            raw["cells"] = []
        startup = raw.get("startup")
        if startup is not None:
            startup["log"] = read_startup_log(log).model_dump()
            startup["compile_cache_was"] = compile_cache_state(log)
        profile = None
        if request["purpose"] == "profile" and failure is None:
            profile = summarise_traces(work / "traces", request["workload"]["batch_sizes"])
        variables = {k: v for k, v in sorted(environment.items()) if RECORDED_VARIABLES.match(k)}
        try:
            record = Record.model_validate(
                {
                    "dataset": dataset,
                    "arm": arm,
                    "repeat": repeat,
                    "kind": "measured",
                    "status": "failed" if failure else "ok",
                    "source": "rule measure",
                    "measured_at": measured_at,
                    "request": request,
                    "resolved": raw.get("resolved"),
                    "startup": startup,
                    "cells": raw["cells"],
                    "profile": profile,
                    "environment": {
                        "vllm": None,
                        **hardware,
                        **raw.get("environment", {}),
                        "variables": {k: hide(v, hidden) for k, v in variables.items()},
                        "lock": lock,
                        "commit": commit(),
                        "host": sha256(os.uname().nodename.encode()).hexdigest()[:8],
                    },
                    "conditions": raw["conditions"],
                    "failure": failure,
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise LabError(
                f"{output}: what was measured is not believed ({where}: {first['msg']}); "
                f"the log is {log}"
            ) from None
        write_record(record, output)
        shutil.rmtree(work, ignore_errors=True)
        if failure:
            say(f"{name}: FAILED ({failure['kind']}): {failure['reason']}")
            for line in failure["log_tail"][-QUOTED_LINES:]:
                say(f"{name}: | {line}")
        return record


def described_lock(lock: Path | None) -> str:
    """What a record says of the lock that vLLM's environment was built from."""
    return f"{lock.name} sha256:{sha256_of(lock)}" if lock else "taken as it was"


def clear_unfinished(output: Path) -> None:
    """Remove what an interrupted measurement of this record left beside it.

    Only for the holder of the device's lock: nobody else is at this run then.
    """
    shutil.rmtree(work_directory(output), ignore_errors=True)
    for temporary in output.parent.glob(f".{output.name}.*"):
        temporary.unlink(missing_ok=True)


def work_directory(output: Path) -> Path:
    """Where a measurement keeps what is not its record yet."""
    return output.parent / f".{output.stem}.work"


def read_result(path: Path) -> dict[str, Any]:
    """What the harness wrote; raises LabError where it is not whole."""
    try:
        raw = json.loads(path.read_bytes())
        whole = {"cells", "conditions", "failure"} <= raw.keys()
    except (ValueError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise LabError(f"{path}: the harness left no whole result; run again")
    return dict(raw)


def refuse_other_request(
    output: Path, dataset: str, request: Request, here: Mapping[str, str | None]
) -> None:
    """Refuse to add a run to a data set that was measured under other conditions.

    `here` holds fields of the environment that are known before the run (device, driver,
    lock). Looks at one run of each arm, so that it takes no time.
    """
    by_arm: dict[Path, list[Path]] = {}
    others = sorted(output.parent.parent.glob("*/rep*.json"))
    # Its own arm first, which has the most to agree in.
    for path in sorted(others, key=lambda path: path.parent != output.parent):
        if path != output:
            by_arm.setdefault(path.parent, []).append(path)
    seen = [first_believed(paths, dataset) for paths in by_arm.values()]
    believed = [known for known, _ in seen if known]
    refused = [error for _, error in seen if error]
    if refused and not believed:
        # Not one of them is believed: no damage to a file, but something of a person's making.
        raise refused[0]
    for sibling, known in believed:
        found = conflict(request, known.request, same_arm=sibling.parent == output.parent)
        for name, now in here.items():
            then = getattr(known.environment, name)
            if found is None and None not in (now, then) and now != then:
                found = (name, now, then)
        if found:
            name, now, then = found
            raise LabError(
                f"{sibling}: measured with {name} {then!r}, asked now is {now!r}; "
                "set `dataset` to a new name in the configuration, or put the old value back"
            )


def first_believed(
    paths: list[Path], dataset: str
) -> tuple[tuple[Path, Record] | None, NotBelievedError | None]:
    """The first of these records that is believed, and why the one before it is not."""
    refused = None
    for path in paths:
        try:
            return (path, read_record(path, dataset)), refused
        except NotBelievedError as error:
            refused = error
    return None, refused


def measurement_environment(base: Mapping[str, str], compile_cache: Path) -> dict[str, str]:
    """Environment of the harness: no thread limits, no network, caches where we want them."""
    kept = {key: value for key, value in base.items() if key not in THREAD_VARIABLES}
    kept.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    harness = str(HARNESS)
    inherited = kept.get("PYTHONPATH")
    return kept | {
        "PYTHONPATH": f"{harness}:{inherited}" if inherited else harness,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as NVML counts, so that both name the same device
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_CACHE_ROOT": str(compile_cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(compile_cache / "inductor"),
        "TRITON_CACHE_DIR": str(compile_cache / "triton"),
    }


def device_locks(platform: str) -> list[Path]:
    """Locks of all devices that a measurement can see: two never share one.

    A GPU is known by its own id wherever it is seen from, so that jobs on two GPUs of one
    machine run at once. A CPU is the machine's, and so is a GPU without an id. The order is
    the same for everyone, so that no two wait for each other. The locks stay in the user's
    own cache wherever `cache_dir` is: another directory is no other device.
    """
    machine = os.uname().nodename
    names = {f"{machine}-{platform}"}
    if platform == "cuda":
        ids = [gpu["device_id"] for gpu in gpus()]
        names = {f"cuda-{i}" if i else f"{machine}-cuda" for i in ids}
    return [cache_directory("auto") / "locks" / f"{name}.lock" for name in sorted(names)]


def compile_cache_directory(cache: Path, dataset: str) -> Path:
    """Where vLLM keeps what it compiled for a data set, from run to run."""
    return cache / "compile" / dataset


def hide(text: str, hidden: Mapping[str, str]) -> str:
    """Replace this machine's directories by what they stand for; data sets get published."""
    for directory, word in hidden.items():
        # A container's home, and the prefix of /bin/python, can be the root of all paths.
        if directory != "/":
            text = text.replace(directory, word)
    return text


def run_harness(
    command: list[str],
    environment: Mapping[str, str],
    lock_descriptors: Sequence[int],
    log: Path,
    hidden: Mapping[str, str],
    name: str,
    timeout_s: float,
) -> Outcome:
    """Run the harness to its end, log its output, show progress, leave no process behind."""
    reader, writer = os.pipe()
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=400)
    process = subprocess.Popen(
        [*command, str(writer)],
        env={**environment, PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(writer, *lock_descriptors),
        start_new_session=True,
    )
    os.close(writer)

    unwritten: list[OSError] = []

    def keep_log() -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe, see above
        stream = process.stdout
        try:
            with log.open("w", encoding="utf-8") as kept:
                for line in iter(lambda: stream.readline(LONGEST_LINE_BYTES), b""):
                    text = hide(line.decode("utf-8", errors="replace"), hidden)
                    tail.append(text.rstrip())
                    kept.write(text)
                    kept.flush()
        except OSError as error:
            unwritten.append(error)

    def show_progress() -> None:
        with os.fdopen(reader, encoding="utf-8") as stream:
            for line in stream:
                message = progress_message(json.loads(line))
                if message:
                    say(f"{name}: {message}")

    threads = [threading.Thread(target=work, daemon=True) for work in (keep_log, show_progress)]
    for thread in threads:
        thread.start()
    ancestors = workflow_ancestors()
    killed_before = memory_kills()
    deadline = time.monotonic() + timeout_s
    timed_out = False
    try:
        while process.poll() is None:
            time.sleep(WATCH_INTERVAL_S)
            if unwritten:
                break
            if not all(lives(ancestor) for ancestor in ancestors):
                raise LabError(f"{name}: the workflow that asked for this run is gone; stopped")
            if time.monotonic() > deadline:
                timed_out = True
                break
    finally:
        end_group(process)
        for thread in threads:
            thread.join(timeout=5)
    if unwritten:
        raise LabError(f"{log}: {unwritten[0].strerror}; mend that and run again")
    return Outcome(process.returncode, timed_out, list(tail), memory_kills() > killed_before)


def memory_kills() -> int:
    """How many processes the kernel of this machine has ended so far for want of memory."""
    for line in Path("/proc/vmstat").read_text(encoding="utf-8").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def workflow_ancestors() -> list[psutil.Process]:
    """The processes above this one up to Snakemake: when one is gone, nobody waits for us."""
    parents: list[psutil.Process] = psutil.Process().parents()
    for position, parent in enumerate(parents):
        try:
            if any("snakemake" in Path(part).name for part in parent.cmdline()[:3]):
                return parents[: position + 1]
        except psutil.Error:
            continue
    return parents[:1]


def lives(process: psutil.Process) -> bool:
    """Whether a process still runs; one that ended and was not collected does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the harness and all that it started, and wait until they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.1)


def progress_message(event: Mapping[str, Any]) -> str | None:
    """One line for a person, or None."""
    match event["event"]:
        case "import":
            return "starting"
        case "boot":
            return "booting vLLM"
        case "profile":
            return f"batch {event['batch']}: profiling, not timed"
        case "call":
            return (
                f"batch {event['batch']}: {event['role']} call {event['index']} of {event['of']}, "
                f"{event['tokens_per_s']:.1f} tok/s"
            )
    return None


FailureKind = Literal["out_of_memory", "boot", "generate", "timeout", "killed", "not_supported"]
ROOT_CAUSE = re.compile(r"((?:\w+\.)*\w*(?:Error|Exception)): (.+)")
SYMPTOMS = ("Engine core initialization failed", "EngineCore encountered an issue")


def explain_failure(
    failure: Mapping[str, str] | None, outcome: Outcome, timeout_s: float
) -> dict[str, Any]:
    """Why a run has no numbers: the root cause in the log before its symptom above it."""
    causes = [
        match.group(0)
        for line in outcome.tail
        if (match := ROOT_CAUSE.search(line)) and not any(s in line for s in SYMPTOMS)
    ]
    kind: FailureKind
    if outcome.timed_out:
        kind, reason = "timeout", f"took longer than timeout_s ({timeout_s:g} s) and was ended"
    elif failure is None:
        kind, reason = "killed", f"the process ended with {outcome.returncode} and no result"
        if outcome.returncode == -signal.SIGKILL:
            reason += "; if memory is limited here, that is how too little of it looks"
    else:
        kind = "boot" if failure["stage"] == "boot" else "generate"
        reason = causes[-1] if causes else failure["reason"]
    said_so = any("out of memory" in line.lower() or "OutOfMemory" in line for line in outcome.tail)
    if said_so or (kind == "killed" and outcome.out_of_memory):
        kind = "out_of_memory" if kind != "timeout" else kind
    elif "not support" in reason.lower():
        kind = "not_supported"
    return {"kind": kind, "reason": reason[:500], "log_tail": outcome.tail[-LOG_TAIL_LINES:]}


def compile_cache_state(log: Path) -> Literal["cold", "warm"] | None:
    """Whether torch.compile found its work done; None where nothing was compiled.

    By vLLM's own words: a graph that is compiled is named, one that is loaded too.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    if "Compiling a graph for compile range" in text or "saved AOT compiled function" in text:
        return "cold"
    if "Directly load" in text:
        return "warm"
    return None


def summarise_traces(directory: Path, batches: list[int]) -> list[dict[str, Any]]:
    """One summary per batch size from the traces that the harness left, named by batch."""
    summaries: list[StepProfile] = []
    for batch in batches:
        for path in sorted(directory.glob(f"b{batch}-*.json")):
            summary = summarise_decode_steps(read_trace(path), batch)
            if summary is not None:
                summaries.append(summary)
    return [summary.model_dump() for summary in summaries]


def commit() -> str | None:
    """The commit of this repository, with `+changes` where the tree differs from it."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True
            )
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
