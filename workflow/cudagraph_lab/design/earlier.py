"""What records of an earlier run mean for a plan: conflicts, and failures that stay."""

import re
from pathlib import Path

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.datasets import RESULTS, expected_requests
from cudagraph_lab.design.job import record_path
from cudagraph_lab.design.runs import runs_to_measure
from cudagraph_lab.records.agreement import first_believed, refuse_other_design
from cudagraph_lab.records.store import NotBelievedError, read_record, stays

# A record says early whether its run failed; the rest, calls and steps, is long.
_HEAD_BYTES = 4096
_FAILED = re.compile(rb'"status":\s*"failed"')


def refuse_conflicts(config: Config, platform: str, dataset: str) -> None:
    """Refuse to measure what the records of the data set contradict, before anything is measured.

    Looks only where a record is missing, and at one record of each arm. Raises LabError naming
    the record, the difference and what to do.
    """
    planned = [record_path(dataset, *run) for run in runs_to_measure(config, platform)]
    if all(Path(path).exists() for path in planned):
        return
    expected = expected_requests(config, platform)
    known, _ = first_believed(sorted((RESULTS / dataset / "runs").glob("*/rep*.json")), dataset)
    for path, record in known:
        # Its own arm first, which has the most to agree in.
        for arm in sorted(expected, key=lambda arm: arm != record.arm):
            refuse_other_design(path, record, expected[arm], same_arm=arm == record.arm)


def failures_that_stay(config: Config, platform: str, dataset: str) -> list[str]:
    """One line for each planned run whose record says that it failed: why, and what to do."""
    lines = []
    for arm, repeat in runs_to_measure(config, platform):
        path = Path(record_path(dataset, arm, repeat))
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            if not _FAILED.search(stream.read(_HEAD_BYTES)):
                continue
        try:
            failure = read_record(path, dataset).failure
        except NotBelievedError:  # said where the records are read
            continue
        if failure is not None:
            lines.append(f"{path}: failed ({failure.kind}): {failure.reason}; {stays(path)}")
    return lines
