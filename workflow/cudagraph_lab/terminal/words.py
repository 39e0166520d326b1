"""From what Snakemake and its jobs say to what a person reads; pure functions."""

import re
from collections.abc import Sequence

from cudagraph_lab.errors import printable

# What a measurement says of its progress; all else that it says is to stay on the screen.
_PROGRESS = re.compile(
    r"(?P<run>\S+ rep \d+|repeat \d+): "
    r"(?P<what>starting.*|booting vLLM.*|round \d+ of .*|batch \d+: \w+ call, .*"
    r"|.*batch \d+: profiling.*)"
)
# What the build of vLLM's environment and uv in it say, hundreds of lines: each moves.
_BUILDING = re.compile(
    r"(building vLLM's environment|Using Python|Resolved|Downloading| ?Downloaded|Prepared"
    r"|Installed|Bytecode compiled| [+]) .*"
)
# Snakemake's own words around the cause of an error, which stand in the log.
_HEADING = re.compile(r'\w*(Error|Exception)( in [^\n]*)?( in file "[^"\n]*", line \d+)?:\s*')
_FRAME = re.compile(r'  File "[^"\n]*", line \d+, in .*')
_AT_WORK = (
    "another `make lab` or `make report` is at work in this directory; wait until it ends, "
    "or stop it with Ctrl-C"
)
# A shell command that failed: the job has said why, or its log is named.
_COMMAND_FAILED = re.compile(r"Command '.*' (returned non-zero exit status|died with)", re.DOTALL)
_NOT_ALL_DONE = ("At least one job did not complete", "Exiting because a job execution failed")
MISTAKE = "cudagraph-lab: "
INTERRUPTED = f"{MISTAKE}interrupted"


def progress_of(line: str) -> tuple[str, str] | None:
    """(run, what it does) of a line in which a measurement tells its progress; None of others."""
    found = _PROGRESS.fullmatch(line)
    return (found["run"], found["what"]) if found else None


def building(line: str) -> bool:
    """Whether a line tells how far the build of vLLM's environment is."""
    return _BUILDING.fullmatch(line) is not None


def error_lines(message: str, exception: str | None) -> list[str]:
    """The lines of a logged error that say what is wrong and what to do.

    `exception` is the name of its class. Empty where what went wrong was said before, by the job.
    """
    if exception == "LockException":
        return [f"{MISTAKE}{_AT_WORK}"]
    if _COMMAND_FAILED.search(message):
        return []
    lines = [line for line in message.splitlines() if line.strip() and not _FRAME.fullmatch(line)]
    if lines:
        lines[0] = _HEADING.sub("", lines[0], count=1)
    kept = [printable(line.strip()) for line in lines if line.strip()]
    return [line for line in kept if not line.startswith(_NOT_ALL_DONE)]


def of_any_repeat(mistake: str) -> str:
    """A mistake without the number of the repeat that met it."""
    return re.sub(r"\b(rep(?:eat)? ?)\d+\b", r"\1", mistake)


def minutes(seconds: float) -> str:
    """A duration as a person says it: whole minutes, or seconds below one and a half."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def moving_line(run: str, what: str, done: int, total: int, left_s: float | None) -> str:
    """What is measured now, how far all of it is, and how long the rest takes if that is known."""
    left = f", ~{minutes(left_s)} left" if left_s is not None else ""
    # In turn a repeat is one job for all arms, and its number is how far all of it is.
    in_turn = run.startswith("repeat ")
    unit, name = ("repeat", "") if in_turn else ("run", f"{run}: ")
    return f"{unit} {min(done + 1, total)} of {total}{left} - {name}{what}"


def stopped(kept: int, planned: int) -> str:
    """The line after Ctrl-C."""
    if not planned:
        return "stopped; nothing half-done is kept, the same command goes on"
    return f"stopped; {kept} of {planned} runs kept; `make lab` goes on"


def kept_beside_failure(kept: int, planned: int) -> str:
    """The line after what went wrong: what was measured beside it, and how to go on."""
    return f"{kept} of {planned} runs kept; `make lab` goes on with the rest"


def wrapped(text: str, width: int, indent: str = "") -> Sequence[str]:
    """Lines of at most `width` characters, the later ones indented."""
    import textwrap

    return textwrap.wrap(
        text,
        max(width, 40),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
