"""A user's walk through `make`: lab, report, an own arm, a mistake, its correction, a failure.

A stand-in answers in place of vLLM; the same mistakes meet vLLM itself in test_own_arm.py.
"""

import json
from types import SimpleNamespace

import pytest

from tests.workflow.walking import ARMS, DATASET, OUT_OF_MEMORY, Walk


@pytest.fixture(scope="module")
def walk(tmp_path_factory, repository):
    """Each station of the walk, with what it said and what was there afterwards."""
    walk = Walk(tmp_path_factory.mktemp("walk"), repository)
    stations = SimpleNamespace(lab=walk.make("lab"), report=walk.make("report"))
    walk.ask_for("own", max_num_seqs=16)
    walk.ask_for("wrong", kv_cache_dtype="fp9")
    stations.mistake = walk.make("lab")
    walk.ask_for("wrong", kv_cache_dtype="fp8")
    walk.ask_for("large", **OUT_OF_MEMORY)
    stations.correction = walk.make("lab")
    stations.again = walk.make("lab")
    walk.ask_for("large", max_num_seqs=32)
    stations.refused = walk.make("lab")
    aside = walk.run(
        ".venv/bin/cudagraph-lab", "set-aside", f"results/{DATASET}/runs/large/rep1.json"
    )
    assert aside.returncode == 0
    stations.set_aside = walk.make("lab")
    (walk.directory / f"results/{DATASET}/runs/own/rep1.json").unlink()
    stations.by_name = walk.make("lab", f"results/{DATASET}/runs/own/rep1.json")
    return stations


def arms_of(station):
    """The arms of the ledger that have a rate, and those that have none with the reason."""
    numbers = [n for n in json.loads(station.ledger)["numbers"] if n["dataset"] == DATASET]
    rates = {n["id"].split("/")[1]: n for n in numbers if n["id"].startswith("throughput/")}
    return (
        {arm for arm, number in rates.items() if number["value"] is not None},
        {arm: number["missing"] for arm, number in rates.items() if number["value"] is None},
    )


def test_the_report_of_what_was_measured_is_the_same_by_either_command(walk):
    assert walk.lab.returncode == walk.report.returncode == 0
    assert walk.lab.measured == set(ARMS)
    assert walk.report.measured == set()
    assert json.loads(walk.lab.ledger)["measured_here"] == [DATASET]
    assert walk.report.ledger == walk.lab.ledger
    assert walk.report.page == walk.lab.page
    assert "Nothing was measured here" not in walk.lab.page


def test_an_own_arm_is_measured_beside_a_mistake_that_ends_in_one_line(walk):
    mistake = walk.mistake
    assert mistake.returncode != 0
    assert mistake.measured == {"own", "wrong"}
    (line,) = mistake.lines
    log = f"results/{DATASET}/runs/wrong/rep1.log"
    assert line.startswith("cudagraph-lab: wrong rep 1: vLLM did not start: ValueError: 1 valid")
    assert "'auto' or 'fp8', not 'fp9'; correct arms.wrong.engine_a" in line
    assert line.endswith(f"; the log is {log}")
    assert set(mistake.records) == {*ARMS, "own"}
    assert {arm: mistake.records[arm] for arm in ARMS} == walk.lab.records


def test_after_the_correction_that_arm_alone_is_measured(walk):
    correction = walk.correction
    assert correction.returncode == 0
    assert correction.measured == {"wrong", "large"}
    assert correction.records.items() >= walk.mistake.records.items()
    rates, missing = arms_of(correction)
    assert rates == {*ARMS, "own", "wrong"}
    assert "torch.OutOfMemoryError: CUDA out of memory" in missing["large"]


def test_a_failure_that_is_a_result_says_that_it_stays_wherever_it_is_met(walk):
    path = f"results/{DATASET}/runs/large/rep1.json"
    again = f"to measure it again: .venv/bin/cudagraph-lab set-aside {path}"
    cause = "(out_of_memory): torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB"
    for text in (walk.correction.said, walk.again.said, walk.correction.page):
        assert cause in text
        assert "the failure stays, since it is a result of this arm" in text
        assert f"{again}, then make lab with the same ARGS" in text
    assert (walk.again.returncode, walk.again.measured) == (0, set())
    assert walk.again.records == walk.correction.records


def test_the_failed_arm_is_corrected_and_measured_alone(walk):
    refused, whole = walk.refused, walk.set_aside
    assert refused.returncode != 0
    assert refused.measured == set()
    assert f"cudagraph-lab set-aside results/{DATASET}/runs/large/rep*.json" in refused.said
    assert refused.records == walk.again.records
    assert (whole.returncode, whole.measured) == (0, {"large"})
    rates, _ = arms_of(whole)
    assert rates == {*ARMS, "own", "wrong", "large"}
    for arm in (*ARMS, "own", "wrong"):
        assert whole.records[arm] == walk.again.records[arm]


def test_a_record_is_asked_for_by_name_wherever_the_name_stands(walk):
    """After --configfile, which would swallow it."""
    assert (walk.by_name.returncode, walk.by_name.measured) == (0, {"own"})
    assert set(walk.by_name.records) == set(walk.set_aside.records)
