"""A quotient is stated only where its denominator differs from 0."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudagraph_lab.statistics.quotients import quotient_of_draws

finite = st.floats(-1e6, 1e6)


def normal(rng, mean, error, size=20_000):
    return mean + error * rng.standard_normal(size)


def test_the_interval_is_fiellers():
    rng = np.random.default_rng(1)
    a, b, sa, sb = 3.0, 2.0, 0.4, 0.5
    found = quotient_of_draws(a, b, (normal(rng, a, sa), normal(rng, b, sb)), whole="the whole")
    z2 = 1.959964**2
    # (a - q b)^2 = z^2 (sa^2 + q^2 sb^2)
    ends = sorted(np.roots([b * b - z2 * sb * sb, -2 * a * b, a * a - z2 * sa * sa]))
    assert (found.low, found.high) == pytest.approx(ends, rel=0.03)
    assert found.value == 1.5
    assert found.reason is None


@pytest.mark.parametrize("mean", [0.9, -0.9, 0.0])
def test_a_denominator_that_may_be_zero_leaves_no_quotient(mean):
    rng = np.random.default_rng(2)
    found = quotient_of_draws(
        1.0, mean, (normal(rng, 1, 0.1), normal(rng, mean, 0.5)), whole="the headline's logarithm"
    )
    assert (found.value, found.low, found.high) == (None, None, None)
    assert "the headline's logarithm" in found.reason


def test_a_denominator_of_zero_is_said_so_without_draws():
    for tiny in (0.0, 1e-17, -1e-16):
        found = quotient_of_draws(math.log(3.2), tiny, None, whole="the whole")
        assert (found.value, found.reason) == (None, "the whole is 0: nothing to divide by")


def test_one_observation_has_a_quotient_and_no_interval():
    found = quotient_of_draws(1.0, 4.0, None, whole="the whole")
    assert (found.value, found.low, found.high) == (0.25, None, None)
    assert found.reason == "one repeat or no spread: no interval"


@settings(deadline=None)
@given(finite, finite, st.floats(0, 10), st.floats(0, 10), st.integers(0, 99))
def test_an_interval_is_finite_and_in_order_and_turns_with_the_signs(a, b, sa, sb, seed):
    rng = np.random.default_rng(seed)
    draws = normal(rng, a, sa, 500), normal(rng, b, sb, 500)
    found = quotient_of_draws(a, b, draws, whole="w")
    assert (found.reason is None) == (found.low is not None)
    if found.low is not None:
        assert found.value is not None
        assert -math.inf < found.low <= found.high < math.inf
    turned = quotient_of_draws(-a, -b, (-draws[0], -draws[1]), whole="w")
    assert turned == found or found.low == pytest.approx(turned.low)


def test_an_interval_seldom_misses_where_the_denominator_is_three_errors_from_zero():
    rng = np.random.default_rng(3)
    missed, withheld = 0, 0
    for _ in range(600):
        a, b = rng.normal(1.0, 0.2), rng.normal(1.0, 0.3)
        draws = normal(rng, a, 0.2, 800), normal(rng, b, 0.3, 800)
        found = quotient_of_draws(a, b, draws, whole="w")
        withheld += found.low is None
        missed += found.low is not None and not found.low <= 1.0 <= found.high
    # A nominal 5%, less those that would have missed with a denominator too near to 0.
    assert 0.01 <= missed / 600 <= 0.06
    assert 0.02 <= withheld / 600 <= 0.20
