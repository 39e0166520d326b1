"""What lies beside a record while it is not finished, under names that begin with a dot."""

import shutil
from pathlib import Path

from cudagraph_lab.design.job import ArmJob, Job
from cudagraph_lab.records.request import Request
from cudagraph_lab.records.store import NotBelievedError, read_record


def kept_path(output: Path) -> Path:
    """Where a finished record waits until all records of its job are there.

    Snakemake removes the outputs of a job that fails, those of other arms included.
    """
    return output.with_name(f".{output.name}-finished")


def is_kept(job: Job, member: ArmJob) -> bool:
    """Whether a finished record of this very request waits from an earlier start of the job."""
    path = kept_path(member.output)
    try:
        record = read_record(path, job.dataset, name=member.output)
    except NotBelievedError:
        return False
    asked = Request.model_validate(member.request)
    # Known only after the boot: the values drawn, and which arms were resident.
    later = {"dummy_values": None, "order": None}
    return bool(record.request.model_dump() | later == asked.model_dump() | later)


def clear_unfinished(output: Path) -> None:
    """Remove what an interrupted measurement of this record left beside it.

    Only for the holder of the device's lock: nobody else is at this run then.
    """
    shutil.rmtree(work_directory(output), ignore_errors=True)
    for name in (output.name, kept_path(output).name):
        for temporary in output.parent.glob(f".{name}.*"):
            temporary.unlink(missing_ok=True)


def work_directory(output: Path) -> Path:
    """Where a measurement keeps what is not its record yet."""
    return output.parent / f".{output.stem}.work"
