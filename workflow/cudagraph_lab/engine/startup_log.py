"""Read what vLLM says about itself while an engine starts.

The wordings are those of vLLM 0.11 to 0.33, with both of its model runners. Four rules
decide what counts.

- A logger line counts only where its message follows vLLM's own log header
  (`INFO 06-05 07:28:29 [core.py:112] `), and nothing is read past the first quote of a line:
  a prompt that quotes a log line is not a log line.
- Each `Initializing a V1 LLM engine` line starts afresh, so what is returned is of the last
  engine that began, never a mixture; an engine that crashed leaves what it did not say null.
  The log must hold stdout and stderr in the order in which they were written.
- A capture that finishes before the KV cache has its size was a profiling run (0.33) and is
  forgotten then; a log that stops in between cannot be told from one of a capture.
- Several workers print about the same capture. Where their numbers differ, the first rank's
  stand, as in the versions of vLLM that let only that rank print.
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cudagraph_lab.errors import LabError

Routine = Literal["PIECEWISE", "FULL"]


class CapturePass(BaseModel):
    """One pass of graph capture: its routine and how many shapes it captures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    routine: Routine | None
    shapes: int | None


class StartupFacts(BaseModel):
    """What one engine said as it started; null is what its log does not say.

    `compile_seconds` is the last total that was stated. `passes` are in order of appearance,
    without those of a draft model. Empty `passes` beside a true `capture_complete` mean that
    the log lacks the progress bars, which vLLM writes to stderr.
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


# Characters of one line that are read. Every fact stands at the head of its line.
_LONGEST_LINE = 65_536
_LONGEST_MESSAGE = 300
_BLOCK_BYTES = 1 << 18

# Colour codes, also as logs carry them once escaped or robbed of their escape character.
_COLOUR = re.compile(
    r"(?:\x1b|\^\[|#033|\\(?:x1b|u001b|033))?\[[\d;]{0,12}m|\x1b\[[\d;?]{0,12}[A-Z]"
)

_COLOUR_HINT = re.compile(r"\[[\d;]{0,12}m|\x1b")

_HEADER = re.compile(
    r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)"
    r"(?:[ \d:.,/-]{1,40}\[?[A-Za-z_.][\w./-]{0,100}:\d{1,6}\] | \.\.\. )",
    re.ASCII,
)

# (EngineCore_DP1 pid=7), (Worker_TP1_EP1 pid=8), (VllmWorker rank=2 pid=9): a name with a
# number other than 0 in it is not the first rank's.
_PROCESS = re.compile(r"\((\w*(?:EngineCore|Worker)[^()]{0,60}?) pid=", re.ASCII)
_OTHER_RANK = re.compile(r"[1-9]", re.ASCII)

_N = r"-?\d[\d,]*(?:\.\d+)?"
_ATTENTION = r"[A-Z0-9_]*(?:ATTN|ATTENTION|MLA|AITER|FLASHINFER|SDPA|XFORMERS|TURBOQUANT)[A-Z0-9_]*"

_BEGAN = re.compile(r"Initializing an? (?:V\d )?LLM engine(?: \(v(?P<vllm_version>[^\s()]+)\))?")
_FINISHED = re.compile(
    r"Graph capturing finished"
    rf"(?: in (?P<capture_seconds>{_N}) secs(?:, took (?P<capture_gib>{_N}) GiB)?)?",
    re.ASCII,
)
_PROFILED = re.compile(r"Profiling CUDA graph memory: ")
_PROFILED_ROUTINE = re.compile(r"\b(PIECEWISE|FULL)=(\d{1,9}) \(largest=", re.ASCII)
_ESTIMATED = re.compile(rf"Estimated CUDA graph memory: (?P<estimated_gib>{_N}) GiB", re.ASCII)
_KV_CACHE = re.compile(r"(?:GPU|CPU) KV cache size: (?P<kv_cache_tokens>\d[\d,]*) tokens", re.ASCII)
_OTHER_FACTS = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"(?:\[backbone\] )?torch\.compile (?:takes|took) (?P<compile_seconds>{_N}) s in total",
        rf"init engine \([^()]*\) took (?P<init_engine_seconds>{_N}) s",
        rf"init engine \([^()]*\) took {_N} s \(compilation: (?P<compile_seconds>{_N}) s",
        rf"Model loading took (?P<model_load_gib>{_N}) GiB"
        rf"(?:(?: memory)? and (?P<model_load_seconds>{_N}) seconds)?",
        rf"CUDA graph pool memory: {_N} GiB \(actual\), (?P<estimated_gib>{_N}) GiB \(estimated\)",
        r"Using (?P<attention_backend>[A-Z][A-Z0-9_]*) attention backend\b(?! for )",
        rf"Using (?:AttentionBackendEnum\.)?(?P<attention_backend>{_ATTENTION}) backend\b(?! for )",
        r"Using (?P<attention_backend>Flash Attention|FlashInfer|FlexAttention|Triton|Triton MLA)"
        r" backend(?: on V1 engine)?\.",
        r"Using \w+ KV cache layout for (?P<attention_backend>[A-Z][A-Z0-9_]*) backend\b",
    )
)
# What vLLM called its backends in prose before it printed their names.
_BACKEND_NAMES = {
    "Flash Attention": "FLASH_ATTN",
    "FlashInfer": "FLASHINFER",
    "FlexAttention": "FLEX_ATTENTION",
    "Triton": "TRITON_ATTN",
    "Triton MLA": "TRITON_MLA",
}
# A draft model chooses its backend after the model; the pool line repeats the estimate.
_FIRST_STANDS = frozenset({"attention_backend", "estimated_gib"})

# tqdm's `desc: 33%|███   | 1/3 [00:00<00:00, 9.81it/s]`, which a terminal cuts off anywhere. What
# may stand between the strokes excludes the words of another bar that broke in.
_BAR = re.compile(
    r"Capturing CUDA graph(?:s(?: \((?P<label>[^()]{1,60}\)))?|(?P<shapes> shapes)):"
    r"(?:\s*(?P<percent>\d{1,3})%\|"
    r"(?:[^|A-Za-z%:/\[\]]{0,1000}\|\s*(?P<done>\d{1,9})/(?P<total>\d{1,9})(?P<timed>\s\[)?)?"
    r"|\s*\d{0,3}%?\s*$)",
    re.ASCII,
)
_BAR_CUT_IN_LABEL = re.compile(r"Capturing CUDA graphs \((?P<label>[^()]{0,60}\)?)$")
_LABELS = (
    "mixed prefill-decode, PIECEWISE)",
    "mixed prefill-decode, FULL)",
    "decode, FULL)",
    "mixed, PIECEWISE)",
    "mixed, FULL)",
    "PIECEWISE)",
    "FULL)",
)
_ROUTINE = re.compile(r"\b(PIECEWISE|FULL)\)$")


@dataclass
class _Pass:
    label: str
    shapes: int | None


@dataclass
class _Boot:
    """What one engine has said so far."""

    stated: dict[str, Any] = field(default_factory=dict)
    stated_by_first_rank: set[str] = field(default_factory=set)
    profiled: dict[Routine, int] = field(default_factory=dict)
    passes: list[_Pass] = field(default_factory=list)
    capture_complete: bool = False


def read_startup_log(path: Path) -> StartupFacts:
    """Read a start-up log, plain or (by its name, `.gz`) compressed, in bounded memory.

    Bytes that are not UTF-8 are replaced. Of a line longer than 65,536 characters only the
    head is read. A compressed file that ends too soon is read as far as it goes.

    Raises:
        LabError: The file cannot be opened or is not what its name says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return parse_startup_log(_telling_lines(stream))
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"start-up log {path}: {reason}; name a readable log file") from error


