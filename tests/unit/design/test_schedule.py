"""The order of the calls: every cell once a round, each arm at each place equally often."""

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.design.schedule import draw_rounds

ARMS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)
BATCHES = st.lists(st.integers(1, 512), min_size=1, max_size=5, unique=True)


def drawn(arms, batches, rounds, seed=1, repeat=1):
    return list(islice(draw_rounds(arms, batches, seed, repeat), rounds))


@given(ARMS, BATCHES, st.integers(1, 8), st.integers(0, 99), st.integers(1, 9))
def test_every_round_has_every_cell_once(arms, batches, rounds, seed, repeat):
    cells = {(arm, batch) for arm in arms for batch in batches}
    for order in drawn(arms, batches, rounds, seed, repeat):
        assert Counter(order) == Counter(cells)


@given(ARMS, BATCHES, st.integers(0, 99))
def test_in_as_many_rounds_as_arms_each_arm_has_each_place_once(arms, batches, seed):
    places: Counter[tuple[str, int, int]] = Counter()
    for order in drawn(arms, batches, len(arms), seed):
        for batch in batches:
            those = [arm for arm, size in order if size == batch]
            # The arms of one batch size stand one after the other.
            first = order.index((those[0], batch))
            assert [size for _, size in order[first : first + len(arms)]] == [batch] * len(arms)
            places.update((batch, place, arm) for place, arm in enumerate(those))
    assert set(places.values()) == {1}


@given(ARMS, BATCHES)
def test_more_rounds_leave_the_earlier_ones_as_they_are(arms, batches):
    assert drawn(arms, batches, 9)[:4] == drawn(arms, batches, 4)


def test_repeats_and_seeds_have_orders_of_their_own():
    orders = [drawn("abcd", [1, 8, 64], 4, seed, repeat) for seed in (1, 2) for repeat in (1, 2)]
    assert all(one != other for i, one in enumerate(orders) for other in orders[:i])
