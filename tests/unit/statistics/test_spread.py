"""Spread between repeats has an interval."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.spread import spread_between

values = st.floats(0.5, 2.0).map(lambda x: float(f"{x:.4g}"))


def simulate(rng, repeats, iterations, between, within):
    logs = between * rng.normal(size=(repeats, 1)) + within * rng.normal(size=(repeats, iterations))
    return np.exp(logs).tolist()


def test_the_interval_between_is_chi_square_where_iterations_hardly_differ():
    rng = np.random.default_rng(1)
    cell = simulate(rng, 6, 200, 0.2, 1e-4)
    variance = np.log(cell).mean(axis=1).var(ddof=1)
    ends = 5 * variance / reference.chi2.ppf([0.975, 0.025], 5)
    assert spread_between(cell).interval == pytest.approx(np.sqrt(np.expm1(ends)), rel=1e-3)


@pytest.mark.parametrize(("repeats", "between"), [(3, 0.15), (5, 0.05), (8, 0.02), (5, 0.0)])
def test_intervals_cover_the_truth(repeats, between):
    rng = np.random.default_rng(2)
    held = 0
    truth = math.sqrt(math.expm1(between**2))
    for _ in range(1000):
        found = spread_between(simulate(rng, repeats, 5, between, 0.1))
        held += found.interval[0] <= truth <= found.interval[1]
    assert 0.93 <= held / 1000 <= 0.985


@settings(deadline=None)
@given(
    st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=6),
    st.floats(1e-3, 1e3),
    st.randoms(use_true_random=False),
)
def test_intervals_hold_their_value_and_ignore_unit_and_order(cell, factor, random):
    found = spread_between(cell)
    if found.interval is not None:
        assert 0 <= found.interval[0] <= found.cv <= found.interval[1]
    other = [[factor * x for x in repeat] for repeat in cell]
    random.shuffle(other)
    again = spread_between(other)
    assert (again.note is None) == (found.note is None)
    assert (found.interval is None) == (again.interval is None)
    if found.interval is not None:
        assert again.interval == pytest.approx(found.interval, rel=1e-6, abs=1e-6)


def test_what_has_no_interval_says_why():
    assert spread_between([[1.0, 2.0]]).interval is None
    assert spread_between([[1.0, 2.0]]).note.startswith("one repeat")
    assert spread_between([[1.0], [2.0]]).note.startswith("one iteration per repeat")
    assert spread_between([[1.0, 1.0], [2.0, 2.0]]).note.startswith("equal iterations")
    two = spread_between([[1.0, 1.1, 1.2], [1.5, 1.6, 1.7]])
    assert (two.interval, two.note) == (None, "spread too wide for 2 repeats: no interval")
    with pytest.raises(LabError, match="eager: the values span too many orders"):
        spread_between([[1e-300, 1e-299], [1e300, 1e299]], name="eager")
    with pytest.raises(LabError, match="eager, repeat 1, iteration 2"):
        spread_between([[1.0, 0.0]], name="eager")


def test_spread_between_match_the_analysis_of_variance():
    cell = [[1.0, 1.1, 1.2], [1.4, 1.5, 1.3], [0.9, 1.0, 1.0]]
    logs = np.log(cell)
    found = spread_between(cell)
    f, _ = reference.f_oneway(*logs)
    within = logs.var(axis=1, ddof=1).mean()
    assert found.cv == pytest.approx(math.sqrt(math.expm1(within * (f - 1) / 3)))
    assert (found.repeats, found.note) == (3, None)


def test_spread_between_are_recovered_with_unequal_iterations():
    rng = np.random.default_rng(10)
    cell = [simulate(rng, 1, 2 + i % 4, 0.10, 0.03)[0] for i in range(1500)]
    found = spread_between(cell)
    assert found.cv == pytest.approx(0.10, rel=0.1)


def test_spread_between_say_what_they_cannot_know():
    clamped = spread_between([[1.0, 2.0], [2.0, 1.0]])
    assert clamped.cv == 0
    assert "set to 0" in clamped.note
    one = spread_between([[1.0, 2.0]])
    assert one.cv is None
    assert one.note.startswith("one repeat")
    flat = spread_between([[1.0], [2.0]])
    assert flat.cv is None
    assert flat.note.startswith("one iteration per repeat")
