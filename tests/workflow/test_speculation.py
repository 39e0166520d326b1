"""A draft model with vLLM itself on a CPU: two layers for the target, one for the draft.

Eager alone and with drafts, in turn in one measurement with the newer version of test_upgrade.py;
n-grams are in test_own_arm.py.
"""

import json

import pytest

from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.ledger.store import read_ledger
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.records.store import read_record
from tests.tiny_config import BATCH_SIZES, OUTPUT_TOKENS
from tests.workflow.tiny_lab import DRAFTS

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def records(in_turn):
    return {arm: read_record(in_turn.runs / arm / "rep1.json", "tiny") for arm in ("eager", "spec")}


def test_what_vllm_made_of_the_draft_is_in_the_record(records, in_turn):
    resolved = records["spec"].resolved
    assert resolved.speculative_tokens == DRAFTS
    draft = resolved.draft
    assert (draft.method, draft.layers) == ("draft_model", 1)
    # Embeddings of 4,096 words, tied; and one layer, in two bytes each.
    layer = 128 * 32 * 2 * (4 + 2) + 3 * 128 * 256
    norms = 3 * 128
    assert draft.weight_bytes == 2 * (4096 * 128 + layer + norms)
    assert (draft.cudagraph_mode, draft.capture_sizes) == ("NONE", [])
    assert records["eager"].resolved.draft is None
    assert records["spec"].request.dummy_values == "normal"


def test_the_log_names_the_draft_and_hides_where_it_lies(in_turn, repository):
    log = (in_turn.runs / "spec" / "rep1.log").read_text(encoding="utf-8")
    assert "Loading drafter model" in log
    assert str(repository) not in log


def test_every_step_runs_k_passes_of_the_draft_counted_outside_of_timed_calls(records):
    for cell in records["spec"].cells:
        for call in cell.calls:
            if call.role == "timed":
                assert call.draft_passes is None
                continue
            (passes,) = call.draft_passes
            assert (passes.mode, passes.padded_tokens) == ("NONE", 0)
            assert passes.count == DRAFTS * sum(step.count for step in call.steps)
    for cell in records["eager"].cells:
        assert {call.draft_passes for call in cell.calls} == {None}
        assert {call.acceptance for call in cell.calls} == {None}


def test_the_acceptance_that_was_met_accounts_for_the_tokens(records):
    for cell in records["spec"].cells:
        for call in cell.calls:
            met = call.acceptance
            assert met.draft_tokens == DRAFTS * met.verifications
            assert sum(met.accepted_by_position) == met.accepted_tokens
            # Each verification yields one token and those accepted, the last one what is left.
            tokens = cell.batch * (OUTPUT_TOKENS - 1)
            assert met.verifications <= tokens <= met.verifications + met.accepted_tokens
            carried = sum(step.count for step in call.steps
                          if step.unpadded_tokens == cell.batch * (1 + DRAFTS))  # fmt: skip
            assert carried >= sum(step.count for step in call.steps) / 2


def test_the_ledger_says_what_a_step_must_yield(in_turn):
    facts = in_turn.directory / "results" / "tiny" / "dataset.json"
    arms = Dataset.model_validate_json(facts.read_text(encoding="utf-8")).arms
    assert {name: arms[name].status for name in ("eager", "spec")} == {"eager": "ok", "spec": "ok"}
    index = make_index(read_ledger(in_turn.directory / "results" / "ledger.json"))
    for batch in BATCH_SIZES:

        def value(name, batch=batch):
            return index.numbers["tiny", f"{name}/spec/b{batch}"].value

        plain = index.numbers["tiny", f"step/eager/b{batch}"].value
        assert value("speculation/tokens_to_pay") == pytest.approx(value("step") / plain)
        assert value("speculation/can_pay") == (value("speculation/tokens_to_pay") < 1 + DRAFTS)
        assert 1 <= value("speculation/tokens_per_step") <= 1 + DRAFTS
        assert value("speculation/accepted") < 0.2
        assert value("replay/draft_share") == 0


def test_the_page_has_the_section(in_turn):
    page = in_turn.directory / "results" / "report" / "lab_report.html"
    assert '<section id="speculation"' in page.read_text(encoding="utf-8")
    drawn = json.loads((in_turn.directory / "results" / "figures" / "figures.json").read_text())
    (figure,) = [one for one in drawn if one["name"] == "speculation"]
    assert ["tiny", "step/spec/b1"] in figure["numbers"]
