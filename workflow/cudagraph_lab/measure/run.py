"""One job: boot its arms in fresh processes, let them take turns, write their records.

This side runs in the pipeline's environment. It holds the device, starts a harness per arm
in vLLM's environment, and turns what comes back into records. An arm whose engine failed at
work becomes a record too. Errors are what is no result: a vLLM that does not start, a device
in use, a record that is not believed.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cudagraph_lab.design.drafts import draft_path
from cudagraph_lab.design.job import ArmJob, Job
from cudagraph_lab.engine.environment import cache_directory, exclusive, lock_file, vllm_python
from cudagraph_lab.engine.graph_modes import devices_of
from cudagraph_lab.errors import LabError
from cudagraph_lab.measure.conduct import Conductor, Taken
from cudagraph_lab.measure.failures import Outcome
from cudagraph_lab.measure.faults import refuse_fault, say_failure
from cudagraph_lab.measure.guards import (
    HARNESS,
    compile_cache_directory,
    described_lock,
    device_locks,
    environment_of_ranks,
    measurement_environment,
    refuse_other_request,
)
from cudagraph_lab.measure.machine import describe
from cudagraph_lab.measure.recording import Place, record_of
from cudagraph_lab.measure.supervisor import (
    Harness,
    end,
    end_at_once,
    start_harness,
    watch_workflow,
)
from cudagraph_lab.measure.unfinished import (
    clear_unfinished,
    is_kept,
    kept_path,
    work_directory,
)
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.request import Request
from cudagraph_lab.records.store import read_record, write_record

PROFILE_TOKENS = 8  # steps of one batch size are alike, and their traces are large


def measure(job: Job, weights: Mapping[str, Any]) -> list[Record]:
    """Measure one job and write the record of each of its arms, with the log beside it.

    `weights` is what choose_weights decided. The records of a job in turn appear together:
    until all are there they are kept under hidden names, and a job that is started again
    goes on with those. Raises LabError for faults that are not an arm's.
    """
    job = _with_weights(job, weights)
    hardware = describe(job.platform)
    versions = list(dict.fromkeys(member.request["vllm"] for member in job.arms))
    locks = {v: described_lock(lock_file(job.vllm_python, job.platform, v)) for v in versions}
    here = {"device": hardware["device"], "driver": hardware.get("driver")}
    for member in job.arms:
        request = Request.model_validate(member.request)
        conditions = {**here, "lock": locks[request.vllm]}
        refuse_other_request(member.output, job.dataset, request, conditions)
    if not Path(weights["path"]).exists():
        raise LabError(
            f"{weights['path']}: the weights of data set {job.dataset!r} are no longer there; put "
            f"them back, or remove results/{job.dataset}/weights.json to choose anew"
        )
    place = Place(
        {v: vllm_python(job.vllm_python, job.cache_dir, job.platform, v) for v in versions},
        cache_directory(job.cache_dir),
        hardware,
        locks,
        weights["path"],
        {m.arm: draft_path(m.request["engine_args"], weights) for m in job.arms},
    )
    waiting = f"{job.name}: another measurement holds the device; waiting for it"
    # Arms in turn are resident on the same devices, as many as the largest of them has ranks.
    devices = max(devices_of(member.request["engine_args"]) for member in job.arms)
    with ExitStack() as locked:
        descriptors = [
            locked.enter_context(exclusive(path, waiting))
            for path in device_locks(job.platform, devices)
        ]
        # Who held the device was at this very run, left by an interrupted workflow.
        lacking = [member for member in job.arms if not member.output.exists()]
        for member in lacking:
            clear_unfinished(member.output)
        if left := [member for member in lacking if not is_kept(job, member)]:
            _measure_arms(_resident(job, left), place, descriptors)
        for member in lacking:
            kept_path(member.output).rename(member.output)
    return [read_record(member.output, job.dataset) for member in job.arms]


def _with_weights(job: Job, weights: Mapping[str, Any]) -> Job:
    chosen = {"weights": weights["weights"], "revision": weights["revision"]}
    if weights["weights"] == "hub":
        chosen["dummy_values"] = "vllm"
    return job.model_copy(update={"arms": [_asked(member, chosen) for member in job.arms]})


def _asked(member: ArmJob, more: Mapping[str, Any]) -> ArmJob:
    """The arm with `more` in its request."""
    return member.model_copy(update={"request": {**member.request, **more}})


def _resident(job: Job, left: list[ArmJob]) -> Job:
    """The job with the arms that are left; in turn, `order` names those that are resident."""
    if job.in_turn:
        names = {member.arm for member in left}
        order = [arm for arm in left[0].request["order"] if arm in names]
        left = [_asked(member, {"order": order}) for member in left]
    return job.model_copy(update={"arms": left})


def _measure_arms(job: Job, place: Place, descriptors: list[int]) -> None:
    """Boot, call and end the arms of a job; keep each record under its hidden name."""
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    zero_s = time.monotonic()
    environments = {member.arm: _environment(job, member, place) for member in job.arms}
    check = watch_workflow(job.name)
    harnesses: dict[str, Harness] = {}
    outcomes: dict[str, Outcome] = {}

    def start(member: ArmJob) -> None:
        harnesses[member.arm] = _start(
            job, member, place, environments[member.arm], descriptors, zero_s
        )

    def refuse_early(member: ArmJob, taken: Taken) -> None:
        outcomes[member.arm] = end(harnesses[member.arm])
        refuse_fault(job, member, taken, outcomes[member.arm])

    try:
        taken = Conductor(job, harnesses, start, check, refuse_early).conduct()
        for arm, harness in harnesses.items():
            if arm not in outcomes:
                outcomes[arm] = end(harness)
        _write_records(job, place, environments, taken, outcomes, measured_at)
    finally:
        end_at_once(list(harnesses.values()))
        for member in job.arms:
            shutil.rmtree(work_directory(member.output), ignore_errors=True)


def _write_records(
    job: Job,
    place: Place,
    environments: Mapping[str, Mapping[str, str]],
    taken: Mapping[str, Taken],
    outcomes: Mapping[str, Outcome],
    measured_at: str,
) -> None:
    """Keep the record of each arm; raises the first LabError once those without one are kept."""
    faults = []
    for member in job.arms:
        arm = member.arm
        try:
            record = record_of(
                job, member, place, environments[arm], taken[arm], outcomes[arm], measured_at
            )
        except LabError as error:
            faults.append(error)
            continue
        write_record(record, kept_path(member.output))
        if record.failure is not None:
            say_failure(job, member, record.failure)
    if faults:
        raise faults[0]


def _environment(job: Job, member: ArmJob, place: Place) -> dict[str, str]:
    cold = member.request["compile_cache"] == "cold"
    compile_cache = (
        work_directory(member.output) / "compile"
        if cold
        else compile_cache_directory(place.cache, job.dataset, member.request["vllm"])
    )
    own: dict[str, str] = member.request["env"]
    ranks = devices_of(member.request["engine_args"])
    return (
        measurement_environment(os.environ, compile_cache.absolute())
        | own
        | environment_of_ranks(os.environ, job.platform, ranks)
    )


def _start(
    job: Job,
    member: ArmJob,
    place: Place,
    environment: Mapping[str, str],
    descriptors: list[int],
    zero_s: float,
) -> Harness:
    work, python = work_directory(member.output), place.pythons[member.request["vllm"]]
    (work / "traces").mkdir(parents=True)
    asked = {
        "request": member.request,
        "platform": job.platform,
        "model_path": place.model_path,
        "draft_path": place.drafts[member.arm],
        "devices": devices_of(member.request["engine_args"]),
        "trace_dir": str((work / "traces").absolute()),
        "profile_tokens": PROFILE_TOKENS,
        "clock_zero_s": zero_s,
    }
    (work / "job.json").write_text(json.dumps(asked), encoding="utf-8")
    return start_harness(
        f"{member.arm} rep {job.repeat}",
        [str(python), str(HARNESS / "run.py"), str(work / "job.json")],
        environment,
        descriptors,
        member.output.with_suffix(".log"),
        place.hidden(member),
    )
