"""Numbers about what nobody here measured: brackets, claims and the back-test as ledger entries."""

import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.outlook import OUTLOOK, answer, outlook_numbers

QUESTION = {
    "device": "h100", "model": "llama-70b", "batch": 32, "tp": 2, "dtype": "bf16", "context": 1024,
}  # fmt: skip


def numbers():
    return {str(number.id): number for number in outlook_numbers([QUESTION])}


def test_an_extrapolation_is_a_bracket_and_never_a_bare_number():
    number = numbers()["extrapolation/h100/llama-70b/tp2/bf16/b32"]
    bracket = answer(QUESTION)
    assert number.value is None and number.missing
    assert (number.low, number.high) == (bracket.low, bracket.high)
    assert all(assumption in number.note for assumption in bracket.assumptions)


def test_every_number_is_marked_as_of_no_data_set():
    assert {number.dataset for number in numbers().values()} == {OUTLOOK}


def test_the_back_test_counts_what_its_rows_say():
    found = numbers()
    rows = [
        number
        for name, number in found.items()
        if name.startswith("backtest/") and number.predictions
    ]
    tested = [row for row in rows if not row.predictions[0].in_sample]
    hits = [row for row in tested if row.predictions[0].verdict == "confirmed"]
    assert found["backtest/tested"].value == len(tested)
    assert found["backtest/hits"].value == len(hits)
    assert found["backtest/hit_rate"].value == pytest.approx(len(hits) / len(tested))
    # The run that a constant was read from is in the table and out of the count.
    assert len(rows) == len(tested) + 3


def test_an_infeasible_row_says_that_it_is_no_evidence():
    assert "no evidence" in numbers()["backtest/opt-125m-l4-b1"].note


def test_an_unknown_device_is_named():
    with pytest.raises(LabError, match="h9000"):
        answer({**QUESTION, "device": "h9000"})
