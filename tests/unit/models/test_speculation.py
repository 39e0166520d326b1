"""The step model of speculative decoding: its limits, and what moves it which way."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.architecture import read_devices, read_models, roofline
from cudagraph_lab.models.forecast import Question, answer
from cudagraph_lab.models.speculation import Drafting, drafting_of, speculate
from cudagraph_lab.models.step import assumed_speed, read_assumed, unknown_host

ASSUMED, MODEL, DEVICE = read_assumed(), read_models(), read_devices()
HOST, SPEED = (
    unknown_host(ASSUMED.unknown_host, 1),
    assumed_speed(DEVICE["h100"], ASSUMED.device, 1),
)
TARGET, DRAFT = MODEL["llama-3-8b"], MODEL["llama-3.2-1b"]


def asked(batch=8, **other):
    return Question(TARGET, DEVICE["h100"], batch, 1, "bf16", 64, **other)


def said(drafting, batch=8, host=HOST):
    return speculate(asked(batch), drafting, host, SPEED, ASSUMED, 1)


def median(draws):
    return float(np.median(draws))


@given(st.integers(1, 7), st.sampled_from([1, 8, 32]), st.booleans())
def test_a_step_with_drafts_costs_more_than_one_without(k, batch, asynchronous):
    for one in said(Drafting(DRAFT, k, asynchronous), batch).values():
        assert median(one.needed) > 1
        assert (one.speculative.gpu_s >= one.plain.gpu_s).all()
        assert (one.speculative.host_s > one.plain.host_s).all()


@given(st.integers(1, 6), st.sampled_from([1, 32]))
def test_one_more_draft_is_one_more_pass(k, batch):
    fewer, more = (said(Drafting(DRAFT, n), batch) for n in (k, k + 1))
    for arm in fewer:
        assert median(more[arm].draft_gpu_s) > median(fewer[arm].draft_gpu_s)
        assert median(more[arm].needed) > median(fewer[arm].needed)


def test_each_pass_reads_the_draft_once_more():
    one, three = (said(Drafting(DRAFT, k))["graphs"].draft_gpu_s for k in (1, 3))
    # The first pass carries more tokens, whose weights are read once.
    assert 2.9 < median(three) / median(one) < 3.1


def test_the_plain_step_is_that_of_the_forecast():
    steps = answer(asked(), HOST, SPEED, ASSUMED, 1).steps
    for arm, one in said(Drafting(DRAFT, 3)).items():
        assert (one.plain.step_s == steps[arm].step_s).all()


def test_ngrams_have_no_passes_and_a_verification():
    with_model, without = said(Drafting(DRAFT, 3)), said(Drafting(None, 3))
    for arm, one in without.items():
        assert not one.draft_gpu_s.any()
        assert median(one.needed) < median(with_model[arm].needed)
        assert median(one.verify_gpu_s) >= median(one.plain.gpu_s)


def test_a_draft_that_is_replayed_needs_fewer_tokens_and_only_with_graphs():
    launched, replayed = (said(Drafting(DRAFT, 3, replayed=on)) for on in (False, True))
    assert median(replayed["graphs"].needed) < median(launched["graphs"].needed)
    for arm in ("eager", "compiled"):
        assert (replayed[arm].needed == launched[arm].needed).all()


def test_asynchronous_scheduling_hides_host_work_where_the_gpu_decides():
    hidden, late = (said(Drafting(DRAFT, 1, on), 32)["graphs"] for on in (True, False))
    assert median(hidden.speculative.step_s) < median(late.speculative.step_s)


def test_on_a_host_that_costs_nothing_graphs_save_nothing():
    free = replace(
        HOST,
        fixed_s=HOST.fixed_s * 0,
        per_request_s=HOST.per_request_s * 0,
        per_launch_s={arm: cost * 0 for arm, cost in HOST.per_launch_s.items()},
    )
    arms = said(Drafting(DRAFT, 3), host=free)
    ratio = arms["eager"].needed / arms["graphs"].needed
    assert median(ratio) == pytest.approx(1, abs=0.05)


def test_on_a_slow_host_eager_pays_every_launch_of_the_draft():
    slow = replace(HOST, per_launch_s={a: cost * 100 for a, cost in HOST.per_launch_s.items()})
    plain = TARGET.layers * 13
    drafted = 3 * DRAFT.layers * 12
    eager = said(Drafting(DRAFT, 3), host=slow)["eager"]
    # Beside the layers a pass costs some launches more.
    least = 1 + drafted / plain
    assert least < median(eager.needed) < least + 0.5


@given(st.integers(1, 8), st.sampled_from([1, 8, 64]))
def test_verified_tokens_share_weights_and_cache(tokens, batch):
    one, several = (
        roofline(DEVICE["h100"], TARGET, batch, 1, "bf16", 64, tokens=n) for n in (1, tokens)
    )
    assert (several.weight_bytes, several.kv_bytes) == (one.weight_bytes, one.kv_bytes)
    assert several.flops == pytest.approx(tokens * one.flops)
    assert several.activation_bytes == pytest.approx(tokens * one.activation_bytes)


def test_drafting_by_name():
    assert drafting_of("ngram", 2, MODEL) == (Drafting(None, 2), [])
    assert drafting_of("llama-3.2-1b", 3, MODEL)[0].draft is DRAFT
    with pytest.raises(LabError, match="draft 'llama-1': not known"):
        drafting_of("llama-1", 3, MODEL)
    with pytest.raises(LabError, match="--speculative-tokens: at least 1, got 0"):
        drafting_of("ngram", 0, MODEL)
