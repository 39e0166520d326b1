"""One real measurement with vLLM on this machine's CPU, and what may and may not repeat it.

Two arms of a two-layer model with dummy weights, one repeat, which are the first size of those in
test_measured_sizes.py: some minutes for both, most of them imports and boots of vLLM. Its
environment is built from the lock when it is not there.
"""

import json
import os

import pytest

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.runs import order_of_repeat
from cudagraph_lab.engine.versions import VLLM_VERSION
from cudagraph_lab.records.store import read_record
from tests.tiny_config import BATCH_SIZES, OUTPUT_TOKENS
from tests.workflow.tiny_lab import ARMS, ITERATIONS, SizesLab

pytestmark = pytest.mark.vllm

DATASET = SizesLab.dataset


@pytest.fixture(scope="session")
def records(measured):
    return {arm: read_record(measured[0].runs / arm / "rep1.json", DATASET) for arm in ARMS}


@pytest.fixture(scope="session")
def ledger(measured):
    text = (measured[0].directory / "results" / "ledger.json").read_text(encoding="utf-8")
    return {one["id"]: one for one in json.loads(text)["numbers"] if one["dataset"] == DATASET}


# --- What was measured -------------------------------------------------------------------


def test_both_arms_ran_and_left_nothing_but_their_record_and_log(measured, records):
    lab, _ = measured
    files = sorted(str(p.relative_to(lab.runs)) for p in lab.runs.rglob("*") if p.is_file())
    assert files == [f"{arm}/rep1.{end}" for arm in sorted(ARMS) for end in ("json", "log")]
    for record in records.values():
        assert (record.status, record.failure, record.kind) == ("ok", None, "measured")


def test_vllm_did_what_each_arm_asks(records):
    eager, compiled = records["eager"].resolved, records["compiled"].resolved
    assert (eager.compile_mode, eager.cudagraph_mode) == ("NONE", "NONE")
    assert eager.enforce_eager
    # On a CPU vLLM compiles with torch.compile at large, not piece by piece.
    assert (compiled.compile_mode, compiled.cudagraph_mode) == ("DYNAMO_TRACE_ONCE", "NONE")
    assert not compiled.enforce_eager
    for resolved in (eager, compiled):
        assert resolved.dtype == "torch.float32"
        assert resolved.capture_sizes == []
        assert resolved.max_model_len == 64


def test_the_compiled_arm_was_really_compiled(records):
    for record in records.values():
        assert "TORCH_COMPILE_DISABLE" not in record.environment.variables
    assert records["compiled"].startup.compile_cache_was in ("cold", "warm")
    assert records["eager"].startup.compile_cache_was is None


def test_every_call_is_kept_with_its_role_and_its_tokens(records):
    for record in records.values():
        assert [cell.batch for cell in record.cells] == BATCH_SIZES
        for cell in record.cells:
            roles = [call.role for call in cell.calls]
            assert roles == ["first", "warmup"] + ["timed"] * ITERATIONS
            for call in cell.calls:
                assert call.tokens == cell.batch * OUTPUT_TOKENS
                assert call.seconds > 0
                assert len(call.decode_s_per_step) == len(call.first_token_s) == cell.batch
                # No request decodes longer than the call that it is part of.
                assert max(call.decode_s_per_step) * (OUTPUT_TOKENS - 1) < call.seconds
            starts = [call.started_s for call in cell.calls]
            assert starts == sorted(starts)


def test_every_step_is_proved_to_run_without_a_graph(records):
    for record in records.values():
        for cell in record.cells:
            for call in cell.calls:
                assert {step.mode for step in call.steps} == {"NONE"}
                # A prompt of six tokens per request, and all but the first token decoded.
                tokens = sum(step.unpadded_tokens * step.count for step in call.steps)
                assert tokens == cell.batch * (6 + OUTPUT_TOKENS - 1)
                assert all(step.padded_tokens == step.unpadded_tokens for step in call.steps)


