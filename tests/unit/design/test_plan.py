"""What is said before anything is measured: runs, boots, minutes, memory, disk."""

import json
import re

import pytest

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.job import record_path
from cudagraph_lab.design.plan import (
    Spans,
    jobs_to_go,
    plan_of_dataset,
    seconds_of_job,
    spans_of_record,
)
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.store import read_record


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def design(config, tmp_path):
    """The shipped design, with caches in which nothing was built."""
    return Config.model_validate(config | {"cache_dir": str(tmp_path / "cache")})


def test_a_plan_counts_runs_boots_disk_and_memory_and_says_whose_records_tell_the_time(
    here, design
):
    plan = plan_of_dataset(design, "cpu", "mine")
    assert re.fullmatch(
        r"mine: 6 runs \(eager, compiled\), 6 boots of vLLM to go, about \d+ min by the shipped "
        r"cpu-co-residence; an engine takes 50% of the memory; before, vLLM's environment is "
        r"built, 8 GiB of disk, once",
        plan.line,
    )
    assert len(plan.runs) == 6


def test_what_is_there_is_not_planned_again_and_a_whole_data_set_has_no_plan(here, design):
    paths = [here / path for path in plan_of_dataset(design, "cpu", "mine").runs]
    for path in paths[:5]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert (
        f"mine: 5 of 6 runs there, 1 boot of vLLM to go ({paths[5].parent.name}), about "
        in plan_of_dataset(design, "cpu", "mine").line
    )
    paths[5].write_text("{}")
    assert plan_of_dataset(design, "cpu", "mine") is None


def test_an_unknown_model_has_no_time(here, config):
    design = Config.model_validate(config | {"model": {"name": "mine/model"}})
    plan = plan_of_dataset(design, "cpu", "mine")
    assert "no earlier run says how long" in plan.line
    assert plan.seconds_of_job is None


def test_spans_are_those_of_a_record_with_calls_as_long_as_asked_for(design, small_record):
    path = small_record()
    body = json.loads(path.read_text())["record"]
    body["startup"] = {
        "spans": [
            {"name": "import", "start_s": 0.0, "seconds": 5.0},
            {"name": "boot", "start_s": 5.0, "seconds": 20.0},
            {"name": "load", "start_s": 6.0, "seconds": 1.0},
        ],
        **dict.fromkeys(
            ["compile_seconds", "compile_cache_was", "capture", "kv_cache_tokens", "model_bytes",
             "available_kv_cache_bytes", "log"]
        ),
    }  # fmt: skip
    workload = {**body["request"]["workload"], "batch_sizes": [1, 4], "output_tokens": 16}
    asked = Config.model_validate(
        design.model_dump() | {"workload": {**design.workload.model_dump(), **{
                                   k: workload[k] for k in ("batch_sizes", "output_tokens")}}}
    )  # fmt: skip
    # Calls of 1.25 s for 8 tokens, so 2.5 s for 16, at each of two batch sizes.
    spans = spans_of_record(Record.model_validate(body), asked)
    assert (spans.boot_s, spans.round_s) == pytest.approx((25, 2 * 2.5))
    assert spans_of_record(read_record(path), asked) is None  # it tells no boot


@pytest.mark.parametrize(
    ("platform", "boots", "arms", "bound", "seconds"),
    [
        ("cuda", "together", ["eager"], None, 30 + 2 * 4 + 3 * 4),
        ("cuda", "together", ["eager", "compiled"], None, 30 + 2 * 8 + 3 * 8),
        ("cuda", "in_sequence", ["eager", "compiled"], None, 60 + 2 * 8 + 3 * 8),
        ("cpu", "together", ["eager", "compiled"], None, 60 + 2 * 8 + 3 * 8),
        # A round that began before the bound goes on.
        ("cuda", "together", ["eager", "compiled"], 10, 30 + 2 * 8 + 10 + 8),
        ("cuda", "together", ["eager"], 100, 30 + 2 * 4 + 3 * 4),
    ],
)
def test_a_job_takes_its_boots_and_the_calls_of_its_arms(
    config, platform, boots, arms, bound, seconds
):
    changed = {"warmups": 1, "iterations": 3, "seconds_per_repeat": bound, "boots": boots}
    asked = Config.model_validate(config | changed)
    assert seconds_of_job(asked, platform, arms, Spans(30, 4)) == seconds


def test_a_start_up_arm_takes_its_boot_and_arms_in_turn_are_one_job_a_repeat(here, config):
    config["arms"]["start"] = {"engine_args": {}, "purpose": "startup", "repeats": 2}
    asked = Config.model_validate(config | {"order": "in_turn", "repeats": 2})
    assert seconds_of_job(asked, "cuda", ["start"], Spans(30, 4)) == 30
    timed = ["eager", "compiled", "graphs"]
    assert jobs_to_go(asked, "cuda", "mine") == [timed, timed, ["start"], ["start"]]


def test_records_of_the_data_set_itself_come_before_shipped_ones(here, design, shipped):
    source = shipped / "cpu-opt-125m" / "runs" / "eager" / "rep1.json"
    path = here / record_path("mine", "eager", 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(source.read_bytes())
    line = plan_of_dataset(design, "cpu", "mine").line
    assert re.search(r"to go \(eager, compiled\), about \d+ min;", line)
    assert "shipped" not in line


def test_a_boot_beside_others_on_a_cpu_counts_with_its_share(design, shipped):
    record = read_record(shipped / "cpu-turns" / "runs" / "eager" / "rep1.json.gz")
    whole = sum(s.seconds for s in record.startup.spans if s.name in ("import", "boot"))
    assert len(record.request.order) == 3
    assert spans_of_record(record, design).boot_s == pytest.approx(whole / 3)
    alone = record.request.model_copy(update={"boots": "in_sequence"})
    record = record.model_copy(update={"request": alone})
    assert spans_of_record(record, design).boot_s == pytest.approx(whole)
