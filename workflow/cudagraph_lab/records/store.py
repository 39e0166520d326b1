"""Records as files: written whole with a checksum, read and refused by name, set aside by hand."""

import gzip
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cudagraph_lab.errors import LabError, printable
from cudagraph_lab.files import write_atomically
from cudagraph_lab.forms import first_mistake
from cudagraph_lab.records.record import Record

# The largest records, profiles with every step, stay far below; more is not read at all.
LARGEST_RECORD_BYTES = 64 << 20
# Between the name of a record and the time at which it was set aside.
SET_ASIDE = ".damaged-"


class NotBelievedError(LabError):
    """A record that is damaged, implausible, or not what its name says.

    `reason` says why; the whole message adds the file and what to do.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = printable(reason)
        mend = "move it away, then run the same command again to measure it anew"
        super().__init__(f"{path}: {reason}; {mend}")


def _checksum(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_record(record: Record, path: Path) -> None:
    """Write a record with its checksum, whole or not at all."""
    body = record.model_dump(mode="json")
    write_atomically(path, document_of(body))


def document_of(body: dict[str, Any]) -> str:
    """The text of a record's file: JSON with a line for each top-level key."""
    lines = [
        f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}"
        for key, value in body.items()
    ]
    return f'{{"sha256":"{_checksum(body)}",\n"record":{{\n' + ",\n".join(lines) + "}}\n"


def read_record(path: Path, dataset: str | None = None, name: Path | None = None) -> Record:
    """Read a record; refuse, by name, what is half-written, changed, implausible or foreign.

    `name` is the path that the record is to have, where it is not there yet.

    Raises NotBelievedError, a LabError that names the file and the mend.
    """
    # A pipe would be waited for, a device never ends.
    if not path.is_file():
        raise NotBelievedError(path, "not a file" if path.exists() else "it is not there")
    if (size := path.stat().st_size) > LARGEST_RECORD_BYTES:
        raise NotBelievedError(path, f"larger than any record ({size} bytes)")
    try:
        document = json.loads(_content(path).decode("utf-8"))
        body, checksum = document["record"], document["sha256"]
        fits = checksum == _checksum(body)
        record = Record.model_validate(body) if fits else None
    except ValidationError as error:
        raise NotBelievedError(path, first_mistake(error, "record")) from None
    except (ValueError, KeyError, TypeError, RecursionError, EOFError, OSError) as error:
        raise NotBelievedError(path, f"not a record of a run ({type(error).__name__})") from None
    if record is None:
        raise NotBelievedError(path, "its checksum does not fit its content")
    if dataset is not None and record.dataset != dataset:
        raise NotBelievedError(path, f"belongs to data set {record.dataset!r}, not {dataset!r}")
    named = name or path
    arm, repeat = named.parent.name, named.name.split(".")[0]
    if (arm, repeat) != (record.arm, f"rep{record.repeat}"):
        raise NotBelievedError(
            path, f"holds {record.arm} rep{record.repeat}, not what its name says"
        )
    return record


def _content(path: Path) -> bytes:
    """The bytes of a record's file, unpacked where its name ends in .gz.

    Raises ValueError where the unpacked record is larger than any, OSError where it is damaged.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    with gzip.open(path) as stream:
        content = stream.read(LARGEST_RECORD_BYTES + 1)
    if len(content) > LARGEST_RECORD_BYTES:
        raise ValueError("larger than any record")
    return content


def log_of(path: Path) -> Path:
    """The start-up log that belongs to a record."""
    return path.with_name(path.name.split(".")[0] + ".log")


def set_aside(path: Path) -> Path:
    """Rename a record that is not believed, and its log, beside where they are; nothing is lost.

    Returns the record's new path. Raises OSError where the directory cannot be changed.
    """
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}{SET_ASIDE}{when}")
    while os.path.lexists(aside):
        aside = aside.with_name(aside.name + "x")
    path.rename(aside)
    log = log_of(path)
    if log.exists():
        log.rename(log.with_name(log.name + aside.name.removeprefix(path.name)))
    return aside


def measured_again(path: Path) -> str:
    """What to do to have a record measured anew, for the end of a sentence."""
    command = f".venv/bin/cudagraph-lab set-aside {path}"
    return f"to measure it again: {command}, then make lab with the same ARGS"


def stays(path: Path) -> str:
    """The rule for a failure that is recorded, for the end of a sentence."""
    return f"the failure stays, since it is a result of this arm; {measured_again(path)}"


def records_aside(runs: Path) -> dict[Path, Path]:
    """The records under `runs` that were set aside and not measured again since.

    By the path that each has now, the one that it had.
    """
    aside = sorted(runs.glob(f"*/rep*.json{SET_ASIDE}*"))
    records = {path: path.with_name(path.name.partition(SET_ASIDE)[0]) for path in aside}
    return {path: record for path, record in records.items() if not record.exists()}
