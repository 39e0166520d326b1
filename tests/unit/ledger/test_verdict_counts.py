"""Verdicts are counted by number and by claim."""

from collections import Counter

from cudagraph_lab.ledger.verdict_counts import count_claims, count_verdicts
from tests.report_builders import make_judged, make_ledger, ratio


def test_verdicts_are_counted_with_what_weakens_them():
    judged = [
        make_judged("confirmed", "a/a", in_sample=True),
        make_judged("confirmed", "a/b", post_hoc=True),
        make_judged("not measured", "a/c", post_hoc=True),
    ]
    counted = count_verdicts(make_ledger([], [ratio(1, 2.0, predictions=judged)]))
    assert counted["confirmed"] == 2
    assert counted["confirmed in-sample"] == 1
    assert counted["post hoc"] == 1


def test_a_prediction_of_several_numbers_counts_at_each_of_them():
    verdicts = {1: "confirmed", 8: "inconclusive", 64: "confirmed", 256: "not measured"}
    numbers = [
        ratio(batch, 2.0, predictions=[make_judged(verdict, "a/all")])
        for batch, verdict in verdicts.items()
    ]
    numbers.append(ratio(1, 2.0, predictions=[make_judged("confirmed", "a/all")], dataset="other"))
    counted = count_verdicts(make_ledger([], numbers))
    assert counted == Counter({"confirmed": 3, "inconclusive": 1, "not measured": 1})
    # The numbers of one claim come from the same processes: the worst of them counts.
    assert count_claims(make_ledger([], numbers)) == Counter({"inconclusive": 1, "confirmed": 1})
