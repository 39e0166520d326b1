"""Steady, drifting and slow first: what is flagged, and with which remedy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.steadiness import steady_state

# Five significant digits, as a timer of a real run resolves at least: no hits on rounding.
values = st.floats(0.01, 1e4).map(lambda x: float(f"{x:.5g}"))
SLOW_FIRST = [1.30, 1.00, 1.01, 0.99]  # seconds


@pytest.mark.parametrize("faster", ["higher", "lower"])
def test_only_a_slower_first_iteration_is_flagged(faster):
    seconds = SLOW_FIRST if faster == "lower" else [1 / s for s in SLOW_FIRST]
    slow = steady_state(seconds, faster=faster)
    assert slow.flagged
    assert slow.remedy.startswith("raise warmups by at least 1,")
    quick = steady_state([1 / s for s in seconds], faster=faster)
    assert (quick.flagged, quick.reason, quick.remedy) == (False, None, None)
    assert quick.first_excess == pytest.approx(1 / (1 + slow.first_excess) - 1, abs=0.01)


def test_without_a_direction_either_is_flagged():
    assert steady_state(SLOW_FIRST).flagged
    assert steady_state([1 / s for s in SLOW_FIRST]).flagged


def test_a_drift_towards_slower_calls_does_not_ask_for_warmups():
    slowing = steady_state([1.03**i for i in range(6)], faster="lower")
    assert slowing.reason == "iterations drift by +3.0% each, towards slower"
    assert "warmups" not in slowing.remedy
    settling = steady_state([1.03**i for i in range(6)], faster="higher")
    assert settling.remedy.startswith("raise warmups by at least 6;")


def test_a_slow_first_iteration_is_flagged_with_its_remedy():
    found = steady_state([1.30, 1.00, 1.01, 0.99])
    assert found.flagged
    assert found.first_excess == pytest.approx(0.30, abs=0.01)
    assert found.reason == "the first timed iteration is 30.0% above the others"
    assert found.remedy.startswith("raise warmups by at least 1,")


def test_a_rate_is_flagged_as_its_duration_is():
    found = steady_state([1 / 1.30, 1.00, 1.01, 0.99])
    assert found.flagged
    assert "below the others" in found.reason


def test_a_drift_is_flagged_with_its_remedy():
    found = steady_state([1.03**i for i in range(6)])
    assert found.flagged
    assert found.drift_per_iteration == pytest.approx(0.03)
    assert found.reason == "iterations drift by +3.0% each"
    assert found.remedy.startswith("raise warmups by at least 6;")


@pytest.mark.parametrize("m", [3, 5, 10])
@pytest.mark.parametrize(("within", "most"), [(0.01, 0.02), (0.02, 0.02), (0.04, 0.08)])
def test_steady_processes_are_seldom_flagged(m, within, most):
    rng = np.random.default_rng(13)
    runs = np.exp(within * rng.normal(size=(1000, m)))
    assert np.mean([steady_state(run.tolist()).flagged for run in runs]) <= most


def test_two_equal_values_do_not_make_the_third_significant():
    assert not steady_state([1.03, 1.0, 1.0]).flagged


def test_too_few_iterations_show_nothing():
    found = steady_state([1.0, 2.0])
    assert (found.flagged, found.drift_per_iteration, found.first_excess) == (False, None, None)
    assert found.reason == "2 timed iterations cannot show a drift"
    with pytest.raises(LabError, match="graphs, repeat 2, iteration 1"):
        steady_state([math.nan, 1.0, 1.0], name="graphs, repeat 2")


@settings(deadline=None)
@given(st.lists(values, min_size=3, max_size=10), st.floats(1e-3, 1e3))
def test_steadiness_does_not_depend_on_the_unit(iterations, factor):
    one, other = steady_state(iterations), steady_state([x * factor for x in iterations])
    assert other.first_excess == pytest.approx(one.first_excess, rel=1e-9, abs=1e-9)
    assert other.drift_per_iteration == pytest.approx(one.drift_per_iteration, rel=1e-9, abs=1e-9)
