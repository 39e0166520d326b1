"""Numbers about what nobody here measured: forecasts, claims and the back-test in the ledger."""

import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.extrapolations import OUTLOOK, extrapolate, outlook_numbers, pose

QUESTION = {
    "device": "h100", "model": "llama-70b", "batch": 32, "tp": 2, "dtype": "bf16", "context": 1024,
}  # fmt: skip


@pytest.fixture(scope="module")
def numbers():
    return {str(number.id): number for number in outlook_numbers([QUESTION])}


def test_an_extrapolation_has_bounds_and_what_it_rests_on(numbers):
    number = numbers["extrapolation/h100/llama-70b/tp2/bf16/b32"]
    said = extrapolate(pose(QUESTION))
    assert (number.low, number.value, number.high) == (
        said.ratio.low_90, said.ratio.median, said.ratio.high_90,
    )  # fmt: skip
    assert all(reason in number.note for reason in said.rests_on)


def test_the_claim_about_70b_is_judged_by_the_bounds(numbers):
    (judged,) = numbers["extrapolation/h100/llama-70b/tp4/bf16/b32"].predictions
    number = numbers["extrapolation/h100/llama-70b/tp4/bf16/b32"]
    assert (judged.low, judged.high) == (1.0, 1.1)
    assert number.low < 1.1 < number.high
    assert judged.verdict == "inconclusive" and judged.settle == "a measurement there"


def test_every_number_is_marked_as_of_no_data_set(numbers):
    assert {number.dataset for number in numbers.values()} == {OUTLOOK}


def test_the_back_test_counts_what_its_rows_say(numbers):
    rows = [n for n in numbers.values() if n.id.pair is not None]
    possible = [row for row in rows if "no evidence" not in (row.note or "")]
    # What cannot be as published is not judged.
    assert [bool(row.predictions) for row in rows] == [row in possible for row in rows]
    hits = [row for row in possible if row.predictions[0].verdict == "confirmed"]
    assert numbers["backtest/tested"].value == len(possible)
    assert numbers["backtest/infeasible"].value == len(rows) - len(possible) > 0
    assert numbers["backtest/hits"].value == len(hits)


def test_a_measured_host_takes_the_place_of_an_unknown_one():
    unknown, known = extrapolate(pose(QUESTION)), extrapolate(pose(QUESTION, host="h100-turns"))
    assert known.ratio.median > unknown.ratio.median  # that host is slow
    assert any("h100-turns" in reason for reason in known.rests_on)
    narrow = extrapolate(pose(QUESTION, launch_us=(29.0, 30.0)))
    assert narrow.host_s["eager"] == pytest.approx(known.host_s["eager"], rel=0.1)


@pytest.mark.parametrize(
    ("change", "host", "named"),
    [
        ({"device": "h9000"}, None, "h9000"),
        ({"model": "llama-9"}, None, "llama-9"),
        ({}, "no-such-set", "no-such-set"),
        ({}, "l4-published", "l4-published"),
    ],
)
def test_what_is_not_known_is_named(change, host, named):
    with pytest.raises(LabError, match=named) as caught:
        extrapolate(pose({**QUESTION, **change}, host))
    assert "\n" not in str(caught.value)
