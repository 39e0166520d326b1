"""Read what vLLM says about itself while an engine starts.

The wordings are those of `log_wordings`, from 0.5 to 0.33 and of both model runners. The rules:

- An engine that begins in the place of another (`Initializing a V1 LLM engine`) starts afresh:
  what is returned is of the last one, never a mixture; an engine that crashed leaves what it
  did not say null. Engines that share a log (data parallel ranks, stages, containers) give one
  result each, and lines that could be of several of them are passed over.
  The log must hold stdout and stderr in the order in which they were written.
- A capture counts once the engine has sized its KV cache. What was captured before that was
  memory profiling (V2 runner) and is forgotten.
- Several processes of one engine state the same fact. The engine's own value counts. Where only
  workers state it: the least KV cache, and the longest time with the memory of the same line.
"""

import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

from cudagraph_lab.engine.capture_bars import bars_in, note_pass
from cudagraph_lab.engine.log_engines import Boot, Statement, boot_of, live_boots, new_boot
from cudagraph_lab.engine.log_lines import Said, Speaker, may_tell, said_in, telling_lines
from cudagraph_lab.engine.log_wordings import Event, read_message
from cudagraph_lab.engine.startup_facts import EngineLog, StartupFacts, facts_of
from cudagraph_lab.errors import LabError

NOTHING = facts_of(Boot(None, None, None, 0, 0)).facts  # of a log in which nothing is recognised


def read_startup_log(path: Path) -> StartupFacts:
    """Read the facts of a log's engine, or of the first by name of several; see `read_engines`."""
    engines = read_engines(path)
    return engines[0].facts if engines else NOTHING


def read_engines(path: Path) -> list[EngineLog]:
    """Read a start-up log, plain or (by its name, `.gz`) compressed, in bounded memory.

    One result per engine, in order of their names; none where nothing is recognised.
    Bytes that are not UTF-8 (or UTF-16 with its mark) are replaced. Of a line longer than
    65,536 characters only the head is read. A compressed file that ends too soon is read as
    far as it goes.

    Raises:
        LabError: The file cannot be opened or is not what its name says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return parse_engines(telling_lines(stream))
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"start-up log {path}: {reason}; name a readable log file") from error


def parse_engines(lines: Iterable[tuple[int, str]]) -> list[EngineLog]:
    """As `read_engines`, from numbered lines that hold no line ends."""
    boots: list[Boot] = []
    now = 0
    for number, line in lines:
        if not may_tell(line):
            continue
        for said in said_in(line):
            now += 1
            if not said.is_message or said.text.startswith("Capturing CUDA graph"):
                _read_bars(boots, said, number, now)
            elif (read := read_message(said.text)) is not None:
                _note(boots, said, *read, number, now)
    found = [facts_of(boot) for boot in live_boots(boots)]
    return sorted(found, key=_by_name)


def _by_name(one: EngineLog) -> list[str]:
    """What puts DP2 before DP10."""
    return [part.zfill(9) for part in re.split(r"(\d+)", one.engine or "")]


def _read_bars(boots: list[Boot], said: Said, line: int, now: int) -> None:
    for label, shapes in bars_in(said.text):
        boot, unknown = boot_of(boots, said.speaker)
        if boot is None and unknown:
            live = live_boots(boots)
            # A bar tells little of whose it is, so it begins no engine beside another.
            boot = live[0] if len(live) == 1 else None if live else (
                new_boot(boots, said.speaker, now)
            )  # fmt: skip
        if boot is not None:
            note_pass(boot.passes, label, shapes, line, said.text.strip())


def _note(
    boots: list[Boot], said: Said, event: Event, facts: dict[str, str], line: int, now: int
) -> None:
    """Note what a logger's message states, in the boot that it belongs to."""
    again = (said.speaker.process, said.stamp, said.text)
    boot = _boot_stating(boots, said, event, again, now)
    if boot is None:
        return
    boot.place = boot.place or said.speaker.place
    boot.engine = boot.engine or said.speaker.engine
    boot.pid = boot.pid or said.speaker.engine_pid
    boot.spoke_at = now
    boot.heard.add(again)
    if event in ("estimated", "available", "sized"):
        # Whatever was captured before the KV cache had its size was a profiling run.
        boot.stated.pop("finished", None)
        boot.passes.clear()
    if event == "profiled":
        for name, shapes in _PROFILED.findall(said.text):
            boot.profiled["FULL" if name == "FULL" else "PIECEWISE"] = int(shapes)
    statement = Statement(said.speaker.process, facts, line, said.text.strip())
    boot.stated.setdefault(event, []).append(statement)


def _boot_stating(
    boots: list[Boot], said: Said, event: Event, again: tuple[str | None, str, str], now: int
) -> Boot | None:
    """The boot that a message belongs to, begun where need be; None where nothing is to be noted.

    `again` tells a message that was printed before.
    """
    boot, unknown = boot_of(boots, said.speaker)
    if event == "began":
        if boot is not None and (boot.pid is None or said.speaker.engine_pid in (None, boot.pid)):
            boot.replaced = True
        boot = new_boot(boots, said.speaker, now)
        boot.must_size = "V1" in said.text
        return boot
    if boot is None:
        return new_boot(boots, said.speaker, now) if unknown else None
    if again in boot.heard:
        return None  # Ray prints what its workers say once more
    if event in ("model", "sized") and "came_up" in boot.stated:
        # An engine that came up does not load or size again: this is the next one.
        boot.replaced = True
        return new_boot(boots, Speaker(boot.place, boot.engine, boot.pid), now)
    return boot


_PROFILED = re.compile(r"\b(PIECEWISE|FULL)=(\d{1,9}) \(largest=", re.ASCII)
