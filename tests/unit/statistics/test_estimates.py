import math
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics import estimates as stats
from cudagraph_lab.statistics.estimates import (
    WIDEST,
    Cell,
    Estimate,
    Term,
    estimate_contrast,
    estimate_mean,
    estimate_ratio,
    holm,
    judge_fade,
    judge_no_inversion,
    more_repeats_to_halve,
    more_repeats_to_settle,
    steady_state,
    variance_components,
)

PUBLISHED: dict[int, tuple[Cell, Cell]] = {
    1: ([[2473.6]], [[980.3]]),
    8: ([[11034.8]], [[6912.4]]),
    64: ([[46883.1]], [[41560.2]]),
}

# Five significant digits, as a timer of a real run resolves at least: no hits on rounding.
values = st.floats(0.01, 1e4).map(lambda x: float(f"{x:.5g}"))
cells = st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=6)


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
        terms = [
            Term(realistic(rng, n, location, skewed), weight, f"cell {i}")
            for i, (n, weight, location) in enumerate(
                zip(counts, weights, (1.7, 1.2, 0.8, 3.0), strict=False)
            )
        ]
        truth = math.prod(x**w for x, w in zip((1.7, 1.2, 0.8, 3.0), weights, strict=False))
        estimate = estimate_contrast(terms, seed=int(rng.integers(2**32)))
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
    estimate = estimate_ratio([[2473.6]], [[980.3]], seed=1)
    assert estimate == Estimate(2473.6 / 980.3, None, None, 1, None, "one repeat: no interval")


def test_one_single_repeat_denies_the_interval_to_the_whole_contrast():
    estimate = estimate_ratio([[1.0, 2.0]], [[1.0], [1.1], [1.2]], seed=1)
    assert (estimate.low, estimate.high, estimate.method, estimate.n) == (None, None, None, 1)


def test_iterations_do_not_stand_in_for_repeats():
    assert estimate_mean([[1.0, 1.1, 1.2, 1.3]], seed=1).low is None


@pytest.mark.parametrize("cell", [[[2.0]] * 3, [[1.0, 3.0], [3.0, 1.0]], [[0.1, 0.1, 0.1]] * 12])
def test_equal_repeats_give_no_interval(cell):
    estimate = estimate_ratio(cell, [[1.0], [1.1], [1.3]], seed=1)
    assert estimate.low is None
    assert estimate.note == "equal repeats, spread not resolved: no interval"


def test_equal_values_have_themselves_as_mean():
    assert estimate_mean([[0.1, 0.1], [0.1]], seed=1).value == 0.1


def test_interval_is_welchs():
    a, b = [[1.0], [1.1], [1.3], [1.25]], [[2.0], [2.5], [2.2]]
    found = estimate_ratio(a, b, seed=1, level=0.9)
    logs = np.log(np.ravel(a)), np.log(np.ravel(b))
    low, high = reference.ttest_ind(*logs, equal_var=False).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.method == stats.T_METHOD


