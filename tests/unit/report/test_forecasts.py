"""How forecasts over model sizes did: the worst beside the best, and a simple rule beside them."""

import pytest

from tests.report_builders import make_dataset, make_ledger, make_number, told

MODELS = {
    "opt": "facebook/opt-125m",
    "one": "meta-llama/Llama-3.2-1B",
    "eight": "meta-llama/Llama-3.1-8B",
}


def text_of(errors, skills):
    datasets, numbers = [], []
    for name, model in MODELS.items():
        datasets.append(make_dataset(name, model=model, series="sizes"))
        numbers.append(make_number("step_ratio/bundle/b1", name, value=2.0, low=1.9, high=2.1))
    for name, error in errors.items():
        numbers += [
            make_number("score/steps/median_error", name, value=error, unit="relative", n=9),
            make_number("score/steps/within_90", name, value=1 - error, unit="share", n=9),
            make_number("score/step-ratios/skill/same-ratio", name, value=skills[name],
                        unit="share", n=9),
        ]  # fmt: skip
    markdown = told(make_ledger(datasets, numbers))[1]
    return markdown.replace("\N{NO-BREAK SPACE}", " ")


def test_the_worst_forecast_stands_beside_the_best_and_a_rule_that_did_better_is_named():
    text = text_of({"one": 0.3, "eight": 0.1}, {"one": -0.5, "eight": 0.8})
    assert "median error lies between 10% for Llama-3.1-8B and 30% for Llama-3.2-1B" in text
    assert "Of a model’s steps, 70% to 90% lie inside the 90% bounds" in text
    assert "rule “as for opt-125m” for Llama-3.1-8B, not for Llama-3.2-1B." in text


@pytest.mark.parametrize(
    ("skill", "said"), [(0.5, "for Llama-3.2-1B."), (-0.5, "for no model, not")]
)
def test_one_forecast_is_not_a_range(skill, said):
    text = text_of({"one": 0.3}, {"one": skill})
    assert "Their median error is 30% for Llama-3.2-1B." in text
    assert f"rule “as for opt-125m” {said}" in text
