"""Before anything is measured: records that contradict the plan, and failures that stay."""

import json

import pytest

from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.datasets import expected_requests
from cudagraph_lab.design.earlier import failures_that_stay, refuse_conflicts
from cudagraph_lab.design.job import record_path
from cudagraph_lab.errors import LabError

SMALL = {
    "workload": {"output_tokens": 8, "batch_sizes": [1, 4], "max_model_len": 64},
    "repeats": 2,
    "iterations": 1,
    "warmups": 0,
}


@pytest.fixture
def planned(config, tmp_path, monkeypatch):
    """A configuration of two arms on a CPU; refuses it as it is after some changes."""
    config |= {key: value for key, value in SMALL.items() if key != "workload"}
    config["workload"] |= SMALL["workload"]
    monkeypatch.chdir(tmp_path)

    def refuse():
        refuse_conflicts(parse_config(config), "cpu", "small")

    return config, refuse


@pytest.fixture
def recorded(planned, small_record, checksum_of):
    """Write the record of a run of that configuration where the workflow looks for it."""
    config, _ = planned

    def write(arm, repeat=1, **fields):
        asked = expected_requests(parse_config(config), "cpu")[arm]
        source = small_record(arm=arm, repeat=repeat, request=asked, **fields)
        body = json.loads(source.read_text())["record"]
        path = source.parents[3] / record_path("small", arm, repeat)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"sha256": checksum_of(body), "record": body}))
        return path.relative_to(source.parents[3])

    return write


FAILED = {
    "status": "failed",
    "cells": [],
    "failure": {"kind": "out_of_memory", "reason": "no room", "log_tail": []},
}


def test_another_workload_is_refused_before_the_arm_that_is_missing_is_measured(planned, recorded):
    config, refuse = planned
    refuse()  # nothing is there
    path = recorded("eager")
    refuse()
    config["workload"]["output_tokens"] = 9
    with pytest.raises(LabError, match=f"^{path}: measured with workload.output_tokens 8, asked "):
        refuse()
    # Also where the arm of the record is no longer in the configuration.
    config["arms"]["other"] = config["arms"].pop("eager")
    for contrast in config["contrasts"].values():
        contrast["denominator"] = contrast["denominator"].replace("eager", "other")
    with pytest.raises(LabError, match="set `dataset` to a new name"):
        refuse()


def test_a_changed_arm_is_refused_with_the_way_to_measure_it_alone(planned, recorded):
    config, refuse = planned
    recorded("compiled")
    path = recorded("eager", **FAILED)
    config["arms"]["eager"]["engine_args"]["max_num_seqs"] = 8
    with pytest.raises(LabError) as caught:
        refuse()
    assert str(caught.value) == (
        f"{path}: measured with engine_args.max_num_seqs None, asked now is 8; to measure the arm "
        f"anew: cudagraph-lab set-aside {path.parent}/rep*.json, then make lab; or give the "
        "changed arm another name, or put the old value back"
    )
    path.rename(path.with_name("rep1.json.damaged-1"))
    refuse()


def test_a_plan_without_a_missing_record_is_not_looked_at(planned, recorded):
    config, refuse = planned
    for arm in ("eager", "compiled"):
        for repeat in (1, 2):
            recorded(arm, repeat)
    config["seed"] = 1
    refuse()
    config["repeats"] = 3
    with pytest.raises(LabError, match="measured with seed"):
        refuse()


def test_a_recorded_failure_is_said_whenever_its_run_is_planned(planned, recorded):
    config, _ = planned
    recorded("compiled")
    path = recorded("eager", 2, **FAILED)
    damaged = recorded("compiled", 2, **FAILED)
    damaged.write_text(damaged.read_text().replace("no room", "some room"))
    assert failures_that_stay(parse_config(config), "cpu", "small") == [
        f"{path}: failed (out_of_memory): no room; the failure stays, since it is a result of this "
        f"arm; to measure it again: .venv/bin/cudagraph-lab set-aside {path}, then "
        "make lab with the same ARGS"
    ]
