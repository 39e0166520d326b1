"""Forecasts that were registered and whose data set nobody has measured yet.

They are numbers of the ledger under the name OUTLOOK: `waiting/<dataset>/b<batch>`, the speed-up
of a step as it was forecast, with its bounds of 90%.
"""

from collections.abc import Iterable, Sequence

from cudagraph_lab.design.predictions import Prediction
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import STEP_RATIO, WAITING, parse
from cudagraph_lab.ledger.extrapolations import outlook_number

WILD = frozenset("*?[")  # of a shell pattern


def waiting_numbers(predictions: Iterable[Prediction], measured: Sequence[str]) -> list[Number]:
    """The speed-ups that were forecast for a single data set that is not among `measured`.

    A prediction for a pattern of names waits for none in particular.
    """
    found = []
    for prediction in predictions:
        dataset = prediction.applies_to.dataset
        forecast = prediction.low_50 is not None
        if not forecast or WILD & set(dataset) or dataset in measured:
            continue
        number = parse(prediction.number)
        if number.quantity is STEP_RATIO:
            found.append(_number(prediction, dataset, int(number.batch)))
    return found


def _number(prediction: Prediction, dataset: str, batch: int) -> Number:
    return outlook_number(
        WAITING(dataset=dataset, batch=batch),
        None if prediction.value is None else float(prediction.value),
        low=prediction.low,
        high=prediction.high,
        method="bounds of 90%, registered",
        note=prediction.source,
        files=[],
        unpredicted="this is itself a forecast; nobody here measured it yet",
    )
