"""How many predictions ended in each verdict, by number and by claim."""

from collections import Counter

from cudagraph_lab.ledger.build import Ledger
from cudagraph_lab.ledger.verdicts import VERDICTS, Verdict


def count_verdicts(ledger: Ledger) -> Counter[str]:
    """How many predictions of a number ended in each verdict: each number counts by itself.

    So the counts are the sums over the rows of a table of them. `X in-sample` counts those of a
    verdict that were read from the same data; `post hoc` counts those that were measured and
    registered too late.
    """
    counted: Counter[str] = Counter()
    for number in ledger.numbers:
        for prediction in number.predictions:
            counted[prediction.verdict] += 1
            counted[f"{prediction.verdict} in-sample"] += prediction.in_sample
            counted["post hoc"] += prediction.post_hoc and prediction.verdict != "not measured"
    return counted


def count_claims(ledger: Ledger) -> Counter[str]:
    """How many claims ended in each verdict: a prediction of a data set counts once.

    Of several numbers, as of all batch sizes, the worst verdict counts: they are from the same
    processes and one finding.
    """
    worst: dict[tuple[str, str], Verdict] = {}
    for number in ledger.numbers:
        for one in number.predictions:
            claim = (number.dataset, one.id)
            known = worst.setdefault(claim, one.verdict)
            worst[claim] = min(known, one.verdict, key=VERDICTS.index)
    return Counter(worst.values())
