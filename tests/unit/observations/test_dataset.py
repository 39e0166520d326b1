"""Observations: mixtures are refused by name, arms that cannot be believed lose their numbers."""

import shutil

import pandas as pd
import pytest

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.errors import LabError
from cudagraph_lab.observations.dataset import order_run
from cudagraph_lab.observations.steps import expected_decode_mode
from cudagraph_lab.observations.table import COLUMNS, read_table
from cudagraph_lab.records.store import read_record, records_aside, set_aside
from tests.read_dataset import read_dataset

CONTRASTS = {"bundle": {"numerator": "graphs", "denominator": "eager"}}


def read(runs, design=None, name=None, expected=None, description=None):
    return read_dataset(
        name or runs.parent.name,
        runs.glob("*/rep*.json"),
        description or {},
        CONTRASTS,
        design or {},
        expected or {},
    )


def of(table, **fields):
    for field, value in fields.items():
        table = table[table[field] == value]
    return table["value"].tolist()


def test_the_h100_data_set_as_it_was_recorded(shipped):
    dataset, table = read(shipped / "h100-opt-125m" / "runs")
    assert list(table.columns) == COLUMNS
    assert dataset.kind == "measured"
    assert dataset.device == "NVIDIA H100 80GB HBM3"
    assert dataset.batch_sizes == [1, 8, 9, 33, 64]
    assert {arm for arm, facts in dataset.arms.items() if facts.status != "ok"} == set()
    assert dataset.arms["graphs"].resolved == "VLLM_COMPILE / FULL_AND_PIECEWISE"
    assert dataset.arms["eager"].repeats == 3
    # Numbers of one record, looked up in it by hand.
    record = read_record(shipped / "h100-opt-125m/runs/graphs/rep2.json")
    ninth = next(cell for cell in record.cells if cell.batch == 9)
    fourth = ninth.timed()[3]
    where = {"arm": "graphs", "repeat": 2, "batch": 9, "role": "timed", "iteration": 4}
    assert of(table, **where, quantity="throughput") == [fourth.tokens / fourth.seconds]
    assert of(table, **where, quantity="full_share") == [1.0]
    assert of(table, **where, quantity="padded_tokens") == [16.0]
    # The calls of the smallest batch size, by the time since the first of all of them.
    assert {arm: len(calls) for arm, calls in dataset.calls.items()} == {
        "compiled": 15, "eager": 15, "eager-again": 10, "graphs": 15, "graphs-unobserved": 10,
    }  # fmt: skip
    assert min(at for calls in dataset.calls.values() for at, _ in calls) == 0
    times = [at for at, _ in dataset.calls["graphs"]]
    assert times == sorted(times)
    first = record.cells[0].timed()[0]
    assert dataset.calls["graphs"][5][1] == pytest.approx(first.tokens / first.seconds, rel=1e-4)
    startup = {"arm": "graphs", "role": "startup"}
    assert of(table, **startup, quantity="passes") == [2, 2, 2]
    assert of(table, **startup, quantity="shapes_piecewise") == [51, 51, 51]
    assert of(table, **startup, quantity="shapes_full") == [51, 51, 51]
    assert of(table, **startup, quantity="capture_graphs") == [102, 102, 102]
    assert of(table, arm="eager", role="startup", quantity="passes") == [0, 0, 0]
    assert not of(table, arm="eager", role="startup", quantity="capture_seconds")
    # Profiled and start-up arms have nothing timed.
    assert set(table[table["role"] == "timed"]["arm"]) == {
        "eager", "eager-again", "compiled", "graphs", "graphs-unobserved",
    }  # fmt: skip
    # An arm without statistics proves nothing and claims nothing.
    assert not of(table, arm="graphs-unobserved", quantity="full_share")


