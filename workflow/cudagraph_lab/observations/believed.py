"""Which records are believed, and why others are left out."""

from pathlib import Path

from cudagraph_lab import REPOSITORY
from cudagraph_lab.errors import say
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.store import (
    NotBelievedError,
    measured_again,
    read_record,
    records_aside,
)


def read_believed(
    name: str, paths: list[Path]
) -> tuple[list[tuple[Path, Record]], dict[str, list[str]]]:
    """The records that are believed, and by arm why others are left out, as the terminal is told.

    No file is renamed or changed. Where none is believed, that is no damage to a file, but
    another directory or another version; and files of this repository git brings back.
    Raises LabError in both cases, naming a file.
    """
    read: list[tuple[Path, Record]] = []
    refused: list[tuple[Path, NotBelievedError]] = []
    for path in paths:
        try:
            read.append((path, read_record(path, name)))
        except NotBelievedError as error:
            refused.append((path, error))
    reasons: dict[str, list[str]] = {}
    for path, refusal in refused:
        if not read or path.is_relative_to(REPOSITORY / "resources"):
            raise refusal
        mend = measured_again(path)
        say(f"cudagraph-lab: {path}: {refusal.reason}; left out, the rest goes on; {mend}")
        reasons.setdefault(path.parent.name, []).append(
            f"repeat {path.stem.removeprefix('rep')} is not believed and left out: "
            f"{refusal.reason}; {mend}"
        )
    return read, reasons


def reasons_aside(runs: Path) -> dict[str, list[str]]:
    """By arm, which repeats were set aside and not measured again since."""
    reasons: dict[str, list[str]] = {}
    for aside, record in records_aside(runs).items():
        reasons.setdefault(aside.parent.name, []).append(
            f"repeat {record.stem.removeprefix('rep')} was set aside as {aside.name} and is not "
            "measured again yet"
        )
    return reasons
