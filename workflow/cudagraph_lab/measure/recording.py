"""From what came of an arm to its record: raw answers, the log, the traces, the machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from cudagraph_lab.design.job import ArmJob, Job
from cudagraph_lab.engine.profile_trace import read_trace, summarise_decode_steps
from cudagraph_lab.engine.startup_log import read_startup_log
from cudagraph_lab.errors import LabError
from cudagraph_lab.forms import first_mistake
from cudagraph_lab.measure.conduct import Taken
from cudagraph_lab.measure.failures import Outcome
from cudagraph_lab.measure.faults import explained, refuse_fault
from cudagraph_lab.measure.guards import commit
from cudagraph_lab.measure.redaction import hidden_directories, recorded_variables
from cudagraph_lab.measure.unfinished import work_directory
from cudagraph_lab.records.record import Record


@dataclass(frozen=True)
class Place:
    """Where a job runs: interpreters of vLLM, caches, and what a record says of them."""

    pythons: Mapping[str, Path]  # by version of vLLM
    cache: Path
    hardware: Mapping[str, Any]
    locks: Mapping[str, str]  # by version of vLLM
    model_path: str
    drafts: Mapping[str, str | None]  # by arm, the path of its draft model

    def hidden(self, member: ArmJob) -> dict[str, str]:
        """The directories that the arm's log and record do not tell, and what stands for them."""
        python = self.pythons[member.request["vllm"]]
        return hidden_directories(python, self.cache, member.output.parent.absolute())


def record_of(
    job: Job,
    member: ArmJob,
    place: Place,
    environment: Mapping[str, str],
    taken: Taken,
    outcome: Outcome,
    measured_at: str,
) -> Record:
    """The record of one arm; `environment` is that of its harness, `measured_at` ISO 8601.

    Raises LabError for a fault that is not the arm's, and where the record is not believed.
    """
    refuse_fault(job, member, taken, outcome)
    request, log = member.request, member.output.with_suffix(".log")
    failure = None
    if not taken.alive:
        failure = explained(job, member, taken, outcome)
    ready = taken.ready or {}
    startup = ready.get("startup")
    if startup is not None:
        startup["log"] = read_startup_log(log).model_dump()
        startup["compile_cache_was"] = compile_cache_state(log)
    batch_sizes = request["workload"]["batch_sizes"]
    profile = None
    if failure is None and (request["purpose"] == "profile" or request["profile_after"]):
        profile = summarise_traces(work_directory(member.output) / "traces", batch_sizes)
    drawn = "normal" if ready.get("weights_drawn") else "vllm"
    hidden = place.hidden(member)
    try:
        return Record.model_validate(
            {
                "dataset": job.dataset,
                "arm": member.arm,
                "repeat": job.repeat,
                "kind": "measured",
                "status": "failed" if failure else "ok",
                "source": "rule measure",
                "measured_at": measured_at,
                "request": request | ({"dummy_values": drawn} if ready else {}),
                "resolved": ready.get("resolved"),
                "startup": startup,
                "ranks": ready.get("ranks"),
                # What a failed arm measured before stays in its record; no number is made of it.
                "cells": taken.cells(batch_sizes),
                "profile": profile,
                "environment": {
                    "vllm": None,
                    **place.hardware,
                    **ready.get("environment", {}),
                    "variables": recorded_variables(environment, hidden),
                    "lock": place.locks[request["vllm"]],
                    "commit": commit(),
                    "host": sha256(os.uname().nodename.encode()).hexdigest()[:8],
                },
                "conditions": taken.conditions,
                "failure": failure,
            }
        )
    except ValidationError as error:
        raise LabError(
            f"{member.output}: what was measured is not believed ({first_mistake(error, 'record')})"
            f"; the log is {log}"
        ) from None


def compile_cache_state(log: Path) -> Literal["cold", "warm"] | None:
    """Whether torch.compile found its work done; None where nothing was compiled.

    By vLLM's own words: a graph that is compiled is named, one that is loaded too.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    if "Compiling a graph for compile range" in text or "saved AOT compiled function" in text:
        return "cold"
    if "Directly load" in text:
        return "warm"
    return None


def summarise_traces(directory: Path, batches: list[int]) -> list[dict[str, Any]]:
    """One summary per batch size from the traces that the harness left, named by batch."""
    traces = {batch: directory / f"b{batch}.json" for batch in batches}
    summaries = [
        summarise_decode_steps(read_trace(path), batch)
        for batch, path in traces.items()
        if path.exists()
    ]
    return [summary.model_dump() for summary in summaries if summary is not None]
