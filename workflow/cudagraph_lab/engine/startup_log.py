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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from cudagraph_lab.engine.capture_bars import Routine, bars_in, note_pass, routine_of
from cudagraph_lab.engine.log_engines import Boot, Statement, boot_of, live_boots, new_boot
from cudagraph_lab.engine.log_lines import Said, Speaker, may_tell, said_in, telling_lines
from cudagraph_lab.engine.log_wordings import BACKEND_NAMES, Event, read_message, release
from cudagraph_lab.errors import LabError


class CapturePass(BaseModel):
    """One pass of graph capture: its routine and how many shapes it captures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    routine: Routine | None
    shapes: int | None


class StartupFacts(BaseModel):
    """What one engine said as it started; null is what its log does not say.

    `compile_seconds` is the engine's own total, else the sum over its models. `passes` are in
    order of appearance, without those of a draft model. Empty `passes` beside a true
    `capture_complete` mean that the log lacks the progress bars, which vLLM writes to stderr.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    vllm_version: str | None
    attention_backend: str | None
    passes: tuple[CapturePass, ...]
    capture_seconds: float | None
    capture_gib: float | None
    estimated_gib: float | None
    compile_seconds: float | None
    init_engine_seconds: float | None
    kv_cache_tokens: int | None
    model_load_gib: float | None
    model_load_seconds: float | None
    capture_complete: bool


class Source(BaseModel):
    """The line of the log, from 1, that a fact was read from, and what stands there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    line: int
    text: str


class EngineLog(BaseModel):
    """One engine of a log: its name where it has one, its facts, and where each was read.

    `sources` maps a fact to its lines; a sum has several.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str | None
    facts: StartupFacts
    sources: dict[str, list[Source]]


def read_startup_log(path: Path) -> StartupFacts:
    """Read the facts of a log's engine, or of the first by name of several; see `read_engines`."""
    return _first(read_engines(path))


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
            return _parse(telling_lines(stream))
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"start-up log {path}: {reason}; name a readable log file") from error


def parse_startup_log(lines: Iterable[str]) -> StartupFacts:
    r"""Read the facts from the lines of a log, which may hold `\r` and `\n` themselves."""
    return _first(parse_engines(lines))


def parse_engines(lines: Iterable[str]) -> list[EngineLog]:
    r"""As `read_engines`, from lines, which may hold `\r` and `\n` themselves."""
    return _parse(
        (number, part)
        for number, line in enumerate(lines, start=1)
        for part in line.replace("\r", "\n").split("\n")
    )


def _parse(lines: Iterable[tuple[int, str]]) -> list[EngineLog]:
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
    found = [_result(boot) for boot in live_boots(boots)]
    return sorted(found, key=_by_name)


def _by_name(one: EngineLog) -> list[str]:
    """What puts DP2 before DP10."""
    return [part.zfill(9) for part in re.split(r"(\d+)", one.engine or "")]


def _first(engines: list[EngineLog]) -> StartupFacts:
    return engines[0].facts if engines else _result(Boot(None, None, None, 0, 0)).facts


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
    boot, unknown = boot_of(boots, said.speaker)
    if event == "began" and boot is not None and said.speaker.engine_pid not in (None, boot.pid):
        boot = None if boot.pid is not None else boot
    again = (said.speaker.process, said.stamp, said.text)
    if event == "began":
        if boot is not None:
            boot.replaced = True
        boot = new_boot(boots, said.speaker, now)
        boot.must_size = "V1" in said.text
    elif boot is None:
        if not unknown:
            return
        boot = new_boot(boots, said.speaker, now)
    elif again in boot.heard:
        return  # Ray prints what its workers say once more
    elif event in ("model", "sized") and "came_up" in boot.stated:
        # An engine that came up does not load or size again: this is the next one.
        boot.replaced = True
        boot = new_boot(boots, Speaker(boot.place, boot.engine, boot.pid), now)
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


_PROFILED = re.compile(r"\b(PIECEWISE|FULL)=(\d{1,9}) \(largest=", re.ASCII)


def _own(statements: list[Statement]) -> list[Statement]:
    """The engine's own statements where there are any, else those of its workers."""
    return [one for one in statements if one.process is None] or statements


def _most(statements: list[Statement], *names: str) -> Statement | None:
    """The statement whose facts are largest, compared in this order."""
    key: Callable[[Statement], list[float]] = lambda one: [one.number(name) for name in names]  # noqa: E731
    return max(_own(statements), key=key, default=None)


