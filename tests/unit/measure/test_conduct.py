"""Arms in turn with a stand-in for vLLM: rounds, an arm that ends early, time that runs out."""

import sys
import time
from itertools import pairwise

import pytest

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.job import job_of
from cudagraph_lab.errors import LabError
from cudagraph_lab.measure import conduct, supervisor
from cudagraph_lab.measure import run as measure
from cudagraph_lab.measure.conduct import UNTIL, seconds_left
from cudagraph_lab.observations.table import observe

ARMS = ["eager", "eager-again", "compiled"]
OUT_OF_MEMORY_SEQUENCES = 4096  # with as many the stand-in for vLLM has no memory left


@pytest.fixture
def run_in_turn(config, tmp_path, monkeypatch, repository):
    """Measure arms in turn; the stand-in of one arm may fail in a chosen way."""
    config["arms"]["eager-again"] = config["arms"]["eager"]
    config |= {"order": "in_turn", "boots": "together"}
    config |= {"iterations": 3, "warmups": 1, "timeout_s": 60.0}
    config["workload"]["batch_sizes"] = [1, 2]
    config["vllm_python"] = sys.executable
    config["cache_dir"] = str(tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))  # a device lock of its own
    monkeypatch.setenv("PYTHONPATH", str(repository / "tests" / "fixtures" / "stub_vllm"))
    monkeypatch.setenv("STUB_VLLM", "works")
    monkeypatch.chdir(tmp_path)
    weights = {"weights": "dummy", "revision": None, "path": str(tmp_path)}

    def run(arms=ARMS, how=None, seconds=None, profile_after=False, repeat=1, **changes):
        config.update(changes)
        config["seconds_per_repeat"] = seconds
        config["profile_after"] = profile_after
        if how:
            monkeypatch.setenv("STUB_VLLM", how)
        records = measure.measure(
            job_of(Config.model_validate(config), "cpu", "d", arms, repeat), weights
        )
        return {record.arm: record for record in records}

    return run


def test_every_cell_has_one_call_a_round_and_all_calls_share_a_clock(run_in_turn):
    records = run_in_turn()
    spans = []
    for arm in ARMS:
        record = records[arm]
        assert record.status == "ok"
        assert sorted(record.request.order) == sorted(ARMS)
        for cell in record.cells:
            assert [(call.role, call.round) for call in cell.calls] == [
                ("first", None), ("warmup", None), ("timed", 1), ("timed", 2), ("timed", 3),
            ]  # fmt: skip
            spans += [(c.started_s, c.started_s + c.seconds, arm, c.round) for c in cell.calls]
    spans.sort()
    # One call at a time on the whole device, and no round begins before the last one ended.
    assert all(end <= start for (_, end, *_), (start, *_) in pairwise(spans))
    rounds = [round_ for *_, round_ in spans if round_]
    assert rounds == sorted(rounds)
    # No arm has its calls in a row: the arms change places within a round.
    timed = [arm for *_, arm, round_ in spans if round_]
    assert max(timed[k : k + 4].count(arm) for k in range(len(timed) - 3) for arm in ARMS) <= 2


def test_engines_that_boot_in_sequence_do_so_in_the_order_of_the_repeat(run_in_turn, monkeypatch):
    events = []

    def start_harness(name, *arguments):
        events.append(("start", name.partition(" ")[0]))
        return supervisor.start_harness(name, *arguments)

    monkeypatch.setattr(measure, "start_harness", start_harness)
    monkeypatch.setattr(conduct, "say", lambda line: events.append(("say", line)))
    records = run_in_turn(boots="in_sequence")
    order = records["eager"].request.order
    assert sorted(order) == sorted(ARMS)
    boots = [e for e in events if e[0] == "start" or "starting" in e[1] or "booting" in e[1]]
    assert boots == [
        event
        for arm in order
        for event in [
            ("start", arm),
            ("say", f"repeat 1: starting, {arm}"),
            ("say", f"repeat 1: booting vLLM, {arm}"),
        ]
    ]
    # Nobody boots beside a start, so that its seconds are what it takes.
    for arm in ARMS:
        assert records[arm].request.boots == "in_sequence"
        seen = {row[5] for row in observe(records[arm], "warm")}
        assert {"span_boot_s", "boot_warm_s"} <= seen


def test_an_arm_that_does_not_boot_in_sequence_leaves_the_next_ones_theirs(run_in_turn, config):
    config["arms"]["eager-again"] = {
        "engine_args": {"enforce_eager": True, "max_num_seqs": OUT_OF_MEMORY_SEQUENCES}
    }
    records = run_in_turn(boots="in_sequence")
    assert {arm for arm, record in records.items() if record.status == "ok"} == {
        "eager",
        "compiled",
    }


def test_the_machine_that_goes_back_ends_the_rounds_and_not_the_repeat(run_in_turn, monkeypatch):
    monkeypatch.setenv(UNTIL, str(time.time()))
    records = run_in_turn(seconds=600)
    assert {len(cell.timed()) for r in records.values() for cell in r.cells} == {1}
    assert all(record.status == "ok" for record in records.values())


