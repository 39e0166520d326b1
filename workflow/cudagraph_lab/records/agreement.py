"""What keeps a request from the records that are there: the first difference, and what to do."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cudagraph_lab.errors import LabError
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.request import SHARED_BY_REPEATS, Request, conflict
from cudagraph_lab.records.store import NotBelievedError, read_record


def first_believed(
    paths: Iterable[Path], dataset: str
) -> tuple[list[tuple[Path, Record]], list[NotBelievedError]]:
    """Of each arm the first of these records that is believed, and those that are not before it."""
    found: dict[Path, tuple[Path, Record]] = {}
    refused = []
    for path in paths:
        if path.parent not in found:
            try:
                found[path.parent] = path, read_record(path, dataset)
            except NotBelievedError as error:
                refused.append(error)
    return list(found.values()), refused


def refuse_other_design(
    path: Path, record: Record, asked: Mapping[str, Any], *, same_arm: bool
) -> None:
    """Raise LabError where `asked`, a request of the configuration, is not what was measured.

    Which weights were taken, and in which order the arms ran, is the data set's own.
    """
    known = record.request.model_dump()
    chosen = {key: known[key] for key in ("weights", "revision", "order", "dummy_values")}
    request = Request.model_validate({**asked, **chosen})
    if found := conflict(request, record.request, same_arm=same_arm):
        name, now, then = found
        raise other_conditions(path, name, then, now)


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
