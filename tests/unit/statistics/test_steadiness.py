"""A first call that is faster is not a fault of warm-up."""

import pytest

from cudagraph_lab.statistics.steadiness import steady_state

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
