"""Two small shapes through config/sizes.yaml with vLLM on this machine's CPU: a data set each.

What is in a record of the first is looked at in test_measurement.py, which shares the directory.
"""

import json
import os

import pytest

from cudagraph_lab.design.memory import GIB, model_of
from cudagraph_lab.records.store import read_record
from tests.tiny_config import BATCH_SIZES
from tests.workflow.tiny_lab import ARMS, ITERATIONS

pytestmark = pytest.mark.vllm

SIZES = ("opt", "llama")


@pytest.fixture(scope="session")
def results(measured):
    return measured[0].directory / "results"


@pytest.fixture(scope="session")
def records(measured):
    return {
        (size, arm): read_record(
            measured[0].runs_of(f"tiny-{size}") / arm / "rep1.json", f"tiny-{size}"
        )
        for size in SIZES
        for arm in ARMS
    }


def test_each_size_is_a_data_set_with_its_own_model_and_order(records):
    for (size, arm), record in records.items():
        assert (record.status, record.arm) == ("ok", arm)
        assert record.request.model == f"tests/{size}-2-layers"
        assert record.request.measured == ("apart" if size == "opt" else "in_turn")
        assert [len(cell.timed()) for cell in record.cells] == [ITERATIONS] * len(BATCH_SIZES)


def test_the_sizes_are_measured_one_after_the_other_in_the_order_of_the_file(records):
    begun = {size: [records[size, arm].measured_at for arm in ARMS] for size in SIZES}
    assert max(begun["opt"]) < min(begun["llama"])


def test_timed_arms_are_profiled_under_their_own_names(records, results):
    for (size, arm), record in records.items():
        assert record.request.profile_after
        assert [one.batch for one in record.profile] == BATCH_SIZES
        for one in record.profile:
            # Eight tokens; the first comes from the prompt, and steps are counted from one begun to
            # the next.
            assert 4 <= one.steps <= 6
            assert one.operators_per_step > 20
        table = (results / f"tiny-{size}" / "observations.csv").read_text().splitlines()
        for batch in BATCH_SIZES:
            assert any(
                line.startswith(f"{arm},1,{batch},profile,1,operators_per_step,") for line in table
            )


def test_a_compiled_step_has_fewer_operators_than_an_eager_one(records):
    for size in SIZES:
        eager, compiled = (
            [one.operators_per_step for one in records[size, arm].profile] for arm in ARMS
        )
        assert all(few < many for few, many in zip(compiled, eager, strict=True))


def test_a_shape_can_be_run_with_fewer_layers(records, repository):
    path = repository / "tests" / "models" / "llama-2-layers" / "config.json"
    shape = json.loads(path.read_text(encoding="utf-8"))
    for arm in ARMS:
        # vLLM's KV cache has its bytes on a CPU; the fewer the layers, the more tokens it holds.
        # Numbers of four bytes, twice those of the 16-bit cache that is counted.
        bytes_per_token = model_of(shape | {"num_hidden_layers": 1}).kv_bytes_per_token
        assert records["llama", arm].startup.kv_cache_tokens == GIB // (2 * bytes_per_token)


def test_what_does_not_fit_is_said_before_anything_boots(measured, results):
    _, said = measured
    (line,) = {line for line in said.splitlines() if "tiny-too-large" in line}
    assert line.startswith("tiny-too-large is not measured here: an engine needs 265.3 GiB")
    assert said.index(line) < said.index("booting vLLM")
    assert not (results / "tiny-too-large").exists()


def test_the_report_shows_all_sizes(results):
    ledger = json.loads((results / "ledger.json").read_text(encoding="utf-8"))
    assert ledger["measured_here"] == ["tiny-opt", "tiny-llama"]
    assert [facts["name"] for facts in ledger["datasets"]] == ["tiny-opt", "tiny-llama"]
    page = (results / "report" / "lab_report.html").read_text(encoding="utf-8")
    assert "tiny-opt" in page and "tiny-llama" in page