def test_interval_of_a_mean_is_students():
    cell = [[1.0], [1.1], [1.3], [1.25], [0.9]]
    found = estimate_mean(cell, seed=1)
    low, high = reference.ttest_1samp(np.log(np.ravel(cell)), 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.note is None


def test_note_says_that_three_repeats_are_few():
    estimate = estimate_mean([[1.0], [1.1], [1.3]], seed=1)
    assert estimate.note == (
        "3 repeats are few: the interval rests on a t distribution with 2.0 degrees of freedom"
    )


@settings(deadline=None)
@given(cells)
def test_mean_lies_in_the_data_and_the_interval_around_it(cell):
    estimate = estimate_mean(cell, seed=1)
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
    estimate = estimate_mean(cell, seed=1)
    assert math.isfinite(estimate.value)
    if estimate.low is not None:
        assert 0 < estimate.low <= estimate.value <= estimate.high < math.inf


@settings(deadline=None)
@given(cells, cells)
def test_ratio_is_the_quotient_of_the_means_exactly(a, b):
    quotient = estimate_mean(a, seed=1).value / estimate_mean(b, seed=1).value
    assert estimate_ratio(a, b, seed=1).value == quotient


@settings(deadline=None)
@given(cells, cells)
def test_ratio_inverts(a, b):
    one, other = estimate_ratio(a, b, seed=1), estimate_ratio(b, a, seed=1)
    assert one.value == pytest.approx(1 / other.value)
    assert (one.low is None) == (other.low is None)
    if one.low is not None:
        assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


@settings(deadline=None)
@given(cells, cells, st.floats(1e-3, 1e3))
def test_ratio_does_not_change_with_the_unit(a, b, factor):
    one = estimate_ratio(a, b, seed=1)
    scaled = [[[x * factor for x in repeat] for repeat in cell] for cell in (a, b)]
    other = estimate_ratio(*scaled, seed=1)
    assert other.value == pytest.approx(one.value)
    assert (one.low is None) == (other.low is None)
    if one.low is not None:
        assert (other.low, other.high) == pytest.approx((one.low, one.high))


@settings(deadline=None)
@given(cells)
def test_durations_and_rates_say_the_same(cell):
    rates = [[1 / x for x in repeat] for repeat in cell]
    assert estimate_mean(rates, 1).value == pytest.approx(1 / estimate_mean(cell, 1).value)


@settings(deadline=None)
@given(cells, st.randoms(use_true_random=False))
def test_order_of_repeats_does_not_matter(cell, random):
    shuffled = [list(repeat) for repeat in cell]
    random.shuffle(shuffled)
    for repeat in shuffled:
        random.shuffle(repeat)
    assert estimate_mean(shuffled, seed=1) == estimate_mean(cell, seed=1)


def test_a_repeat_counts_once_however_many_iterations_it_has():
    assert estimate_mean([[1.0] * 9, [4.0]], seed=1).value == pytest.approx(2.0)


def test_interaction_is_a_ratio_of_ratios():
    rng = np.random.default_rng(9)
    four = [simulate(rng, 4, 2, 0.05, 0.02) for _ in range(4)]
    names = ("both", "graphs", "compile", "eager")
    terms = [Term(c, w, n) for c, w, n in zip(four, (1, -1, -1, 1), names, strict=True)]
    first, second = estimate_ratio(*four[:2], seed=1), estimate_ratio(*four[2:], seed=1)
    assert estimate_contrast(terms, 1).value == pytest.approx(first.value / second.value)
    half = [Term(t.cell, t.weight / 2, t.name) for t in terms]
    assert estimate_contrast(half, 1).high == pytest.approx(estimate_contrast(terms, 1).high ** 0.5)


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
        estimate_mean(cell, seed=1, name="eager at 8")
    with pytest.raises(LabError, match=message):
        variance_components(cell, name="eager at 8")


def test_unusable_requests_are_refused():
    good = [[1.0], [1.1]]
    with pytest.raises(LabError, match="level"):
        estimate_mean(good, seed=1, level=95)
    with pytest.raises(LabError, match="level"):
        more_repeats_to_halve([Term(good, 1, "a")], level=95)
    with pytest.raises(LabError, match="enter once"):
        estimate_contrast([Term(good, 1, "a"), Term(good, -1, "a")], seed=1)
    with pytest.raises(LabError, match="weight"):
        estimate_contrast([Term(good, 0, "a")], seed=1)
    with pytest.raises(LabError, match="range of numbers"):
        estimate_ratio([[1e308]], [[1e-308]], seed=1)
    with pytest.raises(LabError, match="batch size 8, denominator, repeat 1"):
        judge_no_inversion({8: ([[1.0]], [[0.0]])}, seed=1)


def test_spread_too_wide_gives_no_interval_rather_than_infinity():
    estimate = estimate_mean([[1e-300], [1e300]], seed=1)
    assert (estimate.low, estimate.high) == (None, None)
    assert estimate.note == "spread too wide: no interval"
    assert estimate_mean([[1.0], [1.5]], seed=1).note == "spread too wide: no interval"
    two = estimate_mean([[1.0], [1.2]], seed=1)
    assert two.low is not None
    assert two.high / two.low < WIDEST


def test_variance_components_match_the_analysis_of_variance():
    cell = [[1.0, 1.1, 1.2], [1.4, 1.5, 1.3], [0.9, 1.0, 1.0]]
    logs = np.log(cell)
    found = variance_components(cell)
    f, _ = reference.f_oneway(*logs)
    within = logs.var(axis=1, ddof=1).mean()
    assert found.within_cv == pytest.approx(math.sqrt(math.expm1(within)))
    assert found.between_cv == pytest.approx(math.sqrt(math.expm1(within * (f - 1) / 3)))
    assert (found.repeats, found.iterations_per_repeat, found.note) == (3, 3.0, None)


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


def half_width(repeats, deviation):
    return reference.t.ppf(0.975, repeats - 1) * deviation / math.sqrt(repeats)


def test_repeats_to_halve_account_for_the_t_quantile():
    cell = [[1.0], [1.1], [1.2]]
    deviation = np.log(np.ravel(cell)).std(ddof=1)
    extra = more_repeats_to_halve([Term(cell, 1, "a")])
    assert extra < 9  # 9 more repeats would be 4 times as many, with the t quantile left alone
    assert half_width(3 + extra, deviation) <= half_width(3, deviation) / 2
    assert half_width(2 + extra, deviation) > half_width(3, deviation) / 2
    assert more_repeats_to_halve([Term([[1.0]], 1, "a")]) is None


def test_repeats_to_settle():
    cell = [[1.0], [1.1], [1.2], [1.05]]
    terms = [Term(cell, 1, "a")]
    estimate = estimate_mean(cell, seed=1)
    deviation = np.log(np.ravel(cell)).std(ddof=1)

    assert more_repeats_to_settle(terms, 0.5, 2.0) == 0  # wholly inside
    assert more_repeats_to_settle(terms, 2.0, 3.0) == 0  # wholly outside
    bound = estimate.value * 1.05  # overlaps: the upper end lies above
    extra = more_repeats_to_settle(terms, None, bound)
    assert half_width(4 + extra, deviation) <= math.log(1.05) < half_width(3 + extra, deviation)
    assert more_repeats_to_settle(terms, bound, None) == extra
    assert more_repeats_to_settle(terms, 0.1, bound) == extra

    assert more_repeats_to_settle(terms, estimate.value, 9.0) is None  # on the bound
    assert more_repeats_to_settle(terms, estimate.value * (1 + 1e-6), None) is None  # too many
    assert more_repeats_to_settle([Term([[1.0]], 1, "a")], 0.5, 2.0) is None
    for bounds in ((None, None), (2.0, 1.0), (-1.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(LabError, match="predicted bounds"):
            more_repeats_to_settle(terms, *bounds)


def test_holm_on_a_worked_example():
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 is raised to its predecessor.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(LabError, match="p-values"):
            holm([0.5, bad])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= min(1.0, len(p_values) * p) + 1e-15
    ordered = [a for _, a in sorted(zip(p_values, holm(p_values), strict=True))]
    assert all(x <= y for x, y in pairwise(ordered))


def test_a_single_observation_settles_nothing_but_the_order():
    for judgement in (judge_fade(PUBLISHED, seed=1), judge_no_inversion(PUBLISHED, seed=1)):
        assert judgement.outcome == "not settled"
        assert judgement.points_agree
        assert judgement.note == "single observation: order only"
        assert all((look.p_above, look.p_below) == (None, None) for look in judgement.looks)


def speed_ups(ratios, spread=0.005, repeats=4, seed=11):
    rng = np.random.default_rng(seed)
    return {
        batch: (
            simulate(rng, repeats, 3, spread, 0.005, ratio),
            simulate(rng, repeats, 3, spread, 0.005),
        )
        for batch, ratio in ratios.items()
    }


def test_fade_is_supported_contradicted_or_left_open():
    falling = judge_fade(speed_ups({64: 1.13, 1: 2.5, 8: 1.6}), seed=1)
    assert falling.outcome == "supported"
    assert [look.batch_sizes for look in falling.looks] == [(1, 8), (8, 64)]
    assert falling.looks[0].estimate.value == pytest.approx(2.5 / 1.6, rel=0.03)

    rising = judge_fade(speed_ups({1: 2.5, 8: 1.6, 64: 1.9}), seed=1)
    assert rising.outcome == "contradicted"
    assert [look.outcome for look in rising.looks] == ["supported", "contradicted"]
    assert not rising.points_agree

    flat = judge_fade(speed_ups({1: 2.5, 8: 1.6, 64: 1.6}, spread=0.05), seed=1)
    assert flat.outcome == "not settled"


def test_no_inversion_is_supported_contradicted_or_left_open():
    assert judge_no_inversion(speed_ups({1: 2.5, 64: 1.13}), seed=1).outcome == "supported"
    inverted = judge_no_inversion(speed_ups({1: 2.5, 64: 0.9}), seed=1)
    assert inverted.outcome == "contradicted"
    assert not inverted.points_agree
    assert judge_no_inversion(speed_ups({1: 2.5, 64: 1.0}), seed=1).outcome == "not settled"


def test_several_looks_are_corrected():
    cells = speed_ups({1: 1.1, 8: 1.1, 64: 1.1}, spread=0.05)
    alone = [judge_no_inversion({b: c}, seed=1).looks[0].p_above for b, c in cells.items()]
    together = [look.p_above for look in judge_no_inversion(cells, seed=1).looks]
    assert together == pytest.approx(holm(alone))
    assert min(together) > min(alone)
    t, p = reference.ttest_ind(
        *(np.log(c).mean(axis=1) for c in cells[1]), equal_var=False, alternative="greater"
    )
    assert t > 0
    assert alone[0] == pytest.approx(p)


def test_no_look_is_decided_in_more_than_one_experiment_in_twenty_without_an_effect():
    rng = np.random.default_rng(12)
    wrong = 0
    for _ in range(400):
        flat = {b: tuple(simulate(rng, 3, 3, 0.03, 0.02) for _ in range(2)) for b in (1, 8, 64)}
        wrong += any(look.outcome != "not settled" for look in judge_fade(flat, seed=1).looks)
    assert wrong / 400 <= 0.07


def test_a_look_without_an_interval_leaves_the_claim_open():
    cells = speed_ups({1: 2.5, 8: 1.6}) | {64: PUBLISHED[64]}
    judgement = judge_no_inversion(cells, seed=1)
    assert [look.outcome for look in judgement.looks] == ["supported", "supported", "not settled"]
    assert judgement.outcome == "not settled"
    assert judgement.note.startswith("not every look has an interval")
    with pytest.raises(LabError, match="fade: 1 batch sizes"):
        judge_fade({1: PUBLISHED[1]}, seed=1)
    with pytest.raises(LabError, match="no batch size"):
        judge_no_inversion({}, seed=1)


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


def test_draws_of_a_location_reproduce_its_interval():
    cell = [[1.0, 1.02], [1.1, 1.08], [0.95, 0.97], [1.03, 1.01]]
    estimate = stats.estimate_mean(cell, seed=1)
    draws = stats.draw_locations(cell, 200_000, seed=3)
    assert draws is not None and estimate.low is not None and estimate.high is not None
    low, high = np.quantile(draws, [0.025, 0.975])
    assert low == pytest.approx(estimate.low, rel=0.005)
    assert high == pytest.approx(estimate.high, rel=0.005)
    assert stats.draw_locations([[1.0, 1.1]], 10, seed=1) is None
