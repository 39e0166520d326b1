"""An arm of one's own, with vLLM itself on a CPU: its mistakes, their correction, its record.

The other arms are measured already. The own arm speculates with n-grams; it is asked for with an
import that fails, with an argument that vLLM rejects, and with one that its worker cannot serve,
before it is measured. About two minutes, most of them two boots of vLLM.
"""

import os
import shutil
from types import SimpleNamespace
from unittest import mock

import pytest

from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.records.store import read_record
from tests.own_device import EAGER
from tests.tiny_config import BATCH_SIZES, OUTPUT_TOKENS
from tests.workflow.tiny_lab import ARMS, ITERATIONS, SizesLab

pytestmark = pytest.mark.vllm

DRAFTS, SEQUENCES = 3, 8
CORRECT = {
    "enforce_eager": True,
    "max_num_seqs": SEQUENCES,
    "speculative_config": {
        "method": "ngram",
        "num_speculative_tokens": DRAFTS,
        "prompt_lookup_max": 2,
        "prompt_lookup_min": 1,
    },
}
DATASET = SizesLab.dataset
RECORD = f"results/{DATASET}/runs/own/rep1.json"
# In kilobytes of address space: enough for the workflow, too little for torch.
LITTLE = ("bash", "-c", 'ulimit -v 3000000; exec "$@"', "bash")
MISTAKES = {
    "import": ({}, LITTLE),
    "argument": ({"kv_cache_dtype": "fp9"}, ()),
    "support": ({"quantization": "fp8", "dtype": "bfloat16"}, ()),
}


def asked(lab, *targets, under=(), **arguments):
    """Ask for the own arm with more arguments than are correct."""
    return lab.run(
        *targets,
        under=under,
        sizes={"llama": None, "too-large": None},
        arms={"own": {"engine_args": {**CORRECT, **arguments}}},
        contrasts={"own": {"numerator": "own", "denominator": "eager"}},
    )


def files_of(lab, arms):
    return {path: path.read_bytes() for arm in arms for path in (lab.runs / arm).glob("*")}


@pytest.fixture(scope="module")
def walk(measured, tmp_path_factory, repository, run_snakemake):
    """Each mistake with what it said and left, and then what the correction gave."""
    directory = tmp_path_factory.mktemp("own") / "lab"
    shutil.copytree(measured[0].directory, directory)
    lab = SizesLab(directory, repository, run_snakemake)
    others = files_of(lab, ARMS)
    mistakes = {}
    with mock.patch.dict(os.environ, EAGER):
        for name, (arguments, under) in MISTAKES.items():
            done = asked(lab, RECORD, under=under, **arguments)
            log = (lab.runs / "own" / "rep1.log").read_text(encoding="utf-8")
            mistakes[name] = SimpleNamespace(
                returncode=done.returncode,
                said=done.stdout,
                log=log,
                left=sorted(path.name for path in (lab.runs / "own").iterdir()),
            )
        corrected = asked(lab)
    assert corrected.returncode == 0, corrected.stdout[-6000:]
    assert files_of(lab, ARMS) == others
    return SimpleNamespace(lab=lab, mistakes=mistakes, corrected=corrected.stdout)


@pytest.fixture(scope="module")
def record(walk):
    return read_record(walk.lab.directory / RECORD, DATASET)


@pytest.mark.parametrize(
    ("name", "cause", "in_the_log"),
    [
        ("import", "vLLM could not be imported: ImportError: ", "ImportError: "),
        (
            "argument",
            "vLLM did not start: ValidationError: 1 validation error for CacheConfig cache_dtype "
            "Input should be 'auto', ",
            "input_value='fp9'",
        ),
        (
            "support",
            "vLLM did not start: RuntimeError: _C::dynamic_scaled_fp8_quant() expected at most 0 "
            "argument(s) but received 3",
            "See stack trace for root cause",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_cause_and_no_record(walk, name, cause, in_the_log):
    mistake = walk.mistakes[name]
    assert mistake.returncode != 0
    (line,) = {line for line in mistake.said.splitlines() if line.startswith("cudagraph-lab: ")}
    assert line.startswith(f"cudagraph-lab: own rep 1: {cause}")
    assert "root cause" not in line
    assert line.endswith(f"; the log is results/{DATASET}/runs/own/rep1.log")
    assert in_the_log in mistake.log
    assert mistake.left == ["rep1.log"]
    assert "Traceback" not in mistake.said
    assert "FAILED" not in mistake.said


def test_after_the_correction_the_arm_alone_is_measured(walk, record):
    assert (record.status, record.failure) == ("ok", None)
    for arm in ARMS:
        assert f"{arm} rep 1" not in walk.corrected
    assert "own rep 1: round 2 of 2" in walk.corrected
    page = walk.lab.directory / "results" / "report" / "lab_report.html"
    assert "own" in page.read_text(encoding="utf-8")


def test_what_vllm_resolved_is_in_the_record(record):
    resolved = record.resolved
    assert resolved.speculative_tokens == DRAFTS
    assert resolved.max_num_seqs == SEQUENCES
    assert (resolved.cudagraph_mode, resolved.capture_sizes) == ("NONE", [])
    assert resolved.enforce_eager
    parallel = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    assert [getattr(resolved, name) for name in parallel] == [1, 1, 1]
    assert resolved.optimization_level is not None
    assert resolved.async_scheduling is not None
    assert resolved.model_runner == "vllm.v1.worker.cpu_model_runner"


def test_the_steps_of_the_speculating_arm_are_accounted_for(walk, record):
    facts = walk.lab.directory / "results" / DATASET / "dataset.json"
    arm = Dataset.model_validate_json(facts.read_text(encoding="utf-8")).arms["own"]
    assert (arm.status, arm.reason) == ("ok", None)
    for cell in record.cells:
        for call in cell.calls:
            assert {step.mode for step in call.steps} == {"NONE"}
            carried = sum(step.unpadded_tokens * step.count for step in call.steps)
            # The prompts, and at least a token for each that came out but the first of a request.
            # A step adds its drafts to that, whether they are accepted or not.
            least = cell.batch * (len(record.request.workload.prompt_token_ids) + OUTPUT_TOKENS - 1)
            steps = sum(step.count for step in call.steps)
            assert steps <= least
            assert carried <= least + steps * cell.batch * DRAFTS
            assert carried + DRAFTS * cell.batch * steps >= least
        tokens = cell.batch * (1 + DRAFTS)
        steps = [step for call in cell.timed() for step in call.steps]
        total = sum(step.count for step in steps)
        full = sum(step.count for step in steps if step.unpadded_tokens == tokens)
        said = [line for line in arm.warnings if f"batch {cell.batch}: {full} of {total} " in line]
        # That most of the steps carried fewer drafts than could be is said, and how they ran.
        assert len(said) == (full < total / 2)
    assert [cell.batch for cell in record.cells] == BATCH_SIZES
    assert all(len(cell.timed()) == ITERATIONS for cell in record.cells)


def test_a_batch_above_max_num_seqs_is_refused_before_anything_runs(walk):
    before = files_of(walk.lab, [*ARMS, "own"])
    done = asked(walk.lab, max_num_seqs=BATCH_SIZES[-1] - 1)
    assert done.returncode != 0
    assert (
        "config: arms.own.engine_args.max_num_seqs: vLLM would serve the requests of batch 4 3 at "
        "a time in arm 'own'; lower workload.batch_sizes or raise max_num_seqs"
    ) in done.stdout
    assert files_of(walk.lab, [*ARMS, "own"]) == before
