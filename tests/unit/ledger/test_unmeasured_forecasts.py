"""Forecasts whose data set nobody has measured yet."""

from cudagraph_lab.design.predictions import Prediction
from cudagraph_lab.ledger.unmeasured_forecasts import waiting_numbers


def predicted(number: str, dataset: str, **bounds: float) -> Prediction:
    given = {
        "id": f"forecast/{dataset.strip('*')}/{number}",
        "number": number,
        "applies_to": {"dataset": dataset},
        "value": 2.0,
        "low": 1.0,
        "high": 4.0,
        "unit": "x",
        "source": "step model",
        **bounds,
    }
    return Prediction.model_validate(given)


INNER = {"low_50": 1.5, "high_50": 3.0}


def test_a_forecast_for_one_data_set_that_is_not_there_waits():
    predictions = [
        predicted("step_ratio/bundle/b8", "not-yet", **INNER),
        predicted("step_ratio/bundle/b8", "measured", **INNER),
        predicted("step_ratio/bundle/b8", "any-*", **INNER),  # waits for none in particular
        predicted("step/eager/b8", "not-yet", **INNER),  # a step, and no speed-up
        predicted("step_ratio/bundle/b1", "not-yet"),  # a claim without inner bounds
    ]
    (number,) = waiting_numbers(predictions, ["measured"])
    assert str(number.id) == "waiting/not-yet/b8"
    assert (number.value, number.low, number.high, number.n) == (2.0, 1.0, 4.0, 0)
    assert number.unpredicted is not None and "nobody here measured it" in number.unpredicted
