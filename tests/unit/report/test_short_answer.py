"""The answer in short: one line each of what graphs bring, what held and what to set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.report.markup import Code, Exempt, Strong, say, words
from cudagraph_lab.report.numbers import noted
from cudagraph_lab.report.short_answer import short_answer
from tests.report_builders import (
    BUNDLE,
    EAGER,
    make_arm,
    make_dataset,
    make_judged,
    make_ledger,
    make_number,
    ratio,
)

H100, L4 = (
    make_dataset(name, device=device, batch_sizes=[1])
    for name, device in (("h100", "NVIDIA H100 80GB HBM3"), ("l4", "NVIDIA L4"))
)
GAIN = ratio(1, 3.0, 2.0, 4.0, dataset="h100")
ALL_GAIN = "At every batch size measured the whole 95% interval shows a gain."


def said_of(ledger):
    return [words(line) for line in short_answer(make_index(ledger))]


def claim(shape, speaker, verdict="confirmed", dataset="h100"):
    judged = make_judged(verdict, name=f"{speaker}/{shape}", value=True, low=None)
    return make_number(
        f"shape/{shape}/bundle", dataset, value=True, unit="holds", predictions=[judged]
    )


def test_it_is_the_answer_the_first_claim_that_held_and_what_to_set():
    ours = claim("position_of_b8", "expect")
    claims = [ours, claim("fade", "lab"), claim("no_inversion", "lab")]
    assert said_of(make_ledger([H100], [GAIN, *claims])) == [
        "CUDA graphs and compilation together make x decode 3.0× (2.0 to 4.0) as fast as eager on "
        f"an H100 at batch 1. {ALL_GAIN}",
        "Held: The course lab said that with graphs and compilation together, decoding is never "
        "slower, at any batch size: so it was wherever it could be judged.",
        "Set: Leave graphs on (do not pass --enforce-eager): every interval shows a gain, on H100.",
    ]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ([claim("no_inversion", "lab", "refuted"), claim("fade", "lab")],
         "The course lab said that the gain of graphs and compilation together falls steadily "
         "as the batch grows: so it was wherever it could be judged."),
        ([claim("fade", "lab"), claim("fade", "expect", "inconclusive", "l4")],
         "In all, 1 numbers were confirmed, but no kind of claim throughout."),
        ([claim("fade", "lab", "inconclusive")], "No prediction was confirmed."),
    ],
)  # fmt: skip
def test_what_held_is_the_first_claim_that_held_throughout(claims, said):
    assert said_of(make_ledger([H100, L4], [GAIN, *claims]))[1] == f"Held: {said}"


@pytest.mark.parametrize(
    ("other", "answer"),
    [
        ((1.5, 1.2, 1.8), f"on an H100 at batch 1. {ALL_GAIN}"),
        # Which of the two is slower could no longer be told.
        (
            (0.8, 0.7, 0.9),
            "on an H100 at batch 1; on an L4 0.80× (0.70 to 0.90) as fast at batch 1. "
            "At batch 1 it is slower, and the interval says so.",
        ),
    ],
)
def test_of_two_devices_the_first_alone_where_both_gain_everywhere(other, answer):
    ledger = make_ledger([H100, L4], [GAIN, ratio(1, *other, dataset="l4")])
    assert said_of(ledger)[0].endswith(f"3.0× (2.0 to 4.0) as fast as eager {answer}")


def test_of_two_models_both_since_the_first_is_the_one_that_gains_most():
    large = make_dataset("l4", device="NVIDIA L4", model="owner/large", batch_sizes=[1])
    said = said_of(make_ledger([H100, large], [GAIN, ratio(1, 1.5, 1.2, 1.8, dataset="l4")]))[0]
    assert "x decode 3.0× (2.0 to 4.0)" in said
    assert "; large decode 1.50× (1.20 to 1.80)" in said


def test_on_a_cpu_alone_there_is_nothing_to_set():
    compiled = {"compile": {"numerator": "compiled", "denominator": "eager", "role": "compile"}}
    dataset = make_dataset(
        platform="cpu", contrasts=BUNDLE | compiled, arms={"eager": EAGER, "compiled": make_arm()}
    )
    numbers = [ratio(1, 1.1, 1.05, 1.15, contrast="compile")]
    cpu_alone = said_of(make_ledger([dataset], numbers))
    assert [line.split(" ")[0] for line in cpu_alone] == ["Compilation", "Held:"]
    beside_a_gpu = said_of(make_ledger([dataset, H100], [*numbers, GAIN]))
    assert beside_a_gpu[2].startswith("Set: Leave graphs on")


def test_without_any_data_set_it_says_so():
    assert said_of(make_ledger([], [])) == ["There is no data set in this report."]


def test_marks_and_markdown_are_left_out():
    number = claim("fade", "lab").model_copy(update={"value": 2.0, "unit": "x"})
    ledger = make_ledger([H100], [number])
    line = say("{a} {b} {c}", a=Strong(("A",)), b=Code("a_b"), c=noted(make_index(ledger), number))
    assert words(line) == "A a_b 2×"


@given(st.text())
def test_any_text_is_one_line_that_cannot_move_the_cursor(text):
    said = words(say("{x}{y}", x=Exempt(text), y=Code(text)))
    assert said.isprintable()
    assert len(said.splitlines()) <= 1
