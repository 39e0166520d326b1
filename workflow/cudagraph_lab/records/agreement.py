"""What keeps a request from the records that are there: the first difference, and what to do."""

from pathlib import Path
from typing import Any

from cudagraph_lab.errors import LabError
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.request import SHARED_BY_REPEATS
from cudagraph_lab.records.store import NotBelievedError, read_record


def first_believed(
    paths: list[Path], dataset: str
) -> tuple[tuple[Path, Record] | None, NotBelievedError | None]:
    """The first of these records that is believed, and why the one before it is not."""
    refused = None
    for path in paths:
        try:
            return (path, read_record(path, dataset)), refused
        except NotBelievedError as error:
            refused = error
    return None, refused


def other_conditions(path: Path, name: str, then: Any, now: Any) -> LabError:
    """The error for a record that was measured with `then` where `now` is asked.

    What an arm alone is defined by can be changed for this arm; all else is the data set's.
    """
    mend = "set `dataset` to a new name in the configuration, or put the old value back"
    if name in SHARED_BY_REPEATS:
        mend = (
            f"to measure the arm anew: cudagraph-lab set-aside {path.parent}/rep*.json, then make "
            "lab; or give the changed arm another name, or put the old value back"
        )
        if isinstance(then, dict) and isinstance(now, dict):
            key = next(key for key in {**then, **now} if then.get(key) != now.get(key))
            name, then, now = f"{name}.{key}", then.get(key), now.get(key)
    return LabError(f"{path}: measured with {name} {then!r}, asked now is {now!r}; {mend}")