def test_the_published_data_set_has_one_observation_per_cell(shipped):
    dataset, table = read(shipped / "l4-published" / "runs")
    assert dataset.kind == "transcribed"
    assert dataset.order == []
    assert of(table, arm="graphs", batch=1, quantity="throughput") == [2473.6]
    assert of(table, arm="graphs", quantity="shapes_piecewise") == [23]
    assert of(table, arm="eager", quantity="passes") == [0]
    assert not of(table, quantity="decode_s_per_step")


def test_a_table_survives_being_written(shipped, tmp_path):
    _, table = read(shipped / "h100-opt-125m" / "runs")
    table.to_csv(tmp_path / "observations.csv", index=False)
    again = read_table(tmp_path / "observations.csv")
    pd.testing.assert_frame_equal(again, table, check_exact=True)


def test_no_records_are_no_data_set(tmp_path):
    with pytest.raises(LabError, match="data set 'nothing' has no records"):
        read(tmp_path / "nothing" / "runs")


def set_at(dotted, value):
    def edit(body):
        *parents, last = dotted.split(".")
        for part in parents:
            body = body[part]
        body[last] = value

    return edit


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("environment.device", "NVIDIA L4"),
        ("environment.driver", "999.1"),
        ("environment.vllm", "0.33.0"),
        ("environment.torch", "2.14.0"),
        ("environment.lock", "another.txt sha256:0"),
        ("environment.platform", "cpu"),
        ("kind", "transcribed"),
        ("request.model", "another/model"),
        ("request.weights", "hub"),
        ("request.revision", "abc"),
        ("request.workload.prompt_token_ids", [2]),
        ("request.workload.max_model_len", 1024),
        ("request.workload.gpu_memory_utilization", 0.9),
        ("request.seed", 1),
        ("request.warmups", 7),
        ("request.engine_args", {"enforce_eager": True, "dtype": "float32"}),
        ("request.compile_cache", "cold"),
    ],
)
def test_a_mixture_is_refused_by_both_files_and_the_condition(h100, edit_record, condition, value):
    def edit(body):
        set_at(condition, value)(body)
        for cell in body["cells"]:
            warmup = next(call for call in cell["calls"] if call["role"] == "warmup")
            cell["calls"][1:1] = [warmup] * (body["request"]["warmups"] - 1)

    path = edit_record(h100 / "eager" / "rep2.json", edit)
    with pytest.raises(LabError) as caught:
        read(h100)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert message.count("rep") >= 2
    assert condition.removeprefix("request.") in message


