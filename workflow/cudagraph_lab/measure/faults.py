"""What a run that ended early comes to: an error that records nothing, or words in the terminal."""

import signal
from typing import Any

from cudagraph_lab.design.job import ArmJob, Job
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.measure.conduct import Taken
from cudagraph_lab.measure.failures import (
    STOPPED,
    Outcome,
    explain_failure,
    is_result,
    mistake,
)
from cudagraph_lab.protocol import FOREIGN_PROCESS_EXIT
from cudagraph_lab.records.record import Failure
from cudagraph_lab.records.store import stays

QUOTED_LINES = 5


def refuse_fault(job: Job, member: ArmJob, taken: Taken, outcome: Outcome) -> None:
    """Raise LabError where a run ended for a reason that is not the arm's."""
    name = f"{member.arm} rep {job.repeat}"
    if outcome.returncode == FOREIGN_PROCESS_EXIT:
        said = outcome.tail[-1] if outcome.tail else "no message"
        raise LabError(f"{name}: {said}; wait for them to end or end them, then run again")
    if outcome.unreadable:
        raise LabError(f"{name}: the harness left no whole answer; run again")
    if taken.alive:
        return
    by_itself = taken.failed or outcome.timed_out or outcome.out_of_memory
    if not by_itself and outcome.returncode in STOPPED:
        how = signal.Signals(-outcome.returncode).name
        raise LabError(
            f"{name}: vLLM's process was ended from outside ({how}), not by the kernel for "
            "want of memory; nothing is recorded, run again, with more memory where that is "
            "limited"
        )
    failure = explained(job, member, taken, outcome)
    if not is_result(failure["kind"], taken.stage):
        log = str(member.output.with_suffix(".log"))
        raise LabError(mistake(name, member.arm, taken.stage, failure["reason"], log))


def explained(job: Job, member: ArmJob, taken: Taken, outcome: Outcome) -> dict[str, Any]:
    """Why an arm ended early, as its record would say it."""
    with member.output.with_suffix(".log").open(encoding="utf-8", errors="replace") as log:
        return explain_failure(taken.failed, outcome, taken.stage, job.timeout_s, log)


def say_failure(job: Job, member: ArmJob, failure: Failure) -> None:
    """Say of a failure that is recorded why it came, that it stays, and how to try again."""
    name = f"{member.arm} rep {job.repeat}"
    say(f"{name}: FAILED ({failure.kind}): {failure.reason}")
    for line in failure.log_tail[-QUOTED_LINES:]:
        say(f"{name}: | {line}")
    say(f"{name}: {stays(member.output)}; the log is {member.output.with_suffix('.log')}")