def test_one_more_repeat_is_planned_as_each_size_is_measured(lab, jobs):
    done = lab.run("-n", repeats=2)
    planned = jobs(done.stdout)
    assert (planned["measure_in_turn_2_size_2"], planned["measure"]) == (1, 2)
    assert not {"measure_in_turn_1_size_2", "choose_weights", "register_predictions"} & set(planned)


def test_without_measuring_the_sizes_are_shown_as_they_are(lab, jobs):
    done = lab.run("-n", "results/ledger.json", "--forcerun", "build_ledger", measure="none")
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["build_ledger"] == 1
    assert not any(name.startswith("measure") for name in planned)
    for size in SIZES:
        assert f"results/tiny-{size}/observations.csv" in done.stdout


# --- Planned for a GPU, and not measured --------------------------------------------------


@pytest.fixture
def planned_for_a_gpu(run_snakemake, repository, tmp_path, monkeypatch):
    """A dry-run of a shipped file for a pretended GPU of so much memory."""
    monkeypatch.setenv(
        "PYTHONPATH", str(repository / "tests" / "fixtures" / "stub_nvml"), prepend=os.pathsep
    )

    def plan(name, memory_gib, *arguments):
        monkeypatch.setenv("STUB_NVML_GIB", str(memory_gib))
        files = tuple(repository / "config" / f"{one}.yaml" for one in ("config", name))
        done = run_snakemake("-n", *arguments, directory=tmp_path, configfiles=files)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return plan


def measuring(planned):
    return {name: count for name, count in planned.items() if name.startswith("measure")}


def test_the_shipped_sizes_are_planned_for_a_device_of_80_gib(planned_for_a_gpu, jobs):
    said = planned_for_a_gpu("sizes", 79.6, "--config", "dataset=h")
    in_turn = {
        f"measure_in_turn_{repeat}_size_{place}": 1 for repeat in (1, 2) for place in (1, 2, 3)
    }
    assert measuring(jobs(said)) == in_turn | {"measure": 3}
    assert "h-llama-70b is not measured here: an engine needs 134.8 GiB" in said
    for arm in ("eager", "compiled", "graphs"):
        assert f"results/h-qwen-32b/runs/{arm}/rep1.json" in said
    assert "results/h-llama-70b" not in said


@pytest.mark.parametrize(("name", "repeats", "apart"), [("starts", 3, 6), ("co-residence", 5, 5)])
def test_what_is_measured_apart_beside_arms_in_turn(planned_for_a_gpu, jobs, name, repeats, apart):
    planned = measuring(jobs(planned_for_a_gpu(name, 79.6, "--config", "dataset=h")))
    in_turn = {f"measure_in_turn_{repeat}": 1 for repeat in range(1, repeats + 1)}
    assert planned == in_turn | {"measure": apart}


def test_some_of_the_sizes_are_chosen_on_the_command_line(planned_for_a_gpu, jobs):
    chosen = "sizes={opt-125m: null, llama-1b: null, llama-8b: null}"
    said = planned_for_a_gpu("sizes", 139.8, "--config", "dataset=h", chosen)
    assert measuring(jobs(said)) == {"measure": 6}
    assert "not measured here" not in said


@pytest.mark.parametrize("here", ["a GPU", "none"])
def test_where_jobs_run_elsewhere_the_order_is_not_settled_by_this_machine(
    planned_for_a_gpu, run_snakemake, repository, tmp_path, monkeypatch, here
):
    if here == "a GPU":
        monkeypatch.setenv("STUB_NVML_GIB", "80")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    files = tuple(repository / "config" / f"{one}.yaml" for one in ("config", "sizes"))
    done = run_snakemake(
        "-n", "--workflow-profile", repository / "profiles" / "slurm",
        "--config", "dataset=h", "measure=cuda",
        directory=tmp_path, configfiles=files,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert "config: order: auto goes by the " in done.stdout
