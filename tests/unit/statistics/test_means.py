"""Means of cells and contrasts of independent ones: values, intervals, how often they cover."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.cells import log_means
from cudagraph_lab.statistics.contrasts import Side, estimate_sample, sample_of
from cudagraph_lab.statistics.means import WIDEST, draw_locations, estimate_mean
from cudagraph_lab.statistics.spread import spread_between

# Five significant digits, as a timer of a real run resolves at least: no hits on rounding.
values = st.floats(0.01, 1e4).map(lambda x: float(f"{x:.5g}"))
cells = st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=6)


def contrast(weighted):
    """Cells with their weights, each independent of the others."""
    sides = [
        Side(weight, (log_means(dict(enumerate(cell)), name=f"cell {i}"),), f"cell {i}")
        for i, (cell, weight) in enumerate(weighted)
    ]
    return estimate_sample(sample_of(sides, blocks=False, name="contrast"), None)


def ratio(first, second):
    return contrast([(first, 1), (second, -1)])


def simulate(rng, repeats, iterations, between, within, location=1.0, skewed=False):
    """A cell whose true location is known: process effects have mean 0 on the log scale."""
    effect = (rng.gamma(4, size=(repeats, 1)) - 4) / 2 if skewed else rng.normal(size=(repeats, 1))
    noise = within * rng.normal(size=(repeats, iterations))
    return (location * np.exp(between * effect + noise)).tolist()


def realistic(rng, repeats, location, skewed):
    """Spreads drawn from what CPU (2 to 15%) or GPU runs (0.5 to 3%) show, per arm."""
    low, high = (0.02, 0.15) if rng.random() < 0.5 else (0.005, 0.03)
    between = low * (high / low) ** rng.random()
    within = 0.01 * 4 ** rng.random()
    return simulate(rng, repeats, rng.integers(3, 6), between, within, location, skewed)


def coverage(counts, weights, skewed, experiments=1000, seed=20):
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(experiments):
        weighted = [
            (realistic(rng, n, location, skewed), weight)
            for n, weight, location in zip(counts, weights, (1.7, 1.2, 0.8, 3.0), strict=False)
        ]
        truth = math.prod(x**w for x, w in zip((1.7, 1.2, 0.8, 3.0), weights, strict=False))
        estimate = contrast(weighted)
        hits += estimate.low <= truth <= estimate.high
    return hits / experiments


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_ratio_interval_covers_the_truth_as_often_as_it_says(n, skewed):
    assert 0.92 <= coverage((n, n), (1, -1), skewed) <= 0.97


def test_coverage_with_unequal_repeats_and_four_cells():
    assert 0.92 <= coverage((5, 8), (1, -1), skewed=False) <= 0.97
    assert 0.92 <= coverage((3, 3, 3, 3), (1, -1, -1, 1), skewed=False) <= 0.97


def test_percentile_bootstrap_would_not_have_covered_at_three_repeats():
    """The reason for the t interval: guards the simulation against being too easy."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        a, b = (np.log(simulate(rng, 3, 4, 0.08, 0.02)) for _ in range(2))
        draws = 0.0
        for sign, cell in ((1, a), (-1, b)):
            process = rng.integers(0, 3, size=(300, 3))
            iteration = rng.integers(0, 4, size=(300, 3, 4))
            draws = draws + sign * cell[process[..., None], iteration].mean(axis=(1, 2))
        low, high = np.quantile(draws, [0.025, 0.975])
        hits += low <= 0 <= high
    assert hits / 300 < 0.90


def test_a_single_published_observation_gives_the_exact_ratio_and_no_interval():
    estimate = ratio([[2473.6]], [[980.3]])
    assert estimate.value == pytest.approx(2473.6 / 980.3)
    assert astuple(estimate)[1:] == (None, None, 1, None, "one repeat: no interval", False)


def test_one_single_repeat_denies_the_interval_to_the_whole_contrast():
    estimate = ratio([[1.0, 2.0]], [[1.0], [1.1], [1.2]])
    assert (estimate.low, estimate.high, estimate.method, estimate.n) == (None, None, None, 1)


def test_iterations_do_not_stand_in_for_repeats():
    assert estimate_mean([[1.0, 1.1, 1.2, 1.3]]).low is None


@pytest.mark.parametrize("cell", [[[2.0]] * 3, [[1.0, 3.0], [3.0, 1.0]], [[0.1, 0.1, 0.1]] * 12])
def test_equal_repeats_give_no_interval(cell):
    estimate = ratio(cell, [[1.0], [1.1], [1.3]])
    assert estimate.low is None
    assert estimate.note == "equal repeats, spread not resolved: no interval"


def test_equal_values_have_themselves_as_mean():
    assert estimate_mean([[0.1, 0.1], [0.1]]).value == 0.1


