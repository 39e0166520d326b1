"""Every forecast of a step beside what was measured, and what is said to be learned from it."""

import re

import pytest

from cudagraph_lab.ledger.size_claims import CLAIM
from tests.report_builders import (
    make_dataset,
    make_judged,
    make_ledger,
    make_number,
    stray_digits,
    told,
)


def ledger_of(eager="refuted", graphs="confirmed", further=()):
    dataset = make_dataset(
        "eight", title="H100, Llama 8B", model="meta-llama/Llama-3.1-8B", series="sizes",
        tensor_parallel_size=1, batch_sizes=[8],
    )  # fmt: skip
    numbers = [
        make_number(
            f"step/{arm}/b8", "eight", value=value, unit="s", low=value * 0.9, high=value * 1.1,
            predictions=[
                make_judged(verdict, f"forecast/h100/step-{arm}-b8", value=0.012, low=0.01,
                            high=0.0135)
            ],
        )
        for arm, value, verdict in (("eager", 0.02, eager), ("graphs", 0.0125, graphs))
    ]  # fmt: skip
    scores = [
        make_number("score/steps/median_error", "eight", value=0.22, unit="relative", n=2),
        make_number("score/steps/within_90", "eight", value=0.5, unit="share", n=2),
    ]
    ratio = make_number("step_ratio/bundle/b8", "eight", value=1.6, low=1.5, high=1.7)
    return make_ledger([dataset], [*numbers, *scores, ratio, *further])


def words(ledger):
    html, markdown = told(ledger)
    assert stray_digits(ledger, html) == []
    return re.sub(r"\s+", " ", markdown.replace("\N{NO-BREAK SPACE}", " "))


def test_a_cell_has_its_median_bounds_measurement_and_verdict_and_the_caption_the_score():
    text = words(ledger_of())
    assert "| eager, 8 | 12 ms (10 to 13.5) | 20.0 ms (18.0 to 22.0) | ✗ refuted |" in text
    assert "| graphs, 8 | 12 ms (10 to 13.5) | 12.5 ms (11.3 to 13.8) | ✓ confirmed |" in text
    assert "H100, Llama 8B (steps: median error 22%, 50% inside the bounds)" in text


def test_which_arm_was_forecast_better_follows_the_verdicts():
    assert "Steps of `graphs` were forecast better." in words(ledger_of())
    assert "Steps of `eager` were forecast better." in words(ledger_of("confirmed", "refuted"))
    assert "Steps of all arms were forecast alike." in words(ledger_of("refuted", "refuted"))


def test_the_labs_claims_are_told_with_their_verdicts():
    claim = make_number(
        "sizes/falls_with_size/h100", "outlook", value=True, unit="holds",
        predictions=[make_judged("inconclusive", CLAIM, value=True, low=None)],
    )  # fmt: skip
    seventy = make_number(
        "ratio/bundle/b32", "eight", value=1.04,
        predictions=[make_judged("confirmed", "lab/70b-moderate-batch", low=1.0, high=1.1)],
    )  # fmt: skip
    text = words(ledger_of(further=[claim, seventy]))
    assert "falls with the model’s size, on H100: ? not settled." in text
    assert "1 L4 1.04×: ✓ confirmed" in text


def test_without_forecasts_nothing_is_said_to_be_learned():
    dataset = make_dataset("eight", model="meta-llama/Llama-3.1-8B", series="sizes")
    number = make_number("step/eager/b8", "eight", value=0.02, unit="s")
    ratio = make_number("step_ratio/bundle/b8", "eight", value=1.6, low=1.5, high=1.7)
    text = words(make_ledger([dataset], [number, ratio]))
    assert "forecast better" not in text
    assert "beside what was measured" not in text


@pytest.mark.parametrize(("ranks", "said"), [(2, "; measured: 1.74×"), (4, "was not measured")])
def test_what_was_measured_stands_beside_its_forecast_for_an_unknown_host(ranks, said):
    dataset = make_dataset(
        "pair", model="meta-llama/Llama-3.1-70B", device="NVIDIA H100 80GB HBM3", series="sizes",
        dtype="bfloat16", tensor_parallel_size=ranks, batch_sizes=[32],
    )  # fmt: skip
    measured = make_number("ratio/bundle/b32", "pair", value=1.738)
    forecast = make_number(
        "extrapolation/h100/llama-70b/tp2/bf16/b32", "outlook", value=1.02, low=0.97, high=1.57
    )
    assert said in words(make_ledger([dataset], [measured, forecast]))


@pytest.mark.parametrize(
    ("memory_gib", "said"),
    [(79.6, "One H100 does not hold it."), (200.0, "On one H100 it was not measured.")],
)
def test_the_first_screen_says_why_a_device_has_no_number_of_the_largest_model(memory_gib, said):
    small = make_dataset(
        "small", model="facebook/opt-125m", device="NVIDIA H100 80GB HBM3", batch_sizes=[32],
        device_memory_gib=memory_gib,
    )  # fmt: skip
    large = make_dataset(
        "large", model="meta-llama/Llama-3.1-70B", device="NVIDIA H200", series="sizes",
        dtype="bfloat16", batch_sizes=[32], device_memory_gib=139.8,
    )  # fmt: skip
    numbers = [
        make_number(f"{quantity}/bundle/b32", dataset, value=value)
        for dataset, value in (("small", 2.4), ("large", 1.04))
        for quantity in ("ratio", "step_ratio")
    ]
    assert said in words(make_ledger([small, large], numbers))
