"""The chance that more repeats settle a prediction, and what an arm against itself resolves."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.power import chance_of_settling, repeats_to_settle
from cudagraph_lab.statistics.uncertainty import Error


def error(deviation, n):
    return Error(np.array([deviation**2]), np.array([float(n)]), np.array([n - 1.0]))


def test_the_chance_is_the_power_of_the_t_test_by_simulation():
    rng = np.random.default_rng(1)
    truth, deviation, n = 0.15, 0.2, 8
    runs = truth + deviation * rng.normal(size=(20_000, n))
    low = reference.ttest_1samp(runs, 0, axis=1).confidence_interval().low
    found = chance_of_settling(truth, error(deviation, n), 1.0, None)
    assert found == pytest.approx(np.mean(low > 0), abs=0.015)


def test_more_repeats_reach_the_chance_that_is_asked_for_and_no_fewer_do():
    now = error(0.2, 4)
    plan = repeats_to_settle(0.1, now, 1.0, None)
    assert plan.chance >= 0.8
    assert chance_of_settling(0.1, now.after(plan.more), 1.0, None) == plan.chance
    assert chance_of_settling(0.1, now.after(plan.more - 1), 1.0, None) < 0.8


def test_two_bounds_need_both_to_be_cleared_inside_and_the_nearest_alone_outside():
    now = error(0.1, 20)
    both = chance_of_settling(0.0, now, math.exp(-0.05), math.exp(0.05))
    one = chance_of_settling(0.0, now, math.exp(-0.05), None)
    assert both == pytest.approx(max(0.0, 2 * one - 1))
    outside = chance_of_settling(0.2, now, math.exp(0.0), math.exp(0.1))
    assert outside == chance_of_settling(0.2, now, None, math.exp(0.1))


def test_what_is_settled_or_cannot_be_is_said_so():
    assert repeats_to_settle(0.5, error(0.01, 5), 1.0, None).more == 0
    assert repeats_to_settle(0.5, error(0.01, 5), 1.0, None).chance == 1.0
    assert repeats_to_settle(0.0, error(0.1, 5), 1.0, 2.0) is None
    assert repeats_to_settle(1e-5, error(0.5, 5), 1.0, None) is None
    assert repeats_to_settle(0.5, None, 1.0, None) is None
    for bounds in ((None, None), (2.0, 1.0), (-1.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(LabError, match="predicted bounds"):
            chance_of_settling(0.1, error(0.1, 5), *bounds)


@settings(deadline=None)
@given(st.floats(1e-3, 3), st.floats(1e-3, 2), st.integers(2, 30), st.integers(0, 300))
def test_a_chance_is_a_share_and_does_not_fall_with_repeats(log, deviation, n, extra):
    before = chance_of_settling(log, error(deviation, n), 1.0, None)
    after = chance_of_settling(log, error(deviation, n).after(extra), 1.0, None)
    assert 0 <= before <= after + 1e-6 <= 1 + 2e-6
