"""The share of the measuring time inside timed calls, on records whose times are known."""

import pytest

from cudagraph_lab.ledger.quantities.timed_share import timed_share
from tests.read_dataset import read_dataset


def call(role, started_s, seconds):
    return {"role": role, "started_s": started_s, "seconds": seconds, "tokens": 8}


def run(small_record, measured, arm, repeat, calls):
    def edit(body):
        body["request"]["measured"] = measured
        body["request"]["iterations"] = sum(c["role"] == "timed" for c in calls)
        body["request"]["workload"]["batch_sizes"] = [1]
        body["cells"] = [{"batch": 1, "calls": calls}]

    return small_record(edit, arm=arm, repeat=repeat)


@pytest.mark.parametrize(("measured", "seconds", "n"), [("in_turn", 41, 2), ("apart", 79, 4)])
def test_arms_in_turn_share_the_time_of_their_repeat(small_record, measured, seconds, n):
    for repeat in (1, 2):
        eager = [call("first", 10, 2), call("timed", 12, 3), call("timed", 17, 2)]  # ends at 19
        graphs = [call("first", 14, 1), call("timed", 15, 2), call("timed", 19, repeat)]
        run(small_record, measured, "eager", repeat, eager)
        path = run(small_record, measured, "graphs", repeat, graphs)
    dataset, table = read_dataset("small", path.parents[1].glob("*/rep*.json"), {}, {}, {}, {})
    found = timed_share(dataset, table)
    # In turn: repeats of 20 and 21 s. Apart: two processes of 19 s, one of 20 and one of 21.
    assert found.value == pytest.approx((5 + 5 + 3 + 4) / seconds)
    assert found.n == n
    assert found.note.startswith(f"of {seconds} s in {n} ")


def test_an_arm_alone_beside_arms_in_turn_has_its_own_time(small_record):
    calls = [call("first", 10, 2), call("timed", 12, 3)]
    for arm, measured in (("eager", "in_turn"), ("graphs", "in_turn"), ("alone", "apart")):
        path = run(small_record, measured, arm, 1, calls)
    dataset, table = read_dataset("small", path.parents[1].glob("*/rep*.json"), {}, {}, {}, {})
    assert dataset.measured == "in_turn"
    found = timed_share(dataset, table)
    assert found.value == pytest.approx(9 / 30)
    assert found.note.startswith("of 30 s in 2 repeats and processes")


def test_published_figures_have_no_times(shipped):
    dataset, table = read_dataset(
        "l4-published", (shipped / "l4-published" / "runs").glob("*/rep*.json"), {}, {}, {}, {}
    )
    assert "do not say when calls began" in timed_share(dataset, table).missing
