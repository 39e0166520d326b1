"""The course lab's "graphs matter most for small models, small batches", over the measured sizes.

Two numbers for each device on which models of several sizes were measured, each judged by end
points. They belong to no single data set and stand under the name OUTLOOK:

    sizes/falls_with_size/<device>     the largest model gains less than the smallest one, at every
                                       batch size that both have
    sizes/falls_with_batch/<device>    each model gains less at its largest batch size than at its
                                       smallest one

The speed-ups are those of a decode step. Intervals that do not overlap settle a pair, and so does
the value of one process that lies outside of the other's interval; two single processes settle
nothing, since nobody knows how far another two would lie from them.
"""

import math
from collections.abc import Sequence

from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.catalogue import FALLS_WITH_BATCH, FALLS_WITH_SIZE
from cudagraph_lab.ledger.extrapolations import outlook_number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.selection import sized
from cudagraph_lab.ledger.verdicts import judge_claim

CLAIM = "claim/small-models-small-batches"
SOURCE = (
    "course lab 05-04, notes: graphs matter most for small models, small batches; read as end "
    "points, at every batch size and every model measured"
)
Pair = tuple[Number, Number]  # which should gain more, and which less


def size_claims(index: Index) -> list[Number]:
    """The claims of each device with models of at least two sizes; none elsewhere."""
    numbers = []
    for device, rows in sized(index).items():
        first, last = rows[0], rows[-1]
        if first is last:
            continue
        by_size = [
            (first.ratios[batch], last.ratios[batch])
            for batch in sorted(first.ratios.keys() & last.ratios.keys())
        ]
        by_batch = [
            (row.ratios[min(row.ratios)], row.ratios[max(row.ratios)])
            for row in rows
            if len(row.ratios) > 1
        ]
        names = ", ".join(row.label for row in rows)
        for quantity, pairs in ((FALLS_WITH_SIZE, by_size), (FALLS_WITH_BATCH, by_batch)):
            if pairs:
                numbers.append(_claim(quantity(device=device.lower()), pairs, names))
    return numbers


def outcome_of(pairs: Sequence[Pair]) -> str:
    """`supported` where every pair shows the fall, `contradicted` where one shows a rise."""
    if any(_below(more, less) for more, less in pairs):
        return "contradicted"
    return "supported" if all(_below(less, more) for more, less in pairs) else "not settled"


def _claim(number: NumberId, pairs: Sequence[Pair], names: str) -> Number:
    holds = all(float(less.value or 0) < float(more.value or 0) for more, less in pairs)
    repeats = min(one.n for pair in pairs for one in pair)
    verdict = judge_claim(outcome_of(pairs), single=False, points_agree=holds, predicted=True)
    judged = Judged(
        id=CLAIM,
        source=SOURCE,
        value=True,
        post_hoc=True,  # this reading was written down after the sizes were measured
        verdict=verdict,
        settle="more repeats" if verdict == "inconclusive" else None,
    )
    files = dict.fromkeys(file for pair in pairs for one in pair for file in one.files)
    return outlook_number(
        number,
        holds,
        n=repeats,
        note=f"{names}; {len(pairs)} pairs",
        predictions=[judged],
        files=list(files),
    )


def _below(one: Number, other: Number) -> bool:
    """Whether the first lies below the second beyond what either leaves open."""
    if one.low is None and other.low is None:
        return False
    return _ends(one)[1] < _ends(other)[0]


def _ends(number: Number) -> tuple[float, float]:
    """The interval; the value itself of one process, no limits where several gave no interval."""
    if number.low is not None and number.high is not None:
        return number.low, number.high
    value = float(number.value or 0)
    return (value, value) if number.n == 1 else (0.0, math.inf)
