"""Why a run has no numbers: how its process ended, and the root cause in its log."""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cudagraph_lab.protocol import FailureKind

LOG_TAIL_LINES = 15
# Ended by one of these, and not by the kernel for want of memory, a run was stopped by
# somebody: that says nothing of the arm.
STOPPED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}


@dataclass(frozen=True)
class Outcome:
    """How the harness process ended."""

    returncode: int
    timed_out: bool
    tail: list[str]
    unreadable: bool = False  # an answer of the harness was not whole
    out_of_memory: bool = False  # the kernel ended some process for want of memory meanwhile


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