def test_only_a_repeat_bounded_in_seconds_is_shortened(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert seconds_left(None, {UNTIL: "1"}) is None
    assert seconds_left(60.0, {}) == 60.0
    assert seconds_left(60.0, {UNTIL: "1010.5"}) == 10.5
    assert seconds_left(60.0, {UNTIL: "2000"}) == 60.0
    with pytest.raises(LabError, match="CUDAGRAPH_LAB_UNTIL: 'noon' is no time"):
        seconds_left(60.0, {UNTIL: "noon"})


@pytest.mark.parametrize("arm", ARMS)
def test_a_mistake_of_one_arm_ends_the_job_before_anything_is_measured(
    run_in_turn, config, tmp_path, capfd, arm
):
    config["arms"][arm] = {"engine_args": {**config["arms"][arm]["engine_args"]}}
    config["arms"][arm]["engine_args"]["kv_cache_dtype"] = "fp9"
    with pytest.raises(LabError, match=f"^{arm} rep 1: vLLM did not start: ValueError: 1 valid"):
        run_in_turn()
    left = {path.name for path in (tmp_path / "results").rglob("*")}
    assert left == {"d", "runs", *ARMS, "rep1.log"}
    said = capfd.readouterr().err
    assert "round 1" not in said
    assert "the other arms go on" not in said
    del config["arms"][arm]["engine_args"]["kv_cache_dtype"]
    assert {record.status for record in run_in_turn().values()} == {"ok"}


def test_an_arm_without_memory_is_recorded_and_the_others_go_on(run_in_turn, config, capfd):
    config["arms"]["compiled"]["engine_args"]["max_num_seqs"] = OUT_OF_MEMORY_SEQUENCES
    records = run_in_turn()
    assert {arm: record.status for arm, record in records.items()} == {
        "eager": "ok",
        "eager-again": "ok",
        "compiled": "failed",
    }
    assert records["compiled"].failure.kind == "out_of_memory"
    assert "repeat 1: compiled ended early; the other arms go on" in capfd.readouterr().err


def test_an_arm_measured_without_the_others_says_so(run_in_turn):
    run_in_turn(["eager", "compiled"])
    record = run_in_turn(ARMS)["eager-again"]
    assert record.request.order == ["eager-again"]
    assert record.status == "ok"


def test_timed_arms_are_profiled_after_their_calls_in_the_first_repeat_alone(run_in_turn, capfd):
    for repeat, counted in ((1, [(1, 2, 1.0), (2, 2, 1.0)]), (2, None)):
        records = run_in_turn(profile_after=True, repeat=repeat)
        for record in records.values():
            found = record.profile and [
                (one.batch, one.steps, one.operators_per_step) for one in record.profile
            ]
            assert found == counted
            assert record.request.profile_after == (repeat == 1)
            assert all(len(cell.timed()) == 3 for cell in record.cells)
    said = capfd.readouterr().err.splitlines()
    first = [line for line in said if line.startswith("repeat 1: ") and ", not timed" in line]
    # Arm by arm, and each arm all its batch sizes.
    assert [line.split()[2].rstrip(",") for line in first] == [a for a in ARMS for _ in range(2)]


@pytest.mark.parametrize("how", ["no profile", "dies profiled"])
def test_what_was_timed_counts_also_where_the_profile_fails(run_in_turn, capfd, how):
    records = run_in_turn(["eager", "compiled"], how=how, profile_after=True)
    for record in records.values():
        assert (record.status, record.failure) == ("ok", None)
        assert all(len(cell.timed()) == 3 for cell in record.cells)
        assert not record.profile
    reason = "RuntimeError: no profiler here" if how == "no profile" else "without a word"
    said = capfd.readouterr().err
    for arm in records:
        assert f"{arm} could not be profiled" in said
    assert reason in said


def test_no_profile_begins_when_the_machine_goes_back(run_in_turn, capfd, monkeypatch):
    monkeypatch.setenv(UNTIL, str(time.time() - 1))
    (record,) = run_in_turn(["eager"], seconds=600, profile_after=True).values()
    assert (record.status, record.profile) == ("ok", [])
    assert len(record.cells[0].timed()) == 1
    assert "no time is left for profiles" in capfd.readouterr().err


def test_processors_are_shared_once_the_engines_are_warm(run_in_turn, monkeypatch):
    kept = []
    monkeypatch.setattr(conduct, "shared_pair", lambda allowed: (max(allowed), min(allowed)))
    monkeypatch.setattr(conduct, "keep_on", lambda pids, pair: kept.append((list(pids), pair)))
    warm_up, made = conduct.Conductor.warm_up, []

    def warmed(self):
        warm_up(self)
        assert not kept
        made.append({arm: harness.process.pid for arm, harness in self.harnesses.items()})
        for member in self.job.arms:
            member.request["processors"] = "shared"

    monkeypatch.setattr(conduct.Conductor, "warm_up", warmed)
    records = run_in_turn()
    assert {record.status for record in records.values()} == {"ok"}
    [(processes, _)] = kept
    assert sorted(processes) == sorted(made[0].values())