def parse_startup_log(lines: Iterable[str]) -> StartupFacts:
    r"""Read the facts from the lines of a start-up log, which may hold `\r` and `\n` themselves."""
    boot = _Boot()
    for line in lines:
        if not _may_tell(line):
            continue
        for segment in line.replace("\r", "\n").split("\n"):
            text = segment[:_LONGEST_LINE]
            if _COLOUR_HINT.search(text):
                text = _COLOUR.sub("", text)
            text = text.partition("'")[0].partition("`")[0]
            headers = list(_HEADER.finditer(text))
            _read_bars(text[: headers[0].start()] if headers else text, boot)
            for header in headers:
                names = _PROCESS.findall(text[: header.start()])
                first_rank = not any(_OTHER_RANK.search(name) for name in names)
                boot = _read_message(text[header.end() :], first_rank, boot)
    return _facts(boot)


def _may_tell(text: str) -> bool:
    """Say whether a fact may stand in a text: cheap, for most of a long log holds none."""
    return (
        "CUDA graph" in text
        or "Graph capturing" in text
        or "KV cache size" in text
        or "LLM engine" in text
        or "init engine (" in text
        or "torch.compile t" in text
        or "Model loading took" in text
        or ("Using " in text and " backend" in text)
    )


def _telling_lines(stream: io.BufferedReader | gzip.GzipFile) -> Iterator[str]:
    """Yield the lines of those blocks of a log in which a fact may stand."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    unfinished = ""
    try:
        while block := stream.read1(_BLOCK_BYTES):
            text = unfinished + decode(block).replace("\r", "\n")
            if _may_tell(text):
                *lines, unfinished = text.split("\n")
                yield from lines
            else:
                unfinished = text.rpartition("\n")[2]
            unfinished = unfinished[:_LONGEST_LINE]
    except EOFError:  # the end of a compressed file is missing
        pass
    yield unfinished


def _read_message(message: str, first_rank: bool, boot: _Boot) -> _Boot:
    """Note what a logger message states; return the boot it belongs to."""
    message = message[:_LONGEST_MESSAGE]
    if began := _BEGAN.match(message):
        # The other replicas of a data-parallel engine begin too, beside the first.
        if first_rank or not boot.stated_by_first_rank:
            boot = _Boot()
        _state(boot, began.groupdict(), first_rank)
    elif finished := _FINISHED.match(message):
        boot.capture_complete = True
        _state(boot, finished.groupdict(), first_rank)
    elif _PROFILED.match(message):
        for routine, shapes in _PROFILED_ROUTINE.findall(message):
            boot.profiled[routine] = int(shapes)
    elif sized := _ESTIMATED.match(message) or _KV_CACHE.match(message):
        # A capture that finished before the KV cache had its size was a profiling run.
        if first_rank and boot.capture_complete:
            boot.capture_complete = False
            boot.passes.clear()
            for name in ("capture_seconds", "capture_gib"):
                boot.stated.pop(name, None)
                boot.stated_by_first_rank.discard(name)
        _state(boot, sized.groupdict(), first_rank)
    elif message.startswith("Capturing CUDA graph"):
        _read_bars(message, boot)  # as documents print it: `INFO ... Capturing CUDA graphs`
    else:
        for pattern in _OTHER_FACTS:
            if found := pattern.match(message):
                _state(boot, found.groupdict(), first_rank)
    return boot


def _state(boot: _Boot, facts: dict[str, str | None], first_rank: bool) -> None:
    for name, value in facts.items():
        if name in boot.stated_by_first_rank and (not first_rank or name in _FIRST_STANDS):
            continue
        boot.stated[name] = value
        if first_rank:
            boot.stated_by_first_rank.add(name)


def _read_bars(text: str, boot: _Boot) -> None:
    for bar in _BAR.finditer(text):
        label = bar["label"] or ("shapes:" if bar["shapes"] else ":")
        _see_pass(boot, label, _total(bar))
    cut = _BAR_CUT_IN_LABEL.search(text.rstrip())
    if cut and any(label.startswith(cut["label"]) for label in _LABELS):
        _see_pass(boot, cut["label"], None)


def _total(bar: re.Match[str]) -> int | None:
    """Return the shapes that a bar counts up to, or None where the count may be cut off."""
    if bar["total"] is None:
        return None
    percent, done, total = int(bar["percent"]), int(bar["done"]), int(bar["total"])
    consistent = total > 0 and abs(100 * done / total - percent) <= 0.5
    whole = bar["timed"] is not None or (percent == 100 and done == total)
    return total if consistent and whole else None


def _see_pass(boot: _Boot, label: str, shapes: int | None) -> None:
    for seen in boot.passes:
        # A label cut off by the terminal is the pass whose label begins so.
        if seen.label.startswith(label) or label.startswith(seen.label):
            seen.label = max(seen.label, label, key=len)
            seen.shapes = shapes or seen.shapes
            return
    boot.passes.append(_Pass(label, shapes))


def _routine(label: str) -> Routine | None:
    if whole := _ROUTINE.search(label):
        return "FULL" if whole[1] == "FULL" else "PIECEWISE"
    routines: set[Routine] = {
        "FULL" if known.endswith("FULL)") else "PIECEWISE"
        for known in _LABELS
        if known.startswith(label)
    }
    return routines.pop() if len(routines) == 1 else None


def _facts(boot: _Boot) -> StartupFacts:
    def number(name: str) -> float | None:
        value = boot.stated.get(name)
        return None if value is None else float(value.replace(",", ""))

    passes = []
    for seen in boot.passes:
        routine = _routine(seen.label)
        counted = None if routine is None else boot.profiled.get(routine)
        passes.append(CapturePass(routine=routine, shapes=seen.shapes or counted))
    if boot.capture_complete and not passes:
        # No bars, but the engine said what it would capture and that it did.
        passes = [CapturePass(routine=name, shapes=n) for name, n in boot.profiled.items()]
    tokens = number("kv_cache_tokens")
    backend: str | None = boot.stated.get("attention_backend")
    return StartupFacts(
        vllm_version=boot.stated.get("vllm_version"),
        attention_backend=None if backend is None else _BACKEND_NAMES.get(backend, backend),
        passes=tuple(passes),
        capture_seconds=number("capture_seconds"),
        capture_gib=number("capture_gib"),
        estimated_gib=number("estimated_gib"),
        compile_seconds=number("compile_seconds"),
        init_engine_seconds=number("init_engine_seconds"),
        kv_cache_tokens=None if tokens is None else int(tokens),
        model_load_gib=number("model_load_gib"),
        model_load_seconds=number("model_load_seconds"),
        capture_complete=boot.capture_complete,
    )
