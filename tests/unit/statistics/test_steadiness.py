"""Steady, drifting and slow first: what is flagged, and with which remedy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.steadiness import unsteady

# Five significant digits, as a timer of a real run resolves at least: no hits on rounding.
values = st.floats(0.01, 1e4).map(lambda x: float(f"{x:.5g}"))
SLOW_FIRST = [1 / 1.30, 1.00, 1.01, 0.99]  # calls a second


def test_a_slow_first_iteration_is_flagged_with_its_remedy():
    found = unsteady(SLOW_FIRST)
    assert found.reason == "the rate of the first timed iteration is 23.1% below the others"
    assert found.remedy.startswith("raise warmups by at least 1,")


def test_a_quick_first_iteration_is_no_fault_of_warm_up():
    assert unsteady([1 / rate for rate in SLOW_FIRST]) is None


def test_a_drift_is_flagged_and_only_towards_faster_with_more_warmups():
    slowing = unsteady([1.03**-i for i in range(6)])
    assert slowing.reason == "iterations drift by -2.9% each, towards slower"
    assert "warmups" not in slowing.remedy
    settling = unsteady([1.03**i for i in range(6)])
    assert settling.reason == "iterations drift by +3.0% each"
    assert settling.remedy.startswith("raise warmups by at least 6;")


@pytest.mark.parametrize("m", [3, 5, 10])
@pytest.mark.parametrize(("within", "most"), [(0.01, 0.02), (0.02, 0.02), (0.04, 0.08)])
def test_steady_processes_are_seldom_flagged(m, within, most):
    rng = np.random.default_rng(13)
    runs = np.exp(within * rng.normal(size=(1000, m)))
    assert np.mean([unsteady(run.tolist()) is not None for run in runs]) <= most


def test_two_equal_values_do_not_make_the_third_significant():
    assert unsteady([0.97, 1.0, 1.0]) is None


def test_too_few_iterations_show_nothing_and_no_rate_is_refused():
    assert unsteady([1.0, 2.0]) is None
    with pytest.raises(LabError, match="process, iteration 1"):
        unsteady([math.nan, 1.0, 1.0])


@settings(deadline=None)
@given(st.lists(values, min_size=3, max_size=10), st.floats(1e-3, 1e3))
def test_steadiness_does_not_depend_on_the_unit(rates, factor):
    one, other = unsteady(rates), unsteady([x * factor for x in rates])
    assert (one is None) == (other is None)
    assert one is None or one.remedy == other.remedy
