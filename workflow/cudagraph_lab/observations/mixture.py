"""Records that are not one data set are refused by name."""

from pathlib import Path
from typing import Any, NoReturn

from cudagraph_lab.errors import LabError
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.request import conflict, dotted

# What must be equal within a data set beside the requests, and how an error calls it.
SHARED_CONDITIONS = (
    "kind",
    "environment.platform",
    "environment.device",
    "environment.driver",
)
# What must be equal among the runs that ask for one version of vLLM: an arm may name its own.
SHARED_BY_VERSION = ("environment.vllm", "environment.torch", "environment.lock")


def refuse_mixture(read: list[tuple[Path, Record]]) -> None:
    """Raise LabError naming file and condition where two records are not of one data set."""
    versions = dict.fromkeys(record.request.vllm for _, record in read)
    groups = [(name, read) for name in SHARED_CONDITIONS]
    groups += [
        (name, [pair for pair in read if pair[1].request.vllm == version])
        for version in versions
        for name in SHARED_BY_VERSION
    ]
    for name, alike in groups:
        # A run that failed early could not say everything.
        said = [(p, value) for p, r in alike if (value := dotted(r, name)) is not None]
        for path, value in said:
            if value != said[0][1]:
                _refuse((name, value, said[0][1]), path, said[0][0])
    first_of: dict[str, tuple[Path, Record]] = {}
    for path, record in read:
        for key in (record.arm, record.request.purpose):
            other_path, other = first_of.setdefault(key, (path, record))
            found = conflict(record.request, other.request, record.arm == other.arm)
            if found:
                _refuse(found, path, other_path)


def _refuse(difference: tuple[str, Any, Any], path: Path, other: Path) -> NoReturn:
    name, value, expected = difference
    raise LabError(
        f"{path}: {name} is {value!r}, but {expected!r} in {other}; these are two data sets: "
        "give one of them another name (`dataset` in the configuration)"
    )