def test_the_text_is_the_same_within_an_arm(records):
    for record in records.values():
        for cell in record.cells:
            assert len(cell.output_sha256) == cell.batch
            assert len(set(cell.output_sha256)) == 1
            assert [len(ids) for ids in cell.output_token_ids] == [OUTPUT_TOKENS]


def test_the_start_up_is_taken_apart_and_the_log_was_kept_and_read(measured, records):
    for arm, record in records.items():
        spans = {span.name: span for span in record.startup.spans}
        assert {"import", "boot", "device", "load", "profile", "kv_cache", "warm_up"} <= set(spans)
        assert "capture" not in spans
        boot = spans["boot"]
        for name in ("device", "load", "profile", "kv_cache"):
            # The worker's clock and ours are one; its phases lie within the boot.
            assert boot.start_s <= spans[name].start_s
            assert spans[name].start_s + spans[name].seconds <= boot.start_s + boot.seconds
        assert record.startup.capture is None
        assert record.startup.kv_cache_tokens > 0
        facts = record.startup.log
        assert facts.vllm_version == VLLM_VERSION
        assert not facts.passes
        assert facts.init_engine_seconds > 0
        log = (measured[0].runs / arm / "rep1.log").read_text()
        assert "init engine" in log
        assert str(measured[0].directory) not in log


def test_the_environment_is_recorded(records, repository):
    for record in records.values():
        where = record.environment
        assert where.platform == "cpu"
        assert where.vllm == VLLM_VERSION
        assert where.torch.startswith("2.11.0")
        assert where.lock.startswith("vllm-cpu.txt sha256:")
        assert where.device.endswith("cores")
        assert where.threads >= 1
        assert "OMP_NUM_THREADS" not in where.variables
        assert where.variables["VLLM_CACHE_ROOT"].startswith(f"<cache>/compile/{DATASET}")
        text = record.model_dump_json()
        assert str(repository) not in text.replace(str(repository / "tests"), "")
    assert records["eager"].request.order == records["compiled"].request.order


def test_the_arms_ran_in_the_drawn_order(measured, config):
    facts = json.loads((measured[0].directory / f"results/{DATASET}/dataset.json").read_text())
    assert facts["order"] == [order_of_repeat(Config.model_validate(config), "cpu", 1)]


def test_the_arm_that_a_cpu_cannot_run_is_there_with_its_reason(measured, ledger):
    facts = json.loads((measured[0].directory / f"results/{DATASET}/dataset.json").read_text())
    reason = "CUDA graphs do not exist on a CPU"
    assert facts["arms"]["graphs"]["status"] == "not_measurable"
    assert facts["arms"]["graphs"]["reason"] == reason
    assert {facts["arms"][arm]["status"] for arm in ARMS} == {"ok"}
    for number in ("ratio/bundle/b1", "ratio/graph/b4", "throughput/graphs/b1", "capture/seconds"):
        assert ledger[number]["value"] is None
        assert reason in ledger[number]["missing"]


def test_compilation_against_eager_was_measured_without_an_interval(ledger, records):
    for batch in BATCH_SIZES:
        ratio = ledger[f"ratio/compile/b{batch}"]
        assert ratio["value"] > 0
        assert (ratio["n"], ratio["low"], ratio["high"]) == (1, None, None)
        assert len(ratio["files"]) == 2
    assert ledger["capture/passes/eager"]["value"] == 0
    assert ledger["replay/full_share/eager/b1"]["value"] == 0


def test_the_predictions_were_registered_before_the_first_run(measured, records):
    register = json.loads(
        (measured[0].directory / f"results/{DATASET}/predictions.registered.json").read_text()
    )
    first = min(record.measured_at for record in records.values())
    assert register["registered_at"] <= first
    assert len(register["predictions"]) > 30


def test_the_report_is_there(measured):
    page = measured[0].directory / "results" / "report" / "lab_report.html"
    text = page.read_text(encoding="utf-8")
    assert "CUDA graphs do not exist on a CPU" in text
    assert "://" not in text.replace("http://www.w3.org/", "")


