"""Arms in turn through Snakemake, from configuration to ledger; a stub stands in for vLLM."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cudagraph_lab.records.store import read_record
from tests.own_device import own_device

STUB = Path(__file__).parents[1] / "fixtures" / "stub_vllm"
ARMS = ("eager", "eager-again", "compiled")
BATCH_SIZES, ROUNDS, REPEATS = [1, 2], 4, 2
# Calls of an arm: the first of each batch size, then one a round of each. This one is in round 3.
FATAL_CALL = len(BATCH_SIZES) * 3 + 1
MINE: dict[str, Any] = {
    "measure": "cpu",
    "dataset": "turns",
    "compare": [],
    "vllm_python": sys.executable,
    "model": {"name": "tests/opt-2-layers", "weights": "dummy"},
    "workload": {"output_tokens": 4, "batch_sizes": BATCH_SIZES, "max_model_len": 64},
    "order": "in_turn",
    "boots": "together",
    "repeats": REPEATS,
    "iterations": ROUNDS,
    "warmups": 0,
    "timeout_s": 120,
    "arms": {"eager-again": {"engine_args": {"enforce_eager": True}}},
    "contrasts": {"noise": {"numerator": "eager-again", "denominator": "eager", "role": "a_a"}},
}


class Lab:
    """A directory in which the workflow measures the stub in turn."""

    def __init__(self, directory, repository, run, design=None):
        self.directory, self._run = directory, run
        shipped = repository / "config"
        designs = [shipped / "config.yaml", *([shipped / design] if design else [])]
        self._files = [*designs, directory / "mine.yaml"]
        model = MINE["model"] | {"architecture": str(repository / "tests/models/opt-2-layers")}
        self._files[-1].write_text(yaml.safe_dump(MINE | {"model": model}))

    def run(self, *arguments, how="works"):
        """The workflow up to the ledger. Snakemake and all below it get the stub."""
        environment = {
            **own_device(self.directory),
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(STUB), os.environ.get("PYTHONPATH", "")])
            ),
            "STUB_VLLM": how,
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return self._run(
                *arguments,
                "results/ledger.json",
                directory=self.directory,
                configfiles=self._files,
            )

    def path(self, arm, repeat):
        return self.directory / "results" / "turns" / "runs" / arm / f"rep{repeat}.json"

    def records(self):
        """All records, by arm and repeat."""
        return {
            (arm, repeat): read_record(self.path(arm, repeat), "turns")
            for arm in ARMS
            for repeat in range(1, REPEATS + 1)
        }

    def facts(self):
        return json.loads((self.directory / "results/turns/dataset.json").read_text())

    def numbers(self):
        text = (self.directory / "results/ledger.json").read_text()
        return {one["id"]: one for one in json.loads(text)["numbers"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, repository, run_snakemake):
    """A lab in which all arms of all repeats were measured."""
    lab = Lab(tmp_path_factory.mktemp("turns"), repository, run_snakemake)
    done = lab.run()
    assert done.returncode == 0, done.stdout[-4000:]
    return lab, done.stdout


@pytest.fixture(scope="module")
def company(tmp_path_factory, repository, run_snakemake):
    """A lab with the shipped design that measures an arm in turn and alone."""
    lab = Lab(tmp_path_factory.mktemp("alone"), repository, run_snakemake, "co-residence.yaml")
    done = lab.run()
    assert done.returncode == 0, done.stdout[-4000:]
    return lab, done.stdout


@pytest.fixture(scope="module")
def one_fails(tmp_path_factory, repository, run_snakemake):
    """A lab in which one arm fails in the third round of every repeat."""
    lab = Lab(tmp_path_factory.mktemp("fails"), repository, run_snakemake)
    done = lab.run(how=f"eager-again=fails at call {FATAL_CALL}")
    assert done.returncode == 0, done.stdout[-4000:]
    return lab, done.stdout


def timed(record):
    return [(cell.batch, call) for cell in record.cells for call in cell.timed()]


def test_one_job_a_repeat_writes_the_record_of_every_arm(whole, jobs):
    lab, said = whole
    counted = jobs(said)
    assert {rule: n for rule, n in counted.items() if rule.startswith("measure")} == {
        "measure_in_turn_1": 1,
        "measure_in_turn_2": 1,
    }
    for (arm, repeat), record in lab.records().items():
        assert (record.status, record.arm, record.repeat) == ("ok", arm, repeat)
        assert record.request.measured == "in_turn"
        assert sorted(record.request.order) == sorted(ARMS)
        for cell in record.cells:
            assert [call.role for call in cell.calls] == ["first"] + ["timed"] * ROUNDS
            assert [call.round for call in cell.timed()] == list(range(1, ROUNDS + 1))


def test_calls_of_all_arms_alternate_and_none_overlaps_another(whole):
    lab, _ = whole
    records = lab.records()
    for repeat in range(1, REPEATS + 1):
        calls = sorted(
            (call.started_s, call.started_s + call.seconds, call.round, arm, batch)
            for arm in ARMS
            for batch, call in timed(records[arm, repeat])
        )
        ends = [end for _, end, *_ in calls]
        assert all(start >= end for (start, *_), end in zip(calls[1:], ends, strict=False))
        size = len(ARMS) * len(BATCH_SIZES)
        for number in range(ROUNDS):
            part = calls[number * size : (number + 1) * size]
            assert {round_ for *_, round_, _, _ in part} == {number + 1}
            assert len({(arm, batch) for *_, arm, batch in part}) == size


def test_the_ratio_so_far_is_told_round_by_round_with_an_interval_from_two_repeats_on(whole):
    _, said = whole
    told = [line for line in said.splitlines() if ": round " in line]
    assert len(told) == REPEATS * ROUNDS
    for line in told:
        assert re.match(
            rf"repeat \d: round \d of {ROUNDS}, compiled/eager \d+\.\d\dx"
            + (", no interval yet" if line.startswith("repeat 1") else r" \(.+ to .+\)")
            + r" at batch 1, \d+\.\d s of timed calls",
            line,
        ), line


def test_the_ledger_pairs_the_arms_and_says_what_it_cannot(whole):
    lab, _ = whole
    numbers = lab.numbers()
    assert lab.facts()["measured"] == "in_turn"
    ratio = numbers["ratio/compile/b1"]
    assert ratio["n"] == REPEATS
    assert ratio["method"].startswith("t over repeats as blocks")
    assert 0 < numbers["measurement/timed_share"]["value"] < 1
    assert numbers["measurement/timed_share"]["n"] == REPEATS
    assert not [name for name in numbers if name.startswith("startup/boot")]


def test_a_second_run_has_nothing_to_do(whole):
    lab, _ = whole
    done = lab.run("-n")
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


def test_an_arm_that_fails_leaves_the_others_going(one_fails):
    lab, said = one_fails
    for (arm, repeat), record in lab.records().items():
        if arm == "eager-again":
            continue
        assert (record.status, record.failure) == ("ok", None)
        assert len(timed(record)) == ROUNDS * len(BATCH_SIZES)
        assert f"repeat {repeat}: eager-again ended early; the other arms go on" in said


def test_an_arm_that_fails_keeps_its_finished_rounds_and_no_number_is_made_of_them(one_fails):
    lab, _ = one_fails
    for repeat in range(1, REPEATS + 1):
        record = lab.records()["eager-again", repeat]
        assert (record.status, record.failure.kind) == ("failed", "generate")
        assert "device-side assert triggered" in record.failure.reason
        assert {call.round for _, call in timed(record)} == {1, 2}
        assert len(timed(record)) == 2 * len(BATCH_SIZES)
    assert lab.facts()["arms"]["eager-again"]["status"] == "failed"
    numbers = lab.numbers()
    assert numbers["ratio/compile/b1"]["value"] > 0
    assert numbers["ratio/noise/b1"]["value"] is None
    assert "device-side assert triggered" in numbers["ratio/noise/b1"]["missing"]


def test_one_record_is_measured_again_by_name_and_the_others_stay(one_fails):
    lab, _ = one_fails
    path = lab.path("eager-again", 2)
    path.unlink()
    kept = {lab.path(arm, repeat): lab.path(arm, repeat).read_bytes()
            for arm in ARMS for repeat in (1, 2) if lab.path(arm, repeat) != path}  # fmt: skip
    done = lab.run(str(path.relative_to(lab.directory)))
    assert done.returncode == 0, done.stdout[-4000:]
    assert {p: p.read_bytes() for p in kept} == kept
    record = read_record(path, "turns")
    assert (record.status, record.request.order) == ("ok", ["eager-again"])


def test_an_arm_that_is_killed_is_measured_again_beside_what_the_others_finished(
    tmp_path, repository, run_snakemake
):
    """What somebody killed says nothing of the arm: the next run measures it, and it alone."""
    lab = Lab(tmp_path, repository, run_snakemake)
    done = lab.run(how=f"eager-again=killed at call {FATAL_CALL}")
    assert done.returncode != 0
    assert "eager-again rep 1: vLLM's process was ended from outside (SIGKILL)" in done.stdout
    assert not lab.path("eager-again", 1).exists()
    done = lab.run()
    assert done.returncode == 0, done.stdout[-4000:]
    records = lab.records()
    assert {record.status for record in records.values()} == {"ok"}
    assert records["eager-again", 1].request.order == ["eager-again"]
    assert sorted(records["eager", 1].request.order) == sorted(ARMS)
    assert records["eager", 1].measured_at < records["eager-again", 1].measured_at


def test_an_arm_is_measured_in_turn_and_alone_in_the_same_repeats(company, jobs):
    lab, said = company
    measured = {rule: n for rule, n in jobs(said).items() if rule.startswith("measure")}
    assert measured == {"measure": 2, "measure_in_turn_1": 1, "measure_in_turn_2": 1}
    begun = []
    for repeat in (1, 2):
        for arm, how in (
            ("eager", "in_turn"),
            ("eager-again", "in_turn"),
            ("eager-alone", "apart"),
        ):
            record = read_record(lab.path(arm, repeat), "turns")
            assert (record.status, record.request.measured) == ("ok", how)
            assert record.request.workload == read_record(lab.path("eager", 1)).request.workload
            begun.append((record.measured_at, repeat))
    assert [repeat for _, repeat in sorted(begun)] == [1] * 3 + [2] * 3


def test_what_company_changes_is_a_number(company):
    lab, _ = company
    numbers = lab.numbers()
    for batch in BATCH_SIZES:
        ratio = numbers[f"ratio/company/b{batch}"]
        assert ratio["value"] > 0 and ratio["n"] == 2
        assert ratio["method"].startswith("t over repeats as blocks")
    assert lab.facts()["contrasts"]["company"]["role"] == "co_resident"
    assert not [name for name in numbers if name.startswith("ratio/co_resident")]
