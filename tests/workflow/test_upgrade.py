"""Two real versions of vLLM in turn on this machine's CPU, and their own rules beside ours.

The newest version with a lock for the CPU against the lab's; a boot of each, at the same time and
beside the one that test_speculation.py looks at.
"""

import json
import subprocess

import pytest

from cudagraph_lab.engine.capture_sizes import vllm_capture_sizes
from cudagraph_lab.engine.environment import vllm_python
from cudagraph_lab.engine.versions import SUPPORTED, VLLM_VERSION, lock_name
from cudagraph_lab.records.store import read_record
from tests.tiny_config import BATCH_SIZES, OUTPUT_TOKENS
from tests.workflow.tiny_lab import ITERATIONS

pytestmark = pytest.mark.vllm

NEWEST = SUPPORTED["cpu"][-1]
ASKED = {"eager": VLLM_VERSION, "eager-new": NEWEST}
LIMITS = [(256, 8192), (1024, 16384), (100, 8192), (8, 3), (40, 100), (300, 512)]


@pytest.fixture(scope="module")
def records(in_turn):
    return {arm: read_record(in_turn.runs / arm / "rep1.json", "tiny") for arm in ASKED}


def test_each_arm_ran_on_the_version_that_it_asks_for(records):
    for arm, version in ASKED.items():
        record = records[arm]
        assert (record.status, record.request.measured) == ("ok", "in_turn")
        assert record.request.vllm == record.environment.vllm == version
        assert record.environment.lock.startswith(f"{lock_name('cpu', version)}.txt sha256:")
    torches = {record.environment.torch for record in records.values()}
    assert len(torches) == 2


def test_the_hooks_tell_as_much_of_the_newest_version(records):
    for record in records.values():
        assert record.resolved.compile_mode == record.resolved.cudagraph_mode == "NONE"
        assert record.environment.notes == []
        spans = {span.name for span in record.startup.spans}
        assert {"import", "boot", "device", "load", "profile", "kv_cache", "warm_up"} <= spans
        assert [cell.batch for cell in record.cells] == BATCH_SIZES
        for cell in record.cells:
            assert len(cell.timed()) == ITERATIONS
            for call in cell.calls:
                assert {step.mode for step in call.steps} == {"NONE"}
                tokens = sum(step.unpadded_tokens * step.count for step in call.steps)
                assert tokens == cell.batch * (6 + OUTPUT_TOKENS - 1)
                assert len(call.first_token_s) == len(call.decode_s_per_step) == cell.batch


def test_the_log_of_each_version_is_read(records):
    for arm, version in ASKED.items():
        facts = records[arm].startup.log
        assert facts.vllm_version == version
        assert facts.init_engine_seconds > 0
        assert facts.kv_cache_tokens > 0


def test_the_page_says_what_the_upgrade_changed(in_turn):
    results = in_turn.directory / "results"
    ledger = json.loads((results / "ledger.json").read_text(encoding="utf-8"))
    assert ledger["datasets"][0]["versions"] == [VLLM_VERSION, NEWEST]
    numbers = {one["id"]: one for one in ledger["numbers"]}
    for batch in BATCH_SIZES:
        for name in ("ratio/upgrade-eager", "upgrade/first_token/upgrade-eager"):
            number = numbers[f"{name}/b{batch}"]
            assert number["value"] > 0
            (judged,) = [p for p in number["predictions"] if p["id"].startswith("upgrade/")]
            assert (judged["low"], judged["high"], judged["post_hoc"]) == (0.97, 1.03, False)
    page = (results / "report" / "lab_report.md").read_text(encoding="utf-8")
    assert "Did the upgrade change it?" in page
    assert f"`eager-new` on {NEWEST} over `eager` on {VLLM_VERSION}" in page


@pytest.mark.parametrize("version", ASKED.values())
def test_our_rule_of_capture_sizes_is_that_of_the_real_version(repository, version):
    script = repository / "tests" / "fixtures" / "real_capture_sizes.py"
    python = vllm_python("managed", "auto", "cpu", version)
    done = subprocess.run(
        [str(python), str(script), json.dumps(LIMITS)], capture_output=True, text=True, check=True
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("sizes ")]
    chosen = [tuple(json.loads(line.removeprefix("sizes "))) for line in told]
    assert chosen == [vllm_capture_sizes(*limits, version) for limits in LIMITS]
