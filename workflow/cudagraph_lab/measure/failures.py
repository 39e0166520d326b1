"""Why a run has no numbers: the root cause, and whether that is a result of its arm.

One rule for all runs. What keeps vLLM from starting (an import, an argument, a device without
support) is a mistake to correct: nothing is recorded. What the engine comes to once it is at
work is a result that is recorded and stays: out of memory, no end before `timeout_s`, and
whatever ends it after it was ready. What somebody ended is neither.
"""

import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cudagraph_lab.protocol import OWN_TRACEBACK, FailureKind, Stage

LOG_TAIL_LINES = 15
LONGEST_REASON = 500
# Of a reason that a terminal shows, where it is longer than both together.
BEGINNING, END = 120, 60
# Ended by one of these, and not by the kernel for want of memory, a run was stopped by
# somebody: that says nothing of the arm.
STOPPED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}

# vLLM 0.22.1: the process at the end of a chain refers to the trace of another one.
_POINTER = re.compile(
    r"root cause|Engine core initialization failed|EngineCore encountered an issue", re.IGNORECASE
)
# The heads under which vLLM logs the trace that ended one of its processes.
_FATAL = re.compile(r"failed to start|hit an exception|fatal error|died unexpectedly")
_LINE = re.compile(
    r"(?P<head>(?:\([^()]*\bpid=\d+\) )*"
    r"(?:(?P<level>[A-Z]{4,8}) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?)(?P<text>.*)"
)
_EXCEPTION = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt)(?:: .*)?")
_HANDLED = "During handling of the above exception"
_CHAINED = "The above exception was the direct cause"
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemory|bad_alloc", re.IGNORECASE)
_UNTOLD = re.compile(r"\s*For further information visit \S+")
# What pydantic says of a value behind its message.
_GIVEN = re.compile(r"\s*\[type=\w+, input_value=(.*?), input_type=\w+\]", re.DOTALL)


@dataclass(frozen=True)
class Outcome:
    """How the harness process ended."""

    returncode: int
    timed_out: bool
    tail: list[str]
    unreadable: bool = False  # an answer of the harness was not whole
    out_of_memory: bool = False  # the kernel ended some process for want of memory meanwhile


def root_cause(log: Iterable[str]) -> str | None:
    """The first exception of those that ended vLLM's processes, or None where the log has none.

    `log` is the lines of a run's log. Exceptions that were handled, or told as a warning, and
    those that refer to another process are passed over.
    """
    found: list[tuple[str, str]] = []
    first_fatal: int | None = None
    open_head: str | None = None  # of a logged message whose exception may go on
    for line in log:
        if line.startswith(OWN_TRACEBACK):
            break
        head, level, text = _parts(line)
        if open_head == head and text and not text.startswith((_HANDLED, _CHAINED)):
            found[-1] = (head, f"{found[-1][1]} {text.strip()}")
            continue
        open_head = None
        if level not in (None, "ERROR", "CRITICAL"):
            continue
        if first_fatal is None and _FATAL.search(text):
            first_fatal = len(found)
        if text.startswith(_HANDLED) and found and found[-1][0] == head:
            found.pop()
        elif _EXCEPTION.fullmatch(text) and not _POINTER.search(text):
            found.append((head, text))
            open_head = head if level else None
    causes = found[first_fatal or 0 :] or found
    return causes[0][1] if causes else None


def _parts(line: str) -> tuple[str, str | None, str]:
    """Who wrote a line and when, its level where a logger wrote it, and its text."""
    match = _LINE.match(line)
    assert match is not None  # noqa: S101 - every part of the pattern may be empty
    return match["head"], match["level"], match["text"].rstrip()


def explain_failure(
    failure: Mapping[str, str] | None,
    outcome: Outcome,
    stage: Stage,
    timeout_s: float,
    log: Iterable[str],
) -> dict[str, Any]:
    """Why a run has no numbers: kind, reason and the end of its log, as the record holds them.

    `failure` is the harness's last answer, None where it left none; `stage` is how far it had
    come; `log` is the lines of the run's log, where the cause is looked for if the answer only
    refers to it.
    """
    said = failure["reason"] if failure is not None else None
    direct = said if said is not None and not _POINTER.search(said) else None
    cause = direct or root_cause(log)
    kind: FailureKind
    if outcome.timed_out:
        kind, reason = "timeout", f"took longer than timeout_s ({timeout_s:g} s) and was ended"
    elif said is None:
        kind, reason = "killed", f"the process ended with {outcome.returncode} and no result"
        if cause:
            reason += f": {cause}"
        elif outcome.returncode == -signal.SIGKILL:
            reason += "; if memory is limited here, that is how too little of it looks"
    else:
        kind, reason = "generate" if stage == "generate" else "boot", cause or said
    words = cause or "\n".join(outcome.tail)
    if kind != "timeout":
        if _OUT_OF_MEMORY.search(words) or (direct is None and outcome.out_of_memory):
            kind = "out_of_memory"
        elif "not support" in reason.lower():
            kind = "not_supported"
    reason = " ".join(_GIVEN.sub(r", not \1", _UNTOLD.sub("", reason)).split())
    return {"kind": kind, "reason": reason[:LONGEST_REASON], "log_tail": log_tail(outcome.tail)}


def log_tail(tail: list[str]) -> list[str]:
    """The last lines that vLLM wrote; the harness's own trace after them is in the log alone."""
    own = (place for place, line in enumerate(tail) if line.startswith(OWN_TRACEBACK))
    return tail[: next(own, len(tail))][-LOG_TAIL_LINES:]


def is_result(kind: FailureKind, stage: Stage) -> bool:
    """Whether a failure says something of its arm, so that it is recorded and stays."""
    if stage == "boot":
        return kind in ("out_of_memory", "timeout")
    return stage == "generate"


def mistake(name: str, arm: str, stage: Stage, reason: str, log: str) -> str:
    """The one line in which a run ends that did not get to work; `log` is the path of its log."""
    if stage == "import":
        what, mend = "vLLM could not be imported", "mend that and run again"
    else:
        what = "vLLM did not start"
        mend = f"correct arms.{arm}.engine_args, or what else it names, and run again"
    return f"{name}: {what}: {_without_middle(reason)}; {mend}; the log is {log}"


def _without_middle(reason: str) -> str:
    """The beginning and the end of a long reason: a list of all values allowed fills a terminal."""
    if len(reason) <= BEGINNING + END:
        return reason
    beginning, end = reason[:BEGINNING].rpartition(" "), reason[-END:].partition(" ")
    return f"{beginning[0] or reason[:BEGINNING]} ... {end[2] or reason[-END:]}"
