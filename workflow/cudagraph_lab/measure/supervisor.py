"""The processes of one job: a harness per arm, started, asked, watched and ended together."""

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from cudagraph_lab.errors import LabError
from cudagraph_lab.measure.failures import Outcome
from cudagraph_lab.measure.redaction import hide
from cudagraph_lab.protocol import PARENT, send

LONGEST_LINE_BYTES = 1 << 16
WATCH_INTERVAL_S = 0.5
PATIENCE_S = 10.0  # for a harness to end after `quit`


@dataclass
class Harness:
    """The harness of one arm: its process, its pipes, and the end of its log."""

    name: str
    process: subprocess.Popen[bytes]
    commands: IO[str]
    log: Path
    memory_kills_before: int
    answers: "queue.SimpleQueue[dict[str, Any] | None]" = field(default_factory=queue.SimpleQueue)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=400))
    unwritten: list[OSError] = field(default_factory=list)  # the log could not be written
    threads: list[threading.Thread] = field(default_factory=list)
    timed_out: bool = False
    unreadable: bool = False
    checked_s: float = 0.0  # when it was last looked whether the workflow lives


def start_harness(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    lock_descriptors: Sequence[int],
    log: Path,
    hidden: Mapping[str, str],
) -> Harness:
    """Start a harness in a session of its own; its output goes to `log`, its answers to a queue.

    The end of the answers is None. `lock_descriptors` keep the device locked while it lives.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    commands_read, commands_write = os.pipe()
    answers_read, answers_write = os.pipe()
    process = subprocess.Popen(
        [*command, str(commands_read), str(answers_write)],
        env={**environment, PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(commands_read, answers_write, *lock_descriptors),
        start_new_session=True,
    )
    os.close(commands_read)
    os.close(answers_write)
    harness = Harness(name, process, os.fdopen(commands_write, "w"), log, memory_kills())
    harness.threads = [
        threading.Thread(target=_keep_log, args=(harness, hidden), daemon=True),
        threading.Thread(target=_read_answers, args=(harness, answers_read), daemon=True),
    ]
    for thread in harness.threads:
        thread.start()
    return harness


def _keep_log(harness: Harness, hidden: Mapping[str, str]) -> None:
    stream = harness.process.stdout
    assert stream is not None  # noqa: S101 - it is a pipe, see start_harness
    try:
        with harness.log.open("w", encoding="utf-8") as kept:
            for line in iter(lambda: stream.readline(LONGEST_LINE_BYTES), b""):
                text = hide(line.decode("utf-8", errors="replace"), hidden)
                harness.tail.append(text.rstrip())
                kept.write(text)
                kept.flush()
    except OSError as error:
        harness.unwritten.append(error)


def _read_answers(harness: Harness, descriptor: int) -> None:
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                answer = json.loads(line)
            except (ValueError, RecursionError):
                answer = None
            if not isinstance(answer, dict) or "event" not in answer:
                harness.unreadable = True
                break
            harness.answers.put(answer)
    harness.answers.put(None)


def ask(harness: Harness, message: dict[str, Any]) -> None:
    """Send a command; a harness that is gone is noticed by the answer that does not come."""
    with suppress(OSError):
        send(harness.commands, message)


def await_answer(
    harness: Harness, deadline: float, check: Callable[[], None]
) -> dict[str, Any] | None:
    """The next answer; None where the harness ended, or was ended at the deadline.

    `deadline` is a time of time.monotonic(). `check` is called meanwhile and may raise.
    """
    # Also where answers come quickly, and no wait for one ever ends.
    if time.monotonic() - harness.checked_s > WATCH_INTERVAL_S:
        harness.checked_s = time.monotonic()
        check()
    while True:
        with suppress(queue.Empty):
            return harness.answers.get(timeout=WATCH_INTERVAL_S)
        check()
        if harness.unwritten:
            error = harness.unwritten[0]
            raise LabError(f"{harness.log}: {error.strerror}; mend that and run again")
        if harness.process.poll() is not None and harness.answers.empty():
            return None
        if time.monotonic() > deadline:
            harness.timed_out = True
            end_group(harness.process)
            return None


def end(harness: Harness) -> Outcome:
    """End a harness with all that it started, gently where it listens; how it ended."""
    ask(harness, {"do": "quit"})
    with suppress(OSError):
        harness.commands.close()
    with suppress(subprocess.TimeoutExpired):
        harness.process.wait(timeout=PATIENCE_S if not harness.timed_out else 0)
    end_group(harness.process)
    for thread in harness.threads:
        thread.join(timeout=5)
    if harness.unwritten:
        error = harness.unwritten[0]
        raise LabError(f"{harness.log}: {error.strerror}; mend that and run again")
    return Outcome(
        harness.process.returncode,
        harness.timed_out,
        list(harness.tail),
        harness.unreadable,
        memory_kills() > harness.memory_kills_before,
    )


def end_at_once(harnesses: Sequence[Harness]) -> None:
    """End all harnesses and all that they started, whatever they do."""
    for harness in harnesses:
        with suppress(ProcessLookupError):
            os.killpg(harness.process.pid, signal.SIGKILL)
    for harness in harnesses:
        end_group(harness.process)


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


def watch_workflow(name: str) -> Callable[[], None]:
    """A function that raises LabError once the workflow that asked for a run is gone."""
    ancestors = workflow_ancestors()

    def check() -> None:
        if not all(lives(ancestor) for ancestor in ancestors):
            raise LabError(f"{name}: the workflow that asked for this run is gone; stopped")

    return check


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
