r"""From the bytes of a log to its messages: encodings, frames, prefixes, headers, JSON.

A logger's message counts only where it follows vLLM's own header
(`INFO 06-05 07:28:29 [core.py:112] `) or is the message of a JSON logger, and nothing is read
past the first quote of a line: a prompt that quotes a log line is no log line.
"""

import codecs
import gzip
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cudagraph_lab.engine.log_wordings import TELLING

# Characters of one line that are read. Every fact stands at the head of its line.
LONGEST_LINE = 65_536
LONGEST_MESSAGE = 300
_BLOCK_BYTES = 1 << 18

# Colour codes, also as logs carry them once escaped or robbed of their escape character.
_COLOUR = re.compile(
    r"(?:\x1b|\^\[|#033|\\(?:x1b|u001b|033))?\[[\d;]{0,12}m|\x1b\[[\d;?]{0,12}[A-Z]"
)
_COLOUR_HINT = re.compile(r"\[[\d;]{0,12}m|\x1b")
# What terminals draw around a pane; tqdm's own strokes are others.
_FRAME = " \t│┃║▕▏"

_HEADER = re.compile(
    r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)"
    r"(?:[ \d:.,/-]{1,40}\[?[A-Za-z_.][\w./\\-]{0,100}:\d{1,6}\] | \.\.\. )",
    re.ASCII,
)

# (EngineCore_DP1 pid=7), (Worker_TP1_EP1 pid=8), (VllmWorker rank=2 pid=9)
# A process id that is cut off is none.
_PROCESS = re.compile(
    r"\((\w*(?:EngineCore|Worker)[^()]{0,60}?) pid=(?:(\d{1,9})(?=[,)]))?", re.ASCII
)
_ENGINE = re.compile(r"EngineCore(?:_\w*\d)?", re.ASCII)
_STAGE = re.compile(r"\[(Stage-\d{1,4})\]", re.ASCII)
_DATA_RANK = re.compile(r"Worker\w*_DP(\d{1,5})", re.ASCII)
# The container, pod or replica that a whole engine is in: `vllm-1  | `, `[pod/a/b] `.
_PLACE = re.compile(
    r"^\s*([A-Za-z][\w.-]{0,80}-\d{1,4})\s+\|\s|^\s*\[(pod/[\w./-]{1,200})\]\s"
    r"|\((ServeReplica[^()]{0,100} pid=\d{1,9})",
    re.ASCII,
)

# Where JSON loggers, container runtimes and log stores keep the text of a line.
_JSON_TEXTS = (
    "message",
    "msg",
    "log",
    "MESSAGE",
    "textPayload",
    "jsonPayload",
    "line",
    "event",
    "text",
    "record",
)
_JSON_DEPTH = 3


@dataclass(frozen=True)
class Speaker:
    """Who wrote a line, as far as it says: place, engine, the engine's process, own process.

    `process` is None for the engine itself (or its driver), else the worker's name.
    """

    place: str | None = None
    engine: str | None = None
    engine_pid: str | None = None
    process: str | None = None


@dataclass(frozen=True)
class Said:
    """A piece of a line: a logger's message, or text outside of any, where bars stand."""

    speaker: Speaker
    text: str
    is_message: bool
    stamp: str = ""  # the header, which tells a repeated line from a second one


def may_tell(text: str) -> bool:
    """Say whether a fact may stand in a text: cheap, for most of a long log holds none."""
    return any(words in text for words in TELLING) or ("Using " in text and " backend" in text)


def telling_lines(stream: io.BufferedReader | gzip.GzipFile) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text) of those blocks of a log in which a fact may stand.

    Lines end with a line feed; text between carriage returns comes apart, under one number.
    """
    decode = None
    unfinished, number = "", 1
    try:
        while block := stream.read1(_BLOCK_BYTES):
            if decode is None:
                # PowerShell writes UTF-16 with its mark where it redirects.
                marked = block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
                encoding = "utf-16" if marked else "utf-8-sig"
                decode = codecs.getincrementaldecoder(encoding)("replace").decode
            text = unfinished + decode(block)
            if may_tell(text):
                *lines, rest = text.split("\n")
                for line in lines:
                    for part in line.split("\r"):
                        yield number, part
                    number += 1
                *parts, unfinished = rest.split("\r")
                for part in parts:
                    yield number, part
            else:
                number += text.count("\n")
                unfinished = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :]
            unfinished = unfinished[:LONGEST_LINE]
    except EOFError:  # the end of a compressed file is missing
        pass
    yield number, unfinished


def said_in(line: str, before: str = "", depth: int = 0) -> Iterator[Said]:
    """What stands in one line (no line ends in it): messages, and text outside of them.

    `before` and `depth` are of the JSON that the line was in: what stood before it.
    """
    text = line[:LONGEST_LINE]
    if depth < _JSON_DEPTH and (read := _from_json(text)) is not None:
        prefix, inner = read
        for part in inner.replace("\r", "\n").split("\n"):
            yield from said_in(part, before + prefix, depth + 1)
        return
    if _COLOUR_HINT.search(before + text):
        before, text = _COLOUR.sub("", before), _COLOUR.sub("", text)
    text = text.partition("'")[0].partition("`")[0].strip(_FRAME)
    headers = list(_HEADER.finditer(text))
    outside = text[: headers[0].start()] if headers else text
    yield Said(_speaker(before + outside), outside, is_message=False)
    if depth > 0 and not headers:
        # A JSON logger's message has no header; the names of processes may stand before it.
        named = re.match(r"(?:\([^()]*\) )*", text)
        start = named.end() if named else 0
        message = text[start : start + LONGEST_MESSAGE]
        yield Said(_speaker(before + text[:start]), message, is_message=True)
    for header in headers:
        message = text[header.end() :][:LONGEST_MESSAGE]
        speaker = _speaker(before + text[: header.start()])
        yield Said(speaker, message, is_message=True, stamp=header[0])


def _speaker(prefix: str) -> Speaker:
    place = _PLACE.search(prefix)
    processes = _PROCESS.findall(prefix)
    engines = [one for one in processes if _ENGINE.fullmatch(one[0])]
    engine, pid = engines[-1] if engines else (None, None)
    pid = pid or None
    worker = processes[-1][0] if processes and "Worker" in processes[-1][0] else None
    if worker is not None and (rank := _DATA_RANK.search(worker)):
        engine = engine or f"EngineCore_DP{rank[1]}"
    if stage := _STAGE.search(prefix):
        engine = stage[1]
    if worker is not None and not re.search(r"\d", worker, re.ASCII):
        worker = f"{worker} pid={processes[-1][1]}"  # a name without a rank
    return Speaker(
        place=next((name for name in place.groups() if name), None) if place else None,
        engine=engine,
        engine_pid=pid,
        process=worker,
    )


def _from_json(text: str) -> tuple[str, str] | None:
    """What stands before the JSON of a line, with the process it names, and its text; else None."""
    start, end = text.find('{"'), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        document = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    found = _text_of(document, _JSON_DEPTH) if isinstance(document, dict) else None
    if found is None:
        return None
    name = document.get("processName", document.get("process_name"))
    pid = document.get("process", document.get("pid"))
    known = isinstance(name, str) and re.fullmatch(r"\w*(?:EngineCore|Worker)\w*", name)
    process = f"({name} pid={pid}) " if known and isinstance(pid, int) else ""
    return text[:start] + process, found


def _text_of(document: dict[str, Any], depth: int) -> str | None:
    for key in _JSON_TEXTS:
        value = document.get(key)
        if isinstance(value, dict) and depth:
            value = _text_of(value, depth - 1)
        if isinstance(value, str):
            return value
    return None