def _earliest(statements: list[Statement], name: str) -> Statement | None:
    """The first statement of a fact, of several workers that of the first by name."""
    stating = [one for one in statements if name in one.facts]
    return min(_own(stating), key=lambda one: one.process or "", default=None)


def _compiled(boot: Boot) -> list[Statement]:
    """The statements whose sum is the compile time; none where it cannot be told.

    Since 0.17 every model (language model, encoder, draft) states its own total; before,
    a later total holds the earlier ones.
    """
    whole = _most(boot.stated.get("came_up", []), "compilation")
    if whole is not None and "compilation" in whole.facts:
        return [whole]
    by_process: dict[str | None, list[Statement]] = {}
    for one in _own(boot.stated.get("compiled", [])):
        by_process.setdefault(one.process, []).append(one)
    if not by_process:
        return []
    began = _earliest(boot.stated.get("began", []), "vllm_version")
    try:
        version = release(began.facts["vllm_version"]) if began else None
    except ValueError:
        version = None
    sums = []
    for stated in by_process.values():
        if len(stated) > 1 and version is None and any("takes" in one.text for one in stated):
            return []
        adds = version is None or version >= (0, 17)
        sums.append(stated if adds else [max(stated, key=lambda s: s.number("compile_seconds"))])
    return max(sums, key=lambda stated: sum(one.number("compile_seconds") for one in stated))


def _result(boot: Boot) -> EngineLog:
    facts: dict[str, Any] = dict.fromkeys(StartupFacts.model_fields)
    sources: dict[str, list[Source]] = {}

    def take(statement: Statement | None, *names: str) -> None:
        for name in names:
            if statement is not None and name in statement.facts:
                facts[name] = statement.facts[name].replace(",", "")
                sources[name] = [Source(line=statement.line, text=statement.text)]

    stated = boot.stated
    take(_earliest(stated.get("began", []), "vllm_version"), "vllm_version")
    take(_earliest(stated.get("backend", []), "attention_backend"), "attention_backend")
    loaded = _most(stated.get("model", []), "model_load_seconds", "model_load_gib")
    take(loaded, "model_load_gib", "model_load_seconds")
    sized = [one for one in stated.get("sized", []) if "kv_cache_tokens" in one.facts]
    least = min(_own(sized), key=lambda one: one.number("kv_cache_tokens"), default=None)
    take(least, "kv_cache_tokens")
    take(_most(stated.get("came_up", []), "init_engine_seconds"), "init_engine_seconds")
    for event in ("pool", "estimated"):
        first = {one.process: one for one in reversed(_own(stated.get(event, [])))}
        take(_most(list(first.values()), "estimated_gib"), "estimated_gib")
    if compiled := _compiled(boot):
        name = "compilation" if "compilation" in compiled[0].facts else "compile_seconds"
        facts["compile_seconds"] = round(sum(one.number(name) for one in compiled), 6)
        sources["compile_seconds"] = [Source(line=one.line, text=one.text) for one in compiled]
    if facts["attention_backend"] is not None:
        name = facts["attention_backend"]
        facts["attention_backend"] = BACKEND_NAMES.get(name, name)

    # What a V1 engine captures before it has sized its KV cache is memory profiling.
    counts = not boot.must_size or any(e in stated for e in ("available", "sized", "came_up"))
    finished = _most(stated.get("finished", []), "capture_seconds", "capture_gib")
    facts["capture_complete"] = counts and finished is not None
    passes = []
    if counts:
        take(finished, "capture_seconds", "capture_gib")
        if finished is not None:
            sources["capture_complete"] = [Source(line=finished.line, text=finished.text)]
        for n, seen in enumerate(boot.passes):
            routine = routine_of(seen.label)
            known = None if routine is None else boot.profiled.get(routine)
            passes.append(CapturePass(routine=routine, shapes=seen.shapes or known))
            sources[f"passes.{n}"] = [Source(line=seen.line, text=seen.text)]
    if facts["capture_complete"] and not passes:
        # No bars, but the engine said what it would capture and that it did.
        passes = [CapturePass(routine=name, shapes=n) for name, n in boot.profiled.items()]
        for one in stated.get("profiled", [])[-1:]:
            for n in range(len(passes)):
                sources[f"passes.{n}"] = [Source(line=one.line, text=one.text)]
    facts["passes"] = tuple(passes)
    return EngineLog(engine=boot.name, facts=StartupFacts.model_validate(facts), sources=sources)