def test_progress_was_shown_while_it_ran(measured):
    _, said = measured
    for arm in ARMS:
        assert f"{arm} rep 1: booting vLLM" in said
        assert f"{arm} rep 1: batch 4: first call, " in said
        assert f"{arm} rep 1: round 1 of " in said
    assert "Traceback" not in said


# --- What measures again, and what does not ------------------------------------------------


def planned(jobs, done):
    assert done.returncode == 0, done.stdout[-3000:]
    return jobs(done.stdout)


def test_a_second_run_has_nothing_to_do(lab):
    done = lab.run("-n")
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


def test_one_more_repeat_is_one_more_measurement_per_arm(lab, jobs):
    done = lab.run("-n", repeats=2)
    assert planned(jobs, done)["measure"] == 2
    for arm in ARMS:
        assert f"output: results/{DATASET}/runs/{arm}/rep2.json" in done.stdout
        assert f"output: results/{DATASET}/runs/{arm}/rep1.json" not in done.stdout
    dear = {"build_environment", "choose_weights", "register_predictions"}
    assert not dear & set(jobs(done.stdout))


def test_a_changed_configuration_measures_nothing(lab, jobs):
    done = lab.run(
        "-n",
        iterations=5,
        timeout_s=900,
        headline="compile",
        arms={"eager": {"engine_args": {"enforce_eager": True}, "note": "another note"}},
    )
    again = planned(jobs, done)
    assert "measure" not in again
    assert again["build_ledger"] == 1


def test_edited_sources_measure_nothing(lab, jobs, make_clone, tmp_path):
    clone = make_clone(tmp_path / "clone")
    for source in (clone / "workflow").rglob("*.*"):
        if {"harness", "cudagraph_lab", "rules", "scripts"} & set(source.parts):
            if source.suffix in (".py", ".smk"):
                source.write_text(source.read_text(encoding="utf-8") + "\n# edited\n")
            os.utime(source)
    done = lab.run("-n", snakefile=clone / "Snakefile")
    again = planned(jobs, done)
    assert "measure" not in again
    assert "register_predictions" not in again
    # Each size is looked at once more, which costs nothing.
    assert again["collect_observations"] == 2


def contents(lab):
    return {path.name: path.read_bytes() for path in sorted(lab.runs.rglob("rep*"))}


def test_a_repeat_under_other_conditions_is_refused_and_nothing_is_lost(lab):
    before = contents(lab)
    done = lab.run(repeats=2, workload={"output_tokens": OUTPUT_TOKENS + 1})
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    # While the workflow is parsed, so before anything is measured.
    (refusal,) = {line for line in done.stdout.splitlines() if "measured with" in line}
    assert "/rep1.json: measured with workload.output_tokens 8, asked now is 9" in refusal
    assert "set `dataset` to a new name" in refusal
    assert contents(lab) == before


def left_out_by_name(lab, reason):
    """Make the ledger with a record of `compiled` that is not believed; it stays where it is."""
    path = lab.runs / "compiled" / "rep1.json"
    content = path.read_bytes()
    done = lab.run("results/ledger.json")
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    (said,) = {line for line in done.stdout.splitlines() if line.startswith("cudagraph-lab: ")}
    assert f"results/{DATASET}/runs/compiled/rep1.json: {reason}" in said
    assert "left out, the rest goes on" in said
    assert f"cudagraph-lab set-aside results/{DATASET}/runs/compiled/rep1.json" in said
    # Nothing is renamed, nor measured again unless it is asked for.
    assert path.read_bytes() == content


def test_a_half_written_record_is_named_and_left_out(lab):
    path = lab.runs / "compiled" / "rep1.json"
    path.write_bytes(path.read_bytes()[:2000])
    left_out_by_name(lab, "not a record of a run")


def test_a_foreign_record_is_named_and_left_out(lab, edit_record):
    edit_record(
        lab.runs / "compiled" / "rep1.json", lambda record: record.update(dataset="another")
    )
    left_out_by_name(lab, "belongs to data set 'another'")