def damage(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def test_a_damaged_record_is_named_and_left_out_and_the_rest_goes_on(h100, shipped, capsys):
    whole, _ = read(h100)
    path = damage(h100 / "eager" / "rep2.json")
    content = path.read_bytes()
    command = f".venv/bin/cudagraph-lab set-aside {path}"
    mend = f"to measure it again: {command}, then make lab with the same ARGS"
    for _ in range(2):  # and again, for as long as it stays there
        dataset, table = read(h100)
        assert path.read_bytes() == content
        assert capsys.readouterr().err.splitlines() == [
            f"cudagraph-lab: {path}: not a record of a run (JSONDecodeError); left out, "
            f"the rest goes on; {mend}"
        ]
        assert dataset.arms["eager"].repeats == whole.arms["eager"].repeats - 1
        assert set(table[table.arm == "eager"].repeat) == {1, 3}
        (warning,) = set(dataset.arms["eager"].warnings) - set(whole.arms["eager"].warnings)
        assert warning == (
            "repeat 2 is not believed and left out: not a record of a run (JSONDecodeError); "
            f"{mend}"
        )
    aside = set_aside(path)
    assert path in records_aside(path.parents[1]).values()
    (warning,) = set(read(h100)[0].arms["eager"].warnings) - set(whole.arms["eager"].warnings)
    assert warning == f"repeat 2 was set aside as {aside.name} and is not measured again yet"
    assert capsys.readouterr().err == ""
    path.write_bytes((shipped / "h100-opt-125m/runs/eager/rep2.json").read_bytes())
    assert read(h100)[0].arms["eager"] == whole.arms["eager"]
    assert aside.exists()


def test_an_arm_whose_only_record_is_left_out_is_missing_with_the_reason(h100):
    path = damage(h100 / "eager-profile" / "rep1.json")
    arm = read(h100)[0].arms["eager-profile"]
    assert (arm.status, arm.repeats) == ("missing", 0)
    assert arm.reason.startswith("repeat 1 is not believed and left out: not a record of a run")
    aside = set_aside(path)
    arm = read(h100)[0].arms["eager-profile"]
    assert (arm.status, arm.repeats) == ("missing", 0)
    assert arm.reason == f"repeat 1 was set aside as {aside.name} and is not measured again yet"


def test_where_no_record_is_believed_nothing_is_renamed(h100):
    moved = h100.parent.with_name("another-name") / "runs"
    moved.parent.mkdir()
    h100.rename(moved)
    before = sorted(moved.rglob("*"))
    with pytest.raises(LabError, match="belongs to data set 'h100-opt-125m', not 'another-name'"):
        read(moved)
    assert sorted(moved.rglob("*")) == before


def test_two_damages_in_one_second_keep_both(h100):
    path = h100 / "eager" / "rep2.json"
    other = shutil.copy(path, path.with_name("other"))
    first = set_aside(damage(path))
    other.rename(path)
    second = set_aside(path)
    assert first.exists() and second.exists()
    assert first != second


def test_a_failed_run_does_not_hide_that_two_others_differ(h100, edit_record):
    def fail(body):
        body |= {"status": "failed", "cells": [], "resolved": None, "startup": None}
        body["measured_at"] = "2026-01-01T00:00:00+00:00"
        body["environment"]["vllm"] = None
        body["failure"] = {"kind": "boot", "reason": "no luck", "log_tail": []}

    edit_record(h100 / "compiled" / "rep1.json", fail)
    assert read(h100)[0].arms["compiled"].repeats == 2
    edit_record(h100 / "eager" / "rep2.json", set_at("environment.vllm", "0.33.0"))
    with pytest.raises(LabError, match=r"environment\.vllm"):
        read(h100)


def test_what_the_configuration_asks_now_must_be_what_was_measured(h100, config):
    asked = read_record(h100 / "eager" / "rep1.json").request.model_dump()
    assert read(h100, expected={"eager": asked})
    changes: list[dict[str, object]] = [
        {"engine_args": {}}, {"seed": 1}, {"iterations": 1}, {"model": "another/one"}
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(LabError, match="asked now is") as caught:
            read(h100, expected={"eager": asked | change})
        # What only this arm is defined by is mended without the other arms.
        aside = f"cudagraph-lab set-aside {h100}/eager/rep*.json, then make lab"
        assert (aside in str(caught.value)) == ("engine_args" in change)
    # Which weights were taken was decided once, for the data set.
    assert read(h100, expected={"eager": asked | {"weights": "hub", "revision": "abc"}})


def test_simulated_data_says_so_by_its_name_and_nothing_else_may(small_record):
    path = small_record(kind="simulated")
    with pytest.raises(LabError, match="simulated data under the name 'small'"):
        read(path.parents[1])
    path = small_record(dataset="simulated-one")
    with pytest.raises(LabError, match="measured data under the name 'simulated-one'"):
        read(path.parents[1], name="simulated-one")


def each_step(mode):
    def edit(body):
        for cell in body["cells"]:
            for call in cell["calls"]:
                for step in call["steps"]:
                    step["mode"] = mode

    return edit


def test_eager_that_replayed_is_not_believed(h100, edit_record):
    edit_record(h100 / "eager" / "rep3.json", each_step("FULL"))
    dataset, table = read(h100)
    assert dataset.arms["eager"].status == "invalid"
    assert "repeat 3, batch 1: only 0% of the decode steps ran as NONE" in (
        dataset.arms["eager"].reason
    )
    assert table[table["arm"] == "eager"].empty
    assert not table[table["arm"] == "graphs"].empty


def test_graphs_that_did_not_replay_are_not_believed(h100, edit_record):
    edit_record(h100 / "graphs" / "rep1.json", each_step("NONE"))
    dataset, table = read(h100)
    assert dataset.arms["graphs"].status == "invalid"
    assert "repeat 1" in dataset.arms["graphs"].reason
    assert "FULL" in dataset.arms["graphs"].reason
    assert table[table["arm"] == "graphs"].empty


def test_a_few_mixed_steps_are_believed_and_more_are_not(h100, edit_record):
    def one_in(n):
        def edit(body):
            call = body["cells"][0]["calls"][-1]
            call["steps"] = [
                {"mode": "FULL", "unpadded_tokens": 1, "padded_tokens": 1, "count": n - 1},
                {"mode": "NONE", "unpadded_tokens": 1, "padded_tokens": 1, "count": 1},
            ]

        return edit

    edit_record(h100 / "graphs" / "rep1.json", one_in(20))
    dataset, table = read(h100)
    assert dataset.arms["graphs"].status == "ok"
    where = {"arm": "graphs", "repeat": 1, "batch": 1, "role": "timed", "iteration": 5}
    assert of(table, **where, quantity="full_share") == [0.95]
    edit_record(h100 / "graphs" / "rep1.json", one_in(19))
    assert read(h100)[0].arms["graphs"].status == "invalid"


@pytest.mark.parametrize(
    ("arm", "resolved", "reason"),
    [
        ("graphs", "NONE", "asks for CUDA graphs, but vLLM resolved cudagraph_mode to NONE"),
        ("eager", "FULL", "asks for no graphs, but vLLM resolved FULL"),
        ("compiled", "PIECEWISE", "asks for no graphs, but vLLM resolved PIECEWISE"),
    ],
)
def test_a_mode_that_vllm_changed_is_flagged(h100, edit_record, arm, resolved, reason):
    for path in (h100 / arm).glob("rep*.json"):
        edit_record(path, set_at("resolved.cudagraph_mode", resolved))
        if arm == "graphs":  # the shipped records leave graphs to vLLM
            edit_record(path, set_at("request.engine_args", {"enforce_eager": False}))
    facts = read(h100)[0].arms[arm]
    assert (facts.status, facts.reason) == ("invalid", reason)


def test_a_failed_arm_is_a_row_with_its_reason_and_a_failed_repeat_a_warning(h100, edit_record):
    def fail(body):
        body |= {"status": "failed", "cells": [], "resolved": None, "startup": None}
        body["failure"] = {"kind": "out_of_memory", "reason": "no room", "log_tail": []}

    edit_record(h100 / "graphs" / "rep1.json", fail)
    dataset, table = read(h100)
    assert dataset.arms["graphs"].status == "ok"
    assert dataset.arms["graphs"].repeats == 2
    path = h100 / "graphs" / "rep1.json"
    assert (
        "repeat 1 failed (out_of_memory): no room; the failure stays, since it is a result of this "
        f"arm; to measure it again: .venv/bin/cudagraph-lab set-aside {path}, then "
        "make lab with the same ARGS"
    ) in dataset.arms["graphs"].warnings
    assert set(table[table["arm"] == "graphs"]["repeat"]) == {2, 3}
    for k in (2, 3):
        edit_record(h100 / "graphs" / f"rep{k}.json", fail)
    dataset, table = read(h100)
    assert dataset.arms["graphs"].status == "failed"
    assert "out_of_memory" in dataset.arms["graphs"].reason
    assert (
        f"cudagraph-lab set-aside {path}, then make lab with the same ARGS"
        in dataset.arms["graphs"].reason
    )
    assert table[table["arm"] == "graphs"].empty
    assert not table[table["arm"] == "eager"].empty


def test_a_data_set_of_failures_alone_is_still_one(small_record):
    failure = {"kind": "boot", "reason": "no luck", "log_tail": []}
    path = small_record(status="failed", failure=failure, cells=[])
    dataset, table = read(path.parents[1])
    assert dataset.arms["eager"].status == "failed"
    assert table.empty


def test_arms_that_cannot_be_measured_here_are_listed_with_the_reason(small_record):
    path = small_record()
    reason = "CUDA graphs do not exist on a CPU"
    design = {"cpu": {"graphs": reason, "eager": reason}, "cuda": {"piecewise": "another"}}
    dataset, table = read(path.parents[1], design=design)
    assert dataset.arms["graphs"].status == "not_measurable"
    assert dataset.arms["graphs"].reason == reason
    assert "piecewise" not in dataset.arms
    assert dataset.arms["eager"].status == "ok"  # it was measured, whatever is said of it
    assert of(table, arm="eager", batch=4, role="timed", quantity="throughput") == [64.0]
    assert of(table, arm="eager", batch=4, role="first", quantity="throughput") == [16.0]


def test_the_order_is_that_in_which_runs_began(small_record):
    paths = [
        small_record(arm=arm, repeat=repeat, measured_at=f"2026-05-04T10:0{minute}:00+00:00")
        for minute, (repeat, arm) in enumerate([(1, "b"), (1, "a"), (2, "a"), (2, "b")])
    ]
    assert order_run([read_record(path) for path in paths]) == [["b", "a"], ["a", "b"]]


@pytest.mark.parametrize(
    ("resolved", "mode"),
    [
        ("NONE", "NONE"),
        ("PIECEWISE", "PIECEWISE"),
        ("FULL", "FULL"),
        ("FULL_DECODE_ONLY", "FULL"),
        ("FULL_AND_PIECEWISE", "FULL"),
    ],
)
def test_decode_steps_of_each_mode(shipped, resolved, mode):
    record = read_record(shipped / "h100-opt-125m/runs/graphs/rep2.json")
    of_mode = record.resolved.model_copy(update={"cudagraph_mode": resolved})
    assert expected_decode_mode(of_mode, 512) == mode
    assert expected_decode_mode(of_mode, 513) == "NONE"


def test_a_batch_above_the_ladder_costs_no_other_batch_its_numbers(h100, edit_record):
    def shorten_ladder(body):
        body["resolved"]["capture_sizes"] = [1, 2, 4, 8, 16, 32, 40]
        for call in body["cells"][-1]["calls"]:
            for step in call["steps"]:
                step["mode"] = "NONE"

    for path in sorted((h100 / "graphs").glob("rep*.json")):
        edit_record(path, shorten_ladder)
    dataset, table = read(h100)
    assert dataset.arms["graphs"].status == "ok"
    assert (
        "batch 64: decode steps of 64 tokens are above the largest captured size (40): "
        "they ran without a graph"
    ) in dataset.arms["graphs"].warnings
    assert set(table[table.arm == "graphs"].batch.dropna()) == {1, 8, 9, 33, 64}


def test_description_and_configuration_both_bring_contrasts(small_record):
    path = small_record()
    description = {
        "title": "A title",
        "notes": ["a note"],
        "contrasts": {"noise": {"numerator": "eager", "denominator": "eager", "note": "x"}},
    }
    dataset, _ = read(path.parents[1], description=description)
    assert dataset.title == "A title"
    assert dataset.notes == ["a note"]
    assert dataset.contrasts["noise"] == Contrast(numerator="eager", denominator="eager", note="x")
    assert dataset.contrasts["bundle"] == Contrast(numerator="graphs", denominator="eager")


def test_the_configuration_names_a_contrast_that_a_data_set_describes_too(small_record):
    sides = {"numerator": "eager", "denominator": "eager"}
    path = small_record()
    dataset, _ = read_dataset(
        "small",
        [path],
        {"contrasts": {"noise": sides}},
        {"twice": {**sides, "role": "a_a"}},
        {},
        {},
    )
    assert dataset.contrasts == {"twice": Contrast(**sides, role="a_a")}
