"""Scores of forecasts, against their definition and by what a better forecast must do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.statistics.scores import Scored, interval_score, score, skill


def around(median: float, observed: float, half: float = 1.1, whole: float = 1.3) -> Scored:
    return Scored(observed, median, median / half, median * half, median / whole, median * whole)


def test_the_interval_score_by_hand():
    # On logs: error 0.5 ln 2; widths 2 ln 1.1 and 2 ln 1.3; 2 lies above both upper bounds.
    expected = (
        0.5 * math.log(2)
        + 0.25 * 2 * math.log(1.1) + math.log(2 / 1.1)
        + 0.05 * 2 * math.log(1.3) + math.log(2 / 1.3)
    ) / 2.5  # fmt: skip
    assert interval_score(around(1.0, 2.0)) == pytest.approx(expected)


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_score_is_never_below_zero_and_does_not_know_the_unit(median, observed):
    value = interval_score(around(median, observed))
    assert value >= 0
    assert interval_score(around(median * 1000, observed * 1000)) == pytest.approx(value)


@given(st.floats(1.5, 10))
def test_narrow_bounds_score_better_only_where_they_hold(miss):
    assert interval_score(around(1, 1, 1.01, 1.02)) < interval_score(around(1, 1))
    assert interval_score(around(1, miss, 1.01, 1.02)) > interval_score(around(1, miss))


def test_the_score_of_a_family():
    made = score([around(1, 1), around(1, 1.2), around(1, 2)])
    assert made.within_50 == pytest.approx(1 / 3)
    assert made.within_90 == pytest.approx(2 / 3)
    assert made.median_error == pytest.approx(1 - 1 / 1.2)


def test_skill_is_against_the_baseline():
    assert skill([1.0, 2.0], [2.0, 4.0], [1.0, 2.0]) == 1
    assert skill([2.0], [2.0], [1.0]) == 0
    assert skill([4.0], [2.0], [1.0]) == pytest.approx(-1)
    assert math.isnan(skill([2.0], [1.0], [1.0]))
