"""Spread has an interval."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.spread import variance_components

values = st.floats(0.5, 2.0).map(lambda x: float(f"{x:.4g}"))


def simulate(rng, repeats, iterations, between, within):
    logs = between * rng.normal(size=(repeats, 1)) + within * rng.normal(size=(repeats, iterations))
    return np.exp(logs).tolist()


def test_the_interval_within_is_chi_square():
    cell = [[1.0, 1.1, 1.2], [1.4, 1.5, 1.3], [0.9, 1.0, 1.0]]
    found = variance_components(cell)
    variance = np.log(cell).var(axis=1, ddof=1).mean()
    ends = 6 * variance / reference.chi2.ppf([0.975, 0.025], 6)
    assert found.within == pytest.approx(np.sqrt(np.expm1(ends)))


def test_the_interval_between_is_chi_square_where_iterations_hardly_differ():
    rng = np.random.default_rng(1)
    cell = simulate(rng, 6, 200, 0.2, 1e-4)
    variance = np.log(cell).mean(axis=1).var(ddof=1)
    ends = 5 * variance / reference.chi2.ppf([0.975, 0.025], 5)
    assert variance_components(cell).between == pytest.approx(np.sqrt(np.expm1(ends)), rel=1e-3)


@pytest.mark.parametrize(("repeats", "between"), [(3, 0.15), (5, 0.05), (8, 0.02), (5, 0.0)])
def test_intervals_cover_the_truth(repeats, between):
    rng = np.random.default_rng(2)
    held, held_within = 0, 0
    truth, truth_within = (math.sqrt(math.expm1(s**2)) for s in (between, 0.1))
    for _ in range(1000):
        found = variance_components(simulate(rng, repeats, 5, between, 0.1))
        held += found.between[0] <= truth <= found.between[1]
        held_within += found.within[0] <= truth_within <= found.within[1]
    assert 0.93 <= held / 1000 <= 0.985
    assert 0.93 <= held_within / 1000 <= 0.97


@settings(deadline=None)
@given(
    st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=6),
    st.floats(1e-3, 1e3),
    st.randoms(use_true_random=False),
)
def test_intervals_hold_their_value_and_ignore_unit_and_order(cell, factor, random):
    found = variance_components(cell)
    if found.within is not None:
        assert found.within[0] <= found.within_cv <= found.within[1]
    if found.between is not None:
        assert 0 <= found.between[0] <= found.between_cv <= found.between[1]
    other = [[factor * x for x in repeat] for repeat in cell]
    random.shuffle(other)
    again = variance_components(other)
    assert (again.note is None) == (found.note is None)
    for one, two in ((found.within, again.within), (found.between, again.between)):
        assert (one is None) == (two is None)
        if one is not None:
            assert two == pytest.approx(one, rel=1e-6, abs=1e-6)


def test_what_has_no_interval_says_why():
    assert variance_components([[1.0, 2.0]]).between is None
    assert variance_components([[1.0, 2.0]]).note.startswith("one repeat")
    assert variance_components([[1.0], [2.0]]).note.startswith("one iteration per repeat")
    assert variance_components([[1.0, 1.0], [2.0, 2.0]]).note.startswith("equal iterations")
    two = variance_components([[1.0, 1.1, 1.2], [1.5, 1.6, 1.7]])
    assert (two.between, two.note) == (None, "spread too wide for 2 repeats: no interval")
    assert two.within is not None
    assert variance_components([[1e-4, 1e4], [1e3, 1e-3]]).within is None
    with pytest.raises(LabError, match="eager: the values span too many orders"):
        variance_components([[1e-300, 1e300], [1e300, 1e-300]], name="eager")
    with pytest.raises(LabError, match="eager, repeat 1, iteration 2"):
        variance_components([[1.0, 0.0]], name="eager")


def test_variance_components_match_the_analysis_of_variance():
    cell = [[1.0, 1.1, 1.2], [1.4, 1.5, 1.3], [0.9, 1.0, 1.0]]
    logs = np.log(cell)
    found = variance_components(cell)
    f, _ = reference.f_oneway(*logs)
    within = logs.var(axis=1, ddof=1).mean()
    assert found.within_cv == pytest.approx(math.sqrt(math.expm1(within)))
    assert found.between_cv == pytest.approx(math.sqrt(math.expm1(within * (f - 1) / 3)))
    assert (found.repeats, found.note) == (3, None)


def test_variance_components_are_recovered_with_unequal_iterations():
    rng = np.random.default_rng(10)
    cell = [simulate(rng, 1, 2 + i % 4, 0.10, 0.03)[0] for i in range(1500)]
    found = variance_components(cell)
    assert found.between_cv == pytest.approx(0.10, rel=0.1)
    assert found.within_cv == pytest.approx(0.03, rel=0.1)


def test_variance_components_say_what_they_cannot_know():
    clamped = variance_components([[1.0, 2.0], [2.0, 1.0]])
    assert clamped.between_cv == 0
    assert "set to 0" in clamped.note
    one = variance_components([[1.0, 2.0]])
    assert one.between_cv is None
    assert one.within_cv > 0
    assert one.note.startswith("one repeat")
    flat = variance_components([[1.0], [2.0]])
    assert (flat.between_cv, flat.within_cv) == (None, None)
    assert flat.note.startswith("one iteration per repeat")
