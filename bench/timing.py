"""Commands timed side by side: whole processes, in turn, each in the same fresh state."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# As a user has them: what is compiled once is kept, and nobody's colours are in the output.
UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "FORCE_COLOR", "MAKEFLAGS", "MAKELEVEL", "ARGS")


@dataclass(frozen=True)
class Run:
    """One command: wall time, processor time of all its processes, memory of the largest."""

    seconds: float
    cpu_s: float
    peak_mib: float


def run(command: Sequence[object], cwd: Path, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command of strings and paths; a failed one ends the bench with what it said last."""
    kept = {key: value for key, value in os.environ.items() if key not in UNSET}
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**kept, **(environment or {})},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            tail = said.read().decode(errors="replace")[-2000:]
            sys.exit(f"{' '.join(map(str, command))}: ended with {process.returncode}\n{tail}")
    # Linux gives kilobytes, and for a process with children the largest of them.
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def alternate(sides: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run all sides once unseen, then `rounds` times, every other time in reverse order."""
    for side in sides.values():
        side()
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for k in range(rounds):
        for name in in_turn(list(sides), k):
            runs[name].append(sides[name]())
    return runs


def in_turn(names: Sequence[str], k: int) -> list[str]:
    """The order of round `k`: as given, then reversed, and so on, so that drift falls on all."""
    return list(names) if k % 2 == 0 else list(reversed(names))


def ratios(numerator: Sequence[Run], denominator: Sequence[Run]) -> list[float]:
    """Wall time over wall time, round by round."""
    return [a.seconds / b.seconds for a, b in zip(numerator, denominator, strict=True)]
