"""Acceptance, tokens of a step, and what the draft replayed: from calls as a record has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.observations.drafts import (
    accepted_share,
    draft_warnings,
    replayed_share,
    tokens_per_step,
)
from cudagraph_lab.observations.validity import judge_arm
from cudagraph_lab.records.call import Acceptance, Call, Cell, DraftPasses
from cudagraph_lab.records.record import ResolvedDraft
from tests.unit.observations.test_validity import EAGER, GRAPHS

OUTPUT = 25


def call(role="timed", *, accepted=0, steps=None, passes=None, batch=2):
    met = Acceptance(verifications=24, draft_tokens=72, accepted_tokens=accepted,
                     accepted_by_position=[accepted, 0, 0])  # fmt: skip
    return Call(
        role=role,
        seconds=1.0,
        tokens=batch * OUTPUT,
        decode_s_per_step=[0.01] * batch,
        acceptance=met,
        decode_steps=steps,
        draft_passes=[DraftPasses(mode=m, padded_tokens=4, count=n) for m, n in passes or []]
        or None,
    )


def test_the_acceptance_is_over_all_calls():
    assert accepted_share([call(accepted=0), call(accepted=36)]) == 36 / 144
    assert accepted_share([Call(role="timed", seconds=1.0, tokens=1)]) is None


def test_without_accepted_drafts_a_step_is_a_token():
    assert tokens_per_step([call(), call()], OUTPUT) == 1


@given(st.lists(st.integers(6, 24), min_size=2, max_size=2))
def test_tokens_of_a_step_are_those_after_the_first_over_the_steps(steps):
    assert tokens_per_step([call(steps=steps)], OUTPUT) == pytest.approx(2 * 24 / sum(steps))


def test_plain_decoding_has_no_tokens_of_a_speculative_step():
    plain = Call(role="timed", seconds=1.0, tokens=50, decode_s_per_step=[0.01] * 2)
    assert tokens_per_step([plain], OUTPUT) is None


def record(passes, draft_mode="PIECEWISE", base=GRAPHS):
    draft = ResolvedDraft(method="draft_model", layers=1, weight_bytes=1, capture_sizes=[4],
                          cudagraph_mode=draft_mode, attention_backend=None)  # fmt: skip
    cell = Cell(batch=2, calls=[call("first", passes=passes), call()])
    return base.model_copy(
        update={"cells": [cell], "resolved": base.resolved.model_copy(update={"draft": draft})}
    )


@pytest.mark.parametrize(
    ("passes", "mode", "share", "said"),
    [
        ([("PIECEWISE", 72)], "PIECEWISE", 1.0, []),
        ([("PIECEWISE", 72), ("NONE", 3)], "PIECEWISE", 0.96, []),
        ([("PIECEWISE", 36), ("NONE", 36)], "PIECEWISE", 0.5, ["36 of 72 passes of the draft ran"]),
        ([("NONE", 72)], "NONE", 0.0, ["vLLM captured no graphs for the draft"]),
        (None, "PIECEWISE", None, ["whether the draft replayed graphs is unknown"]),
        (None, None, None, ["whether the draft replayed graphs is unknown"]),
    ],
)
def test_what_the_draft_replayed_is_proven_or_said_to_be_unknown(passes, mode, share, said):
    one = record(passes, mode)
    assert replayed_share(one.cells[0]) == (share if share is None else pytest.approx(share))
    warnings = list(draft_warnings([one]))
    assert len(warnings) == len(said)
    assert all(part in line for part, line in zip(said, warnings, strict=True))
    assert set(said) == {part for part in said if any(part in w for w in judge_arm([one]).warnings)}


def test_without_graphs_nothing_is_said_of_the_draft():
    assert not list(draft_warnings([record([("NONE", 72)], "NONE", base=EAGER)]))
