"""The fade inside processes, and no inversion as one finding."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.cells import logs_by_batch
from cudagraph_lab.statistics.contrasts import estimate_sample, priors_of
from cudagraph_lab.statistics.shapes import (
    Compared,
    fade_samples,
    holm,
    judge_fade_within,
    judge_no_inversion_within,
    pair_samples,
    ratio_samples,
)

SHIPPED = Path("resources/datasets/h200-opt-125m/runs")


def shipped(arm):
    """Rates of the timed calls of a shipped arm, by batch size and repeat."""
    cells: dict[int, dict[int, list[float]]] = {}
    for path in sorted((SHIPPED / arm).glob("rep*.json")):
        record = json.loads(path.read_text())["record"]
        for cell in record["cells"]:
            timed = [call for call in cell["calls"] if call["role"] == "timed"]
            rates = [call["tokens"] / call["seconds"] for call in timed]
            cells.setdefault(cell["batch"], {})[record["repeat"]] = rates
    return cells


def compare(graphs, eager, blocks):
    """Two arms given as cells, made ready."""
    return Compared({"graphs": logs_by_batch(graphs)}, {"eager": logs_by_batch(eager)}, blocks)


def arm_of(rng, speeds, repeats=5, process=0.2, cell=0.02):
    """An arm whose processes differ by much more than batch sizes inside one of them do."""
    own = process * rng.normal(size=repeats)
    return {
        batch: {r: [speed * math.exp(own[r] + cell * rng.normal())] for r in range(repeats)}
        for batch, speed in speeds.items()
    }


def test_the_fade_on_the_h200_is_settled_inside_processes():
    graphs, eager = shipped("graphs"), shipped("eager")
    looks = fade_samples(compare(graphs, eager, False))
    found = estimate_sample(looks[1, 64], None)
    shown = [round(x, 2) for x in (found.value, found.low, found.high)]
    assert shown == [1.30, 1.15, 1.47]
    assert judge_fade_within(looks, None).outcome == "supported"


def test_what_a_process_does_to_all_of_its_batch_sizes_cancels():
    rng = np.random.default_rng(1)
    eager = arm_of(rng, {1: 1.0, 8: 8.0, 64: 64.0})
    graphs = arm_of(rng, {1: 4.0, 8: 24.0, 64: 96.0})
    looks = fade_samples(compare(graphs, eager, False))
    assert list(looks) == [(1, 64), (1, 8, 64)]
    assert judge_fade_within(looks, None).outcome == "supported"
    ends, slope = (estimate_sample(look, None).value for look in looks.values())
    assert ends == pytest.approx(4 / 1.5, rel=0.1)
    # The slope over the whole range, from three points: ln 4, ln 3, ln 1.5.
    line = reference.linregress(np.log([1, 8, 64]), np.log([4, 3, 1.5]))
    expected = math.exp(-line.slope * math.log(64))
    assert slope == pytest.approx(expected, rel=0.1)
    rising = judge_fade_within(fade_samples(compare(eager, graphs, False)), None)
    assert rising.outcome == "contradicted"
    assert not rising.points_agree


def test_two_batch_sizes_are_one_look_and_one_is_none():
    rng = np.random.default_rng(2)
    two = arm_of(rng, {1: 1.0, 8: 8.0})
    assert list(fade_samples(compare(two, two, False))) == [(1, 8)]
    with pytest.raises(LabError, match="fade: 1 batch sizes"):
        fade_samples(compare({1: two[1]}, two, False))


def test_a_single_observation_settles_nothing_but_the_order():
    published = {b: {1: [x]} for b, x in {1: 2473.6, 8: 11034.8, 64: 46883.1}.items()}
    eager = {b: {1: [x]} for b, x in {1: 980.3, 8: 6912.4, 64: 41560.2}.items()}
    fade = judge_fade_within(fade_samples(compare(published, eager, True)), None)
    none = judge_no_inversion_within(ratio_samples(compare(published, eager, True)), None)
    for found in (fade, none):
        assert found.outcome == "not settled"
        assert found.points_agree
        assert found.note == "single observation: order only"


def test_no_inversion_is_one_finding_over_all_batch_sizes():
    rng = np.random.default_rng(3)
    eager = arm_of(rng, {1: 1.0, 8: 8.0, 64: 64.0}, process=0.02)
    ahead = arm_of(rng, {1: 3.0, 8: 16.0, 64: 80.0}, process=0.02)
    behind = arm_of(rng, {1: 3.0, 8: 16.0, 64: 48.0}, process=0.02)
    level = arm_of(rng, {1: 3.0, 8: 16.0, 64: 64.0}, process=0.02)
    outcomes = []
    for graphs in (ahead, behind, level):
        samples = ratio_samples(compare(graphs, eager, True))
        priors = priors_of(list(samples.values()))
        outcomes.append(judge_no_inversion_within(samples, priors).outcome)
    assert outcomes == ["supported", "contradicted", "not settled"]
    with pytest.raises(LabError, match="no batch size"):
        judge_no_inversion_within({}, None)


def test_without_an_effect_a_fade_is_decided_in_at_most_one_of_twenty():
    rng = np.random.default_rng(4)
    decided = 0
    for _ in range(300):
        one, other = (arm_of(rng, {1: 1, 8: 1, 64: 1}, process=0.1, cell=0.1) for _ in range(2))
        both = compare(one, other, True)
        looks = fade_samples(both)
        priors = priors_of(list(pair_samples(both).values()))
        decided += judge_fade_within(looks, priors).outcome != "not settled"
    assert decided / 300 <= 0.07


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.randoms(use_true_random=False))
def test_shapes_do_not_change_with_the_unit_or_the_order(seed, factor, random):
    rng = np.random.default_rng(seed)
    graphs, eager = (arm_of(rng, {1: 2.0, 9: 9.0, 33: 30.0}) for _ in range(2))
    repeats = list(range(5))
    random.shuffle(repeats)
    other = {
        b: {r: [factor * x for x in graphs[b][r]] for r in repeats} for b in sorted(graphs)[::-1]
    }
    one, moved = (
        judge_fade_within(fade_samples(compare(g, eager, True)), None) for g in (graphs, other)
    )
    assert one.outcome == moved.outcome
    for look, again in zip(one.looks, moved.looks, strict=True):
        assert look.batch_sizes == again.batch_sizes
        assert again.p_above == pytest.approx(look.p_above, abs=1e-9)


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


def test_several_looks_are_corrected_and_each_is_welchs():
    rng = np.random.default_rng(5)
    eager = arm_of(rng, {1: 1.0, 8: 1.0, 64: 1.0}, process=0.05)
    graphs = arm_of(rng, {1: 1.1, 8: 1.1, 64: 1.1}, process=0.05)
    samples = ratio_samples(compare(graphs, eager, False))
    alone = [judge_no_inversion_within({b: s}, None).looks[0].p_above for b, s in samples.items()]
    together = [look.p_above for look in judge_no_inversion_within(samples, None).looks]
    assert together == pytest.approx(holm(alone))
    assert min(together) > min(alone)
    logs = [[math.log(x) for (x,) in arm[1].values()] for arm in (graphs, eager)]
    t, p = reference.ttest_ind(*logs, equal_var=False, alternative="greater")
    assert t > 0
    assert alone[0] == pytest.approx(p)


def test_a_look_without_an_interval_leaves_the_claim_open():
    rng = np.random.default_rng(6)
    eager = arm_of(rng, {1: 1.0, 8: 1.0}, process=0.01) | {64: {0: [1.0]}}
    graphs = arm_of(rng, {1: 2.5, 8: 1.6}, process=0.01) | {64: {0: [1.1]}}
    samples = ratio_samples(compare(graphs, eager, False))
    found = judge_no_inversion_within(samples, None)
    assert [look.outcome for look in found.looks] == ["supported", "supported", "not settled"]
    assert found.outcome == "not settled"
    assert found.note.startswith("not every look has an interval")
