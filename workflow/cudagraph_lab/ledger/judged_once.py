"""A claim about a speed-up or its shape is one finding, judged where it is measured best.

A data set whose dataset.yaml says `gains_judged_in: X` measured the same device and model as X,
which resolves more: its arms took turns, or it has more repeats. A claim that X judges is not
judged once more here: the rows of its numbers say where it is. A claim that X could not judge is
judged here as before, and so is everything where X is not in the report.
"""

from collections.abc import Sequence

from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    FADE,
    FADE_TO,
    NO_INVERSION,
    POSITION_OF_B8,
    RATIO,
    STEP_RATIO,
)
from cudagraph_lab.observations.dataset import Dataset

GAINS = (RATIO, STEP_RATIO, FADE, FADE_TO, NO_INVERSION, POSITION_OF_B8)


def judged_once(numbers: Sequence[Number], datasets: Sequence[Dataset]) -> list[Number]:
    """The numbers, with each claim of a gain judged in one of the data sets that share it."""
    better = {d.name: d.gains_judged_in for d in datasets if d.gains_judged_in}
    judged = {
        (number.dataset, one.id)
        for number in numbers
        if number.dataset in better.values()
        for one in number.predictions
        if one.verdict != "not measured"
    }
    return [
        _without(number, better[number.dataset], judged)
        if number.dataset in better and number.id.quantity in GAINS
        else number
        for number in numbers
    ]


def _without(number: Number, other: str, judged: set[tuple[str, str]]) -> Number:
    kept = [one for one in number.predictions if (other, one.id) not in judged]
    if len(kept) == len(number.predictions):
        return number
    why = None if kept else f"what was predicted of it is judged in {other}"
    return number.model_copy(update={"predictions": kept, "unpredicted": why})
