"""Draws of cells: arms with equal settings are one, and what shares a process stays together."""

import math

import numpy as np
import pytest

from cudagraph_lab.ledger.draws import draw_cells

# Process effects of 10 to 40%, the same at both batch sizes: within a process nothing varies.
EFFECTS = {1: 1.0, 2: 1.1, 3: 0.8, 4: 1.3, 5: 0.9}


def arm(at_1, at_8, effects):
    return {
        1: {repeat: math.log(at_1 * effect) for repeat, effect in effects.items()},
        8: {repeat: math.log(at_8 * effect) for repeat, effect in effects.items()},
    }


ARMS = {
    "eager": arm(10, 40, EFFECTS),
    "eager-again": arm(20, 80, {1: 1.2, 2: 0.9, 3: 1.0}),
    "graphs": arm(30, 90, EFFECTS),
}
EAGER, GRAPHS = ("eager", "eager-again"), ("graphs",)


def spread_of(draws):
    return float(np.subtract(*np.quantile(draws, [0.975, 0.025])))


def test_processes_of_equal_arms_count_once_each_where_repeats_are_no_blocks():
    drawn = draw_cells(ARMS, [(EAGER, 1)], blocks=False, seed=1)
    values = [*(10 * e for e in EFFECTS.values()), 24, 18, 20]
    assert drawn.logs[0] == pytest.approx(sum(map(math.log, values)) / 8)
    assert drawn.n == 5


def test_equal_arms_enter_a_block_with_their_mean():
    drawn = draw_cells(ARMS, [(EAGER, 1)], blocks=True, seed=1)
    by_repeat = [
        (math.log(10 * EFFECTS[r]) + math.log(20 * other)) / 2
        for r, other in {1: 1.2, 2: 0.9, 3: 1.0}.items()
    ] + [math.log(10 * EFFECTS[r]) for r in (4, 5)]
    assert drawn.logs[0] == pytest.approx(sum(by_repeat) / 5)


def test_what_a_process_does_to_all_of_its_batch_sizes_cancels():
    drawn = draw_cells(ARMS, [(EAGER, 1), (EAGER, 8)], blocks=False, seed=1)
    assert spread_of(drawn.draws[1] - drawn.draws[0]) < 1e-9
    assert drawn.draws[1][0] - drawn.draws[0][0] == pytest.approx(math.log(4))


def test_arms_share_their_repeats_only_as_blocks():
    places = [(("eager",), 1), (GRAPHS, 1)]
    together = draw_cells(ARMS, places, blocks=True, seed=1).draws
    apart = draw_cells(ARMS, places, blocks=False, seed=1).draws
    assert spread_of(together[1] - together[0]) < 1e-9
    assert spread_of(apart[1] - apart[0]) > 0.3


def test_a_cell_of_one_repeat_leaves_nothing_to_draw():
    arms = {"eager": arm(10, 40, {1: 1.0}), "graphs": ARMS["graphs"]}
    drawn = draw_cells(arms, [(("eager",), 1), (GRAPHS, 1)], blocks=False, seed=1)
    assert (drawn.draws, drawn.n) == (None, 1)
    assert drawn.logs[0] == pytest.approx(math.log(10))
