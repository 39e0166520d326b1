"""What a server's log says of its steps: the tables and lines that vLLM prints while it serves.

- `--cudagraph-metrics` prints a `CUDAGraph Stats` table for each window of ten seconds: unpadded
  and padded tokens, mode, count. Windows add up.
- `VLLM_LOG_BATCHSIZE_INTERVAL` prints lines `Batchsize forward time stats (batchsize, count,
  median_time(ms)): [...]` (formerly `Batchsize distribution (batchsize, count): [...]`). They count
  from the start of the process, so that the last line of a process holds all before it, and they
  count tokens after padding. A size that ran once is left out of them.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cudagraph_lab.engine.log_lines import LONGEST_LINE, Speaker, said_in
from cudagraph_lab.errors import LabError

_HINTS = ("CUDAGraph", "CUDA Graph", "|", "Capture sizes", "Mode:", "Batchsize ", "Running: ")
_TABLE = re.compile(r"CUDA ?Graph Stats", re.IGNORECASE)
_SETTINGS = re.compile(r"CUDA ?Graph Config", re.IGNORECASE)
_ROW = re.compile(
    r"\|\s*(\d{1,12})\s*\|\s*(\d{1,12})\s*\|\s*\d{1,12}\s*\|\s*(?:CUDAGraphMode\.)?([A-Z_]{1,40})"
    r"\s*\|\s*(\d{1,15})\s*\|",
    re.ASCII,
)
_SIZES = re.compile(r"Capture sizes:\s*\[([\d,\s]*)\]", re.ASCII)
_MODE = re.compile(r"- \W{0,4}Mode:\W{0,4}\s*(?:CUDAGraphMode\.)?([A-Z_]{1,40})", re.ASCII)
_RUNNING = re.compile(r"Running: (\d{1,9}) reqs", re.ASCII)
_BATCHES = re.compile(
    r"Batchsize (?:forward time stats|distribution) \([^()]*(?:\(ms\))?\): \[([^\]]*)", re.ASCII
)
_PAIR = re.compile(r"\((\d{1,12}), (\d{1,15})(?:, [\d.eE+-]{1,30})?\)", re.ASCII)


# (unpadded tokens, padded tokens, mode) to a count.
Steps = dict[tuple[int, int, str | None], int]


@dataclass(frozen=True)
class StepLog:
    """The steps that a log counts, in tokens per step.

    `steps` maps (unpadded tokens, padded tokens, mode) to a count; from `Batchsize` lines the
    mode is None, and both numbers are what the line says, which is after padding. `sizes` and
    `mode` are the engine's settings as the table repeats them, `running` the most requests
    that ran at a time as far as the log says.
    """

    kind: Literal["table", "batchsize"]
    steps: Steps
    tables: int
    sizes: tuple[int, ...] | None
    mode: str | None
    running: int | None


def read_step_log(path: Path) -> StepLog:
    """Read the steps that a server's log counts, plain or (by its name, `.gz`) compressed.

    Raises LabError where the file cannot be read and where it counts no step.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            found = parse_step_log(
                line[:LONGEST_LINE].decode("utf-8", "replace") for line in stream
            )
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"log {path}: {reason}; name a readable log file") from error
    if found is None:
        raise LabError(
            f"{path}: no `CUDAGraph Stats` table and no `Batchsize` line in it: start vLLM with "
            "--cudagraph-metrics, or with VLLM_LOG_BATCHSIZE_INTERVAL=10 (the V2 model runner "
            "prints no such table before vLLM's pull request 52358)"
        )
    return found


def parse_step_log(lines: Iterable[str]) -> StepLog | None:
    """The steps counted in the lines of a log; None where none is. Tables count before lines."""
    seen = _Seen()
    before = ""
    for speaker, stamp, text in _texts(lines):
        # Ray prints lines twice.
        _note(seen, speaker, text, repeated=stamp + text == before)
        if text:
            before = stamp + text
    if seen.table:
        return StepLog("table", dict(seen.table), seen.tables, seen.sizes, seen.mode, seen.running)
    if any(seen.last.values()):
        return StepLog("batchsize", _steps(seen.last), 0, seen.sizes, seen.mode, seen.running)
    return None


@dataclass
class _Seen:
    """What the lines of a log stated so far."""

    table: Counter[tuple[int, int, str | None]] = field(default_factory=Counter)
    tables: int = 0
    in_table: bool = False
    last: dict[Speaker, dict[int, int]] = field(default_factory=dict)
    sizes: tuple[int, ...] | None = None
    mode: str | None = None
    running: int | None = None


def _note(seen: _Seen, speaker: Speaker, text: str, repeated: bool) -> None:
    """Note what one line states; a row of a table and its heading count once."""
    if found := _RUNNING.search(text):
        seen.running = max(seen.running or 0, int(found[1]))
    if _SETTINGS.search(text):
        seen.in_table = False
    elif _TABLE.search(text):
        seen.tables += not repeated
        seen.in_table = True
    elif found := _SIZES.search(text):
        seen.sizes = tuple(sorted({int(one) for one in re.findall(r"\d+", found[1])})) or seen.sizes
    elif not seen.in_table and (found := _MODE.search(text)):
        seen.mode = found[1]
    elif seen.in_table and (found := _ROW.search(text)):
        if not repeated:
            seen.table[int(found[1]), int(found[2]), found[3]] += int(found[4])
    elif found := _BATCHES.search(text):
        counts = {int(size): int(count) for size, count in _PAIR.findall(found[1])}
        seen.last[speaker] = {size: count for size, count in counts.items() if size}


def _steps(last: dict[Speaker, dict[int, int]]) -> Steps:
    """Steps by size over all engines, from the last counts of each process."""
    # The workers of one engine count the same steps: one of them stands for all.
    engines: dict[tuple[str | None, str | None, str | None], dict[int, int]] = {}
    for who, counts in sorted(last.items(), key=lambda one: one[0].process or ""):
        engines.setdefault((who.place, who.engine, who.engine_pid), counts)
    batches = sum((Counter(counts) for counts in engines.values()), Counter[int]())
    return {(size, size, None): n for size, n in batches.items()}


def _texts(lines: Iterable[str]) -> Iterator[tuple[Speaker, str, str]]:
    for line in lines:
        if any(hint in line for hint in _HINTS):
            for part in line.replace("\r", "\n").split("\n"):
                pieces = list(said_in(part))
                # Text outside of a message is its prefix, unless the line has no message.
                messages = [one for one in pieces if one.is_message] or pieces
                for said in messages:
                    yield said.speaker, said.stamp, said.text.strip()
