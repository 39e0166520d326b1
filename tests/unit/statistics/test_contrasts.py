"""Repeats as blocks, moderated variances, and when repeats are blocks."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from bench import coverage
from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.blocks import repeats_are_blocks
from cudagraph_lab.statistics.cells import log_means, logs_by_batch, within_processes
from cudagraph_lab.statistics.contrasts import (
    BLOCKED_METHOD,
    INDEPENDENT_METHOD,
    MODERATED,
    Side,
    draw_together,
    error_of,
    estimate_quotient,
    estimate_sample,
    priors_of,
    sample_of,
)
from cudagraph_lab.statistics.moderation import Prior, Variance, moderated, prior_of

logs = st.floats(-3, 3).map(lambda x: round(x, 3))


def arms_with(n):
    return st.lists(logs, min_size=n, max_size=n).map(lambda v: dict(enumerate(v, 1)))


two_arms = st.integers(2, 6).flatmap(lambda n: st.tuples(arms_with(n), arms_with(n)))


def compare(one, other, *, blocks=True):
    return sample_of([Side(1, (one,), "a"), Side(-1, (other,), "b")], blocks=blocks, name="a/b")


def test_a_blocked_ratio_is_the_paired_t_test():
    a, b = {1: 0.3, 2: 0.5, 3: 0.1, 4: 0.2}, {4: -0.2, 1: 0.1, 2: 0.2, 3: -0.3}
    found = estimate_sample(compare(a, b), None)
    paired = reference.ttest_rel(list(a.values()), [b[r] for r in a])
    low, high = paired.confidence_interval()
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert (found.n, found.method) == (4, BLOCKED_METHOD)


@pytest.mark.parametrize("blocks", [True, False])
def test_sides_with_other_repeats_are_independent(blocks):
    a, b = {1: 0.3, 2: 0.5, 3: 0.1}, {1: 0.1, 2: 0.2}
    found = estimate_sample(compare(a, b, blocks=blocks), None)
    welch = reference.ttest_ind(list(a.values()), list(b.values()), equal_var=False)
    low, high = welch.confidence_interval()
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert (found.n, found.method) == (2, INDEPENDENT_METHOD)


def test_what_a_repeat_does_to_all_arms_cancels():
    rng = np.random.default_rng(1)
    shared = dict(enumerate(rng.normal(size=5)))
    a, b = ({r: 0.01 * x for r, x in enumerate(rng.normal(size=5))} for _ in range(2))
    bare = estimate_sample(compare(a, b), None)
    moved = [{r: x + shared[r] for r, x in arm.items()} for arm in (a, b)]
    found = estimate_sample(compare(*moved), None)
    assert (found.low, found.high) == pytest.approx((bare.low, bare.high))
    apart = estimate_sample(compare(*moved, blocks=False), None)
    assert apart.high / apart.low > 2 * found.high / found.low


def test_pooled_arms_count_as_their_mean_in_a_block_and_once_each_without():
    arms = ({1: 0.0, 2: 0.4}, {1: 0.2})
    sides = [Side(1, ({1: 1.0, 2: 1.0},), "graphs"), Side(-1, arms, "eager")]
    blocked = sample_of(sides, blocks=True, name="x")
    assert sorted(blocked.groups[0]) == pytest.approx([0.6, 0.9])
    apart = sample_of(sides, blocks=False, name="x")
    assert [len(values) for values in apart.groups] == [2, 3]
    assert apart.log == pytest.approx(1 - 0.2)


@settings(deadline=None)
@given(two_arms, logs, st.booleans())
def test_contrasts_do_not_change_with_the_unit_and_invert(arms, shift, blocks):
    a, b = arms
    one = estimate_sample(compare(a, b, blocks=blocks), None)
    moved = [{r: x + shift for r, x in arm.items()} for arm in arms]
    scaled = estimate_sample(compare(*moved, blocks=blocks), None)
    inverse = estimate_sample(compare(b, a, blocks=blocks), None)
    assert scaled.value == pytest.approx(one.value)
    assert inverse.value == pytest.approx(1 / one.value)
    spreads = [np.ptp(values) for values in compare(a, b, blocks=blocks).groups]
    assume(min(spreads) > 1e-9 and one.low is not None)
    assert (scaled.low, scaled.high) == pytest.approx((one.low, one.high))
    assert (inverse.low, inverse.high) == pytest.approx((1 / one.high, 1 / one.low))
    assert one.low <= one.value <= one.high


@settings(deadline=None)
@given(two_arms, st.randoms(use_true_random=False), st.booleans())
def test_the_order_and_the_names_of_repeats_do_not_matter(arms, random, blocks):
    names = list(arms[0])
    random.shuffle(names)
    renamed = [dict(zip(names, arm.values(), strict=True)) for arm in arms]
    backwards = [{r: arm[r] for r in sorted(arm, reverse=True)} for arm in renamed]
    one = estimate_sample(compare(*arms, blocks=blocks), None)
    assert estimate_sample(compare(*backwards, blocks=blocks), None) == one


def test_one_repeat_and_equal_repeats_have_no_interval():
    one = estimate_sample(compare({1: 0.5}, {1: 0.0}), None)
    assert (one.low, one.note) == (None, "one repeat: no interval")
    equal = compare({1: 0.5, 2: 0.7}, {1: 0.0, 2: 0.2})
    assert estimate_sample(equal, None).note == "equal repeats, spread not resolved: no interval"
    assert error_of(equal, None) is None
    wide = estimate_sample(compare({1: 0.0, 2: 9.0}, {1: 0.0, 2: 0.1}), None)
    assert wide.note == "spread too wide: no interval"


def test_contrasts_of_two_data_sets_are_independent():
    rng = np.random.default_rng(10)
    here, there = (
        compare(*(dict(enumerate(0.1 * rng.normal(size=n))) for _ in range(2))) for n in (4, 6)
    )
    found = estimate_quotient(here, None, there, None)
    welch = reference.ttest_ind(here.groups[0], there.groups[0], equal_var=False)
    low, high = welch.confidence_interval()
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert (found.n, found.method) == (4, BLOCKED_METHOD)
    alone = compare({1: 0.5}, {1: 0.0})
    assert estimate_quotient(here, None, alone, None).note == "one repeat: no interval"


def test_unusable_contrasts_are_refused_by_name():
    with pytest.raises(LabError, match="noise: a contrast needs"):
        sample_of([], blocks=True, name="noise")
    with pytest.raises(LabError, match="noise, eager: no repeat"):
        sample_of([Side(1, ({},), "eager")], blocks=True, name="noise")
    with pytest.raises(LabError, match="noise, eager: weight 0"):
        sample_of([Side(0, ({1: 1.0},), "eager")], blocks=True, name="noise")
    with pytest.raises(LabError, match="eager, repeat 2, iteration 1"):
        log_means({1: [1.0], 2: [-1.0]}, name="eager")
    with pytest.raises(LabError, match=r"eager: no cell at batch size \[64\]"):
        within_processes({1: {1: 1.0}}, {1: 1.0, 64: -1.0}, name="eager")


def test_batch_sizes_are_contrasted_inside_each_process():
    cells = {1: {1: [2.0], 2: [4.0], 3: [1.0]}, 64: {2: [2.0], 1: [2.0]}}
    found = within_processes(logs_by_batch(cells), {1: 1.0, 64: -1.0})
    assert found == pytest.approx({1: 0.0, 2: math.log(2)})


def test_the_prior_of_equal_variances_is_infinitely_firm_and_of_their_size():
    rng = np.random.default_rng(2)
    samples = [Variance(float(rng.normal(size=5).var(ddof=1)) * 4, 4) for _ in range(400)]
    prior = prior_of(samples)
    assert prior.variance == pytest.approx(4, rel=0.1)
    assert prior.degrees > 40


def test_the_prior_recovers_how_variances_scatter():
    rng = np.random.default_rng(3)
    # Smyth's model: the variance is s0^2 d0 / chi-square(d0).
    truth = 0.5 * 6 / rng.chisquare(6, size=4000)
    prior = prior_of([Variance(v * rng.chisquare(4) / 4, 4) for v in truth])
    assert prior.degrees == pytest.approx(6, rel=0.2)
    assert prior.variance == pytest.approx(0.5, rel=0.1)


def test_the_prior_draws_variances_together_and_never_outweighs_the_data():
    prior = Prior(1.0, math.inf)
    assert moderated(4.0, 4, prior) == pytest.approx((2.5, 8))
    assert moderated(4.0, 4, Prior(1.0, 2.0)) == pytest.approx((3.0, 6))
    assert moderated(4.0, 4, None) == (4.0, 4)
    assert prior_of([Variance(1.0, 4)] * 2) is None
    assert prior_of([Variance(0.0, 4)] * 9) is None


@settings(deadline=None)
@given(
    st.lists(st.floats(1e-6, 1e3), min_size=3, max_size=9),
    st.lists(st.integers(1, 9), min_size=9, max_size=9),
    st.floats(1e-3, 1e3),
)
def test_moderation_scales_with_the_variances(variances, degrees, factor):
    given_ = [Variance(v, d) for v, d in zip(variances, degrees, strict=False)]
    one, other = (prior_of([Variance(v.value * k, v.degrees) for v in given_]) for k in (1, factor))
    assert other.variance == pytest.approx(one.variance * factor, rel=1e-4)
    assert other.degrees == pytest.approx(one.degrees, rel=1e-3)


def test_moderation_narrows_what_few_repeats_leave_wide():
    rng = np.random.default_rng(4)
    samples = [
        compare(*(dict(enumerate(0.1 * rng.normal(size=3))) for _ in range(2))) for _ in range(12)
    ]
    priors = priors_of(samples)
    found = [estimate_sample(sample, priors) for sample in samples]
    bare = [estimate_sample(sample, None) for sample in samples]
    assert {e.method for e in found} == {BLOCKED_METHOD + MODERATED}
    widths = [np.mean([math.log(e.high / e.low) for e in which]) for which in (found, bare)]
    assert widths[0] < 0.75 * widths[1]
    assert [e.value for e in found] == [e.value for e in bare]


def test_a_group_in_several_contrasts_counts_once_in_the_prior():
    rng = np.random.default_rng(5)
    eager, *others = (dict(enumerate(rng.normal(size=n))) for n in (5, 4, 4, 4))
    samples = [compare(arm, eager) for arm in others]
    assert priors_of(samples) == priors_of([*samples, compare(others[0], eager)])


@pytest.mark.parametrize("blocks", [0.0, 0.5])
@pytest.mark.parametrize("bursts", [False, True])
def test_intervals_cover_the_truth_as_often_as_they_say(blocks, bursts):
    """A spot of `bench/coverage.py`, by its own code, where it is hardest: one quiet arm."""
    rng = np.random.default_rng(6)
    tally = coverage.Tally()
    for _ in range(60):
        rates = coverage.simulate(rng, 5, blocks, bursts, True)
        coverage.experiment(rates, False, 0.15, tally)
    assert 0.90 <= np.mean(tally.held["ratio"]) <= 0.995
    assert np.mean(tally.held["fade"]) >= 0.85


def logs_of(values):
    """Arms by batch size 1 and 8 from logs, arms x repeats."""
    return [{b: {r: x + b for r, x in enumerate(arm)} for b in (1, 8)} for arm in values]


def test_blocks_are_found_where_arms_share_what_repeats_do():
    rng = np.random.default_rng(7)
    own = 0.05 * rng.normal(size=(4, 6))
    shared = 0.2 * rng.normal(size=6)
    assert repeats_are_blocks(logs_of(own + shared + [[1], [2], [3], [4]]))
    assert not repeats_are_blocks(logs_of(own))


def test_blocks_are_seldom_found_where_there_are_none():
    rng = np.random.default_rng(8)
    share = np.mean([repeats_are_blocks(logs_of(rng.normal(size=(3, 4)))) for _ in range(400)])
    assert 0.02 <= share <= 0.09


def test_blocks_need_two_arms_with_the_same_two_repeats():
    shared = [[0.1, 0.5, 0.3], [0.2, 0.6, 0.4]]
    assert repeats_are_blocks(logs_of(shared))
    # An arm that lacks a repeat is left out.
    assert repeats_are_blocks(logs_of([*shared, [0.9, 0.1]]))
    for too_few in (shared[:1], [[0.1], [0.2]], [[0.1, 0.1], [0.1, 0.1]]):
        assert not repeats_are_blocks(logs_of(too_few))
    with pytest.raises(LabError, match="blocks: no batch size"):
        repeats_are_blocks([{1: {1: 0.0}}, {8: {1: 0.0}}])


def test_draws_keep_the_correlation_over_repeats_and_reproduce_the_interval():
    rng = np.random.default_rng(9)
    shared = rng.normal(size=6)
    cells = [dict(enumerate(shared + 0.1 * rng.normal(size=6))) for _ in range(2)]
    drawn = draw_together(cells, 100_000, seed=1)
    quantiles = np.exp(np.quantile(drawn[0] - drawn[1], [0.025, 0.975]))
    found = estimate_sample(compare(*cells), None)
    assert quantiles == pytest.approx((found.low, found.high), rel=0.01)
    assert np.corrcoef(drawn[0], drawn[1])[0, 1] > 0.8
    renamed = {r + 1: x for r, x in cells[1].items()}
    one, other = draw_together([cells[0], renamed], 100_000, seed=1)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.2
    assert draw_together([cells[0], {1: 1.0}], 10, seed=1) is None
    again = draw_together(cells, 100, seed=1)
    assert all((x == y).all() for x, y in pairwise([again[0], draw_together(cells, 100, 1)[0]]))
