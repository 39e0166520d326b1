"""The rule of verdicts, as properties."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab import REPOSITORY
from cudagraph_lab.ledger.verdicts import VERDICTS, Verdict, is_weak, judge, judge_claim, style_name

finite = st.floats(-1e6, 1e6)
interval = st.tuples(finite, finite).map(sorted)


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (2.5, 2.42, 2.58, "confirmed"),
        (2.5, 2.4, 2.6, "confirmed"),  # the bounds themselves are inside
        (2.5, 2.3, 2.55, "inconclusive"),
        (2.5, 2.45, 2.7, "inconclusive"),
        (2.5, 2.0, 3.0, "inconclusive"),
        (2.3, 2.2, 2.4, "inconclusive"),  # they meet in one point
        (2.2, 2.1, 2.3, "refuted"),
        (2.9, 2.7, 3.1, "refuted"),
        (2.523, None, None, "confirmed"),
        (2.61, None, None, "refuted"),
        (None, None, None, "not measured"),
    ],
)
def test_against_bounds_of_2_4_to_2_6(value, low, high, verdict):
    assert judge(value, low, high, 2.4, 2.6) == verdict


@given(finite, interval, interval, st.floats(0, 10), st.floats(0, 10))
def test_a_wider_prediction_is_never_easier_to_refute(value, measured, predicted, below, above):
    # Nor harder to confirm: what was settled in favour stays so.
    low, high = measured
    narrow = judge(value, low, high, *predicted)
    wide = judge(value, low, high, predicted[0] - below, predicted[1] + above)
    if narrow == "confirmed":
        assert wide == "confirmed"
    if wide == "refuted":
        assert narrow == "refuted"


@given(finite, interval, interval, st.floats(0, 10))
def test_a_wider_measurement_settles_nothing_that_was_open(value, measured, predicted, more):
    narrow = judge(value, *measured, *predicted)
    wide = judge(value, measured[0] - more, measured[1] + more, *predicted)
    if narrow == "inconclusive":
        assert wide == "inconclusive"
    assert {narrow, wide} != {"confirmed", "refuted"}


@given(finite, interval)
def test_a_single_observation_is_settled_by_its_value_alone(value, predicted):
    inside = predicted[0] <= value <= predicted[1]
    assert judge(value, None, None, *predicted) == ("confirmed" if inside else "refuted")


@given(finite, interval, finite)
def test_open_ended_predictions(value, measured, bound):
    low, high = measured
    verdict = judge(value, low, high, bound, math.inf)
    assert verdict == (
        "confirmed" if low >= bound else "refuted" if high < bound else "inconclusive"
    )


@pytest.mark.parametrize("predicted", [True, False])
@pytest.mark.parametrize("points_agree", [True, False])
def test_claims(predicted, points_agree):
    for outcome, holds in (("supported", True), ("contradicted", False)):
        expected = "confirmed" if holds == predicted else "refuted"
        assert judge_claim(outcome, False, points_agree, predicted) == expected
    assert judge_claim("not settled", False, points_agree, predicted) == "inconclusive"
    # One observation shows the order of its points and no more.
    for outcome in ("supported", "contradicted", "not settled"):
        single = judge_claim(outcome, True, points_agree, predicted)
        assert single == ("confirmed" if points_agree == predicted else "refuted")


def test_every_verdict_has_its_words_and_its_colour():
    style = (REPOSITORY / "report" / "style.css").read_text(encoding="utf-8")
    assert sorted(VERDICTS) == sorted(get_args(Verdict))
    for verdict in VERDICTS:
        assert f".{style_name(verdict)} {{ color" in style


@pytest.mark.parametrize(
    ("verdict", "low", "high", "weak"),
    [
        ("confirmed", 1.0, 1.1, False),
        ("confirmed", 1.0, 1.6, True),
        ("confirmed", 0.0, 0.1, True),
        ("confirmed", 0.0, 0.0, False),
        ("confirmed", 1.0, None, False),
        ("refuted", 1.0, 9.0, False),
    ],
)
def test_a_confirmation_by_wide_bounds_is_weak(verdict, low, high, weak):
    assert is_weak(verdict, low, high) == weak