def test_interval_of_a_mean_is_students():
    cell = [[1.0], [1.1], [1.3], [1.25], [0.9]]
    found = estimate_mean(cell)
    low, high = reference.ttest_1samp(np.log(np.ravel(cell)), 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.note is None


def test_note_says_that_three_repeats_are_few():
    estimate = estimate_mean([[1.0], [1.1], [1.3]])
    assert estimate.note == (
        "3 repeats are few: the interval rests on a t distribution with 2.0 degrees of freedom"
    )


@settings(deadline=None)
@given(cells)
def test_mean_lies_in_the_data_and_the_interval_around_it(cell):
    estimate = estimate_mean(cell)
    flat = [x for repeat in cell for x in repeat]
    assert min(flat) <= estimate.value * (1 + 1e-12)
    assert estimate.value <= max(flat) * (1 + 1e-12)
    assert (estimate.low is None) == (estimate.high is None) == (estimate.method is None)
    assert not any(isinstance(x, float) and not math.isfinite(x) for x in astuple(estimate))
    if estimate.low is not None:
        assert 0 < estimate.low <= estimate.value <= estimate.high


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(values, min_size=1, max_size=2), min_size=10, max_size=14))
@example([[1.0]] * 9 + [[2.0]])
@example([[1.0], [1.0001]] * 5 + [[1e4]])
def test_many_repeats_never_yield_nan_nor_an_interval_beside_the_value(cell):
    estimate = estimate_mean(cell)
    assert math.isfinite(estimate.value)
    if estimate.low is not None:
        assert 0 < estimate.low <= estimate.value <= estimate.high < math.inf


@settings(deadline=None)
@given(cells, cells)
def test_ratio_is_the_quotient_of_the_means(a, b):
    quotient = estimate_mean(a).value / estimate_mean(b).value
    assert ratio(a, b).value == pytest.approx(quotient)


@settings(deadline=None)
@given(cells, cells)
def test_ratio_inverts(a, b):
    one, other = ratio(a, b), ratio(b, a)
    assert one.value == pytest.approx(1 / other.value)
    assert (one.low is None) == (other.low is None)
    if one.low is not None:
        assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


@settings(deadline=None)
@given(cells, cells, st.floats(1e-3, 1e3))
def test_ratio_does_not_change_with_the_unit(a, b, factor):
    one = ratio(a, b)
    scaled = [[[x * factor for x in repeat] for repeat in cell] for cell in (a, b)]
    other = ratio(scaled[0], scaled[1])
    assert other.value == pytest.approx(one.value)
    assert (one.low is None) == (other.low is None)
    if one.low is not None:
        assert (other.low, other.high) == pytest.approx((one.low, one.high))


@settings(deadline=None)
@given(cells)
def test_durations_and_rates_say_the_same(cell):
    rates = [[1 / x for x in repeat] for repeat in cell]
    assert estimate_mean(rates).value == pytest.approx(1 / estimate_mean(cell).value)


@settings(deadline=None)
@given(cells, st.randoms(use_true_random=False))
def test_order_of_repeats_does_not_matter(cell, random):
    shuffled = [list(repeat) for repeat in cell]
    random.shuffle(shuffled)
    for repeat in shuffled:
        random.shuffle(repeat)
    assert estimate_mean(shuffled) == estimate_mean(cell)


def test_a_repeat_counts_once_however_many_iterations_it_has():
    assert estimate_mean([[1.0] * 9, [4.0]]).value == pytest.approx(2.0)


def test_interaction_is_a_ratio_of_ratios():
    rng = np.random.default_rng(9)
    four = [simulate(rng, 4, 2, 0.05, 0.02) for _ in range(4)]
    whole = contrast(zip(four, (1, -1, -1, 1), strict=True))
    first, second = ratio(four[0], four[1]), ratio(four[2], four[3])
    assert whole.value == pytest.approx(first.value / second.value)
    half = contrast(zip(four, (0.5, -0.5, -0.5, 0.5), strict=True))
    assert half.high == pytest.approx(whole.high**0.5)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ([], "eager at 8: the cell is empty"),
        ([[1.0], []], "eager at 8, repeat 2: no list of values"),
        ([[1.0], [2.0, math.nan]], "eager at 8, repeat 2, iteration 2: nan is not"),
        ([[math.inf]], "eager at 8, repeat 1, iteration 1: inf is not"),
        ([[0.0]], "0.0 is not a positive finite number"),
        ([[-1.0]], "-1.0 is not a positive finite number"),
        ([["fast"]], "are not numbers"),
    ],
)
def test_unusable_cells_are_named(cell, message):
    with pytest.raises(LabError, match=message):
        estimate_mean(cell, name="eager at 8")
    with pytest.raises(LabError, match=message):
        spread_between(cell, name="eager at 8")


def test_spread_too_wide_gives_no_interval_rather_than_infinity():
    estimate = estimate_mean([[1e-300], [1e300]])
    assert (estimate.low, estimate.high) == (None, None)
    assert estimate.note == "spread too wide: no interval"
    assert estimate_mean([[1.0], [1.5]]).note == "spread too wide: no interval"
    two = estimate_mean([[1.0], [1.2]])
    assert two.low is not None
    assert two.high / two.low < WIDEST


def test_draws_of_a_location_reproduce_its_interval():
    cell = [[1.0, 1.02], [1.1, 1.08], [0.95, 0.97], [1.03, 1.01]]
    estimate = estimate_mean(cell)
    draws = draw_locations(cell, 200_000, seed=3)
    assert draws is not None and estimate.low is not None and estimate.high is not None
    low, high = np.quantile(draws, [0.025, 0.975])
    assert low == pytest.approx(estimate.low, rel=0.005)
    assert high == pytest.approx(estimate.high, rel=0.005)
    assert draw_locations([[1.0, 1.1]], 10, seed=1) is None
