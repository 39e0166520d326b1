"""What the page says of small ledgers: no firmer than the data, and understood by itself."""

import pytest

from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.report.advice import advise
from cudagraph_lab.report.claims import families, width_words
from cudagraph_lab.report.markup import plain
from cudagraph_lab.report.numbers import judgement
from tests.report_builders import (
    BUNDLE,
    EAGER,
    make_arm,
    make_dataset,
    make_judged,
    make_ledger,
    make_number,
    ratio,
    told,
    words_of,
)

NBSP = "\N{NO-BREAK SPACE}"


def text_of(ledger):
    return words_of(told(ledger)[0]).replace(NBSP, " ")


def test_without_any_data_set_the_page_says_so():
    text = text_of(make_ledger([], [], absent=["nowhere"]))
    assert "There is no data set in this report." in text
    assert "There is no data set nowhere, though compare asks for it" in text
    assert "Leave graphs on" not in text


@pytest.mark.parametrize("status", ["failed", "invalid", "not_measurable", "missing"])
def test_an_arm_without_numbers_says_why(status):
    arm = make_arm(status=status, reason="repeat 1: out of memory", repeats=0)
    dataset = make_dataset(arms={"eager": arm}, contrasts={}, batch_sizes=[1])
    absent = make_number("throughput/eager/b1", unit="tok/s", n=0, missing="out of memory")
    text = text_of(make_ledger([dataset], [absent], measured="made"))
    assert "Nothing can be said: no arm was measured against another." in text
    assert f"eager: {status.replace('_', ' ')}, repeat 1: out of memory." in text
    assert "no arm has a number that counts" in text


def test_a_single_observation_is_called_unsure():
    text = text_of(make_ledger([make_dataset(batch_sizes=[1])], [ratio(1, 2.0, n=1)]))
    assert "make x decode 2× as fast as eager" in text
    assert "nothing here is sure" in text
    assert "Leave graphs on." not in text
    assert "shows a gain" not in text


def test_on_a_cpu_compilation_leads_and_graphs_do_not_exist():
    compiled = {"compile": {"numerator": "compiled", "denominator": "eager", "role": "compile"}}
    dataset = make_dataset(
        platform="cpu", contrasts=BUNDLE | compiled, arms={"eager": EAGER, "compiled": make_arm()}
    )
    numbers = [
        make_number("ratio/bundle/b1", n=0, missing="CUDA graphs do not exist on a CPU"),
        ratio(1, 1.1, 1.05, 1.15, contrast="compile"),
    ]
    text = text_of(make_ledger([dataset], numbers, measured="made"))
    assert "Compilation alone makes x decode 1.100× (1.050 to 1.150) as fast as eager" in text
    assert "CUDA graphs do not exist on a CPU" in text
    assert "Leave graphs on" not in text


def test_simulated_data_are_called_simulated():
    dataset = make_dataset(kind="simulated")
    text = text_of(make_ledger([dataset], [ratio(1, 2.0, 1.8, 2.2), ratio(8, 1.5, 1.3, 1.7)]))
    assert "(SIMULATED)" in text
    assert "simulated, not measured. Every number of it comes from a program." in text


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (
            [ratio(1, 2.0, 1.8, 2.2)],
            "At every batch size measured the whole 95% interval shows a gain",
        ),
        ([ratio(1, 2.0, 1.8, 2.2), ratio(8, 1.1, 0.9, 1.3)], "At batch 8 a 95% interval includes"),
        ([ratio(1, 1.1, 0.9, 1.3)], "No 95% interval shows a gain or a loss."),
        ([ratio(1, 2.0, 1.8, 2.2), ratio(8, 0.8, 0.7, 0.9)], "At batch 8 it is slower"),
    ],
)
def test_how_sure_follows_from_the_intervals(numbers, said):
    assert said in text_of(make_ledger([make_dataset()], numbers))


def test_what_was_measured_here_leads():
    other = make_dataset("other", device="NVIDIA L4")
    own = make_dataset("own", device="NVIDIA H100 80GB HBM3")
    numbers = [
        ratio(1, 2.0, 1.8, 2.2, dataset="own"),
        ratio(1, 3.0, 2.8, 3.2, dataset="other"),
    ]
    text = text_of(make_ledger([own, other], numbers, measured="own"))
    first = text.split("Held")[0]
    assert "2.00× (1.80 to 2.20)" in first
    assert "3.00×" not in first
    assert "Measured here: H100. Shipped data stand in grey." in text


def claim(verdict):
    return make_number(
        "shape/no_inversion/bundle",
        value=True,
        unit="holds",
        predictions=[make_judged(verdict, value=True, low=None)],
    )


def test_advice_claims_no_more_than_the_intervals():
    def advice(numbers, **other):
        return advise(make_index(make_ledger([make_dataset(**other)], numbers)), "made")

    good = [ratio(1, 2.0, 1.8, 2.2), ratio(8, 1.5, 1.2, 1.8)]
    assert advice(good).action == "on"
    assert advice([*good, claim("confirmed")]).action == "on"
    assert advice([*good, claim("inconclusive")]).action == "cannot_tell"
    open_at_64 = advice([*good, ratio(64, 1.1, 0.9, 1.3)])
    assert (open_at_64.action, open_at_64.batches) == ("cannot_tell", [64])
    slower = advice([*good, ratio(64, 0.8, 0.7, 0.9)])
    assert (slower.action, slower.batches) == ("off", [64])
    assert advice([ratio(1, 2.0, n=1), ratio(8, 1.1, n=1)]).action == "points_on"
    assert advice([ratio(1, 2.0, n=1), ratio(8, 0.9, n=1)]).batches == [8]
    # Repeats without an interval show nothing by themselves.
    assert advice([ratio(1, 2.0, n=3)]).action == "cannot_tell"
    assert advice([]).action == "nothing"
    assert advice([claim("confirmed")]).action == "unmeasured"
    assert advice([claim("confirmed")], platform="cpu").action == "cpu"


def test_a_contrast_with_another_name_advises_by_what_its_arms_ask_for():
    sides = {"mine": {"numerator": "graphs", "denominator": "eager", "note": ""}}
    ledger = make_ledger(
        [make_dataset(contrasts=sides)], [ratio(1, 2.0, 1.8, 2.2, contrast="mine")]
    )
    assert advise(make_index(ledger), "made").action == "on"
    turned = {"mine": {"numerator": "eager", "denominator": "graphs", "note": ""}}
    ledger = make_ledger(
        [make_dataset(contrasts=turned)], [ratio(1, 0.5, 0.4, 0.6, contrast="mine")]
    )
    assert advise(make_index(ledger), "made").action == "unmeasured"


@pytest.mark.parametrize(
    ("verdict", "more", "said"),
    [
        ("confirmed", {}, "predicted 1 to 1.1×, measured 1.020× (1.010 to 1.030): ✓ confirmed"),
        ("confirmed", {"in_sample": True}, "confirmed (read from these very data, so no test)"),
        ("refuted", {"post_hoc": True}, "✗ refuted (registered after the measurement)"),
        ("inconclusive", {"settle": "about 3 more repeats per arm"}, "to settle it: about 3 more"),
    ],
)
def test_a_verdict_reads_as_a_sentence(verdict, more, said):
    judged = make_judged(verdict, low=1.0, high=1.1, **more)
    number = ratio(1, 1.02, 1.01, 1.03, predictions=[judged])
    assert said in plain(judgement(number, number.predictions[0])).replace(NBSP, " ")


def test_families_hold_one_speakers_claims_of_one_kind_and_the_refuted_come_first():
    numbers = [
        ratio(1, 2.0, 1.8, 2.2, predictions=[make_judged("confirmed", "lab/a", high=2.5)]),
        ratio(8, 2.0, 1.8, 2.2, predictions=[make_judged("confirmed", "lab/b", high=2.5)]),
        make_number("capture/gib", value=1.0, unit="GiB", n=1,
                    predictions=[make_judged("refuted", "vllm/c", low=3.0, high=3.0)]),
    ]  # fmt: skip
    index = make_index(make_ledger([make_dataset()], numbers))
    found = families(index)
    assert [(f.prefix, len(f.pairs), f.worst) for f in found] == [
        ("vllm", 1, "refuted"),
        ("lab", 2, "confirmed"),
    ]
    assert [width_words(f) for f in found] == ["exact", "wide"]
    text = text_of(index.ledger)
    assert "vLLM’s own rules say that the graphs take 3 GiB: measured 1 GiB on L4." in text


def test_no_prediction_leaves_no_scores():
    text = text_of(make_ledger([make_dataset()], [ratio(1, 2.0, 1.8, 2.2)]))
    assert "Nothing was predicted of these data." in text
    assert "No prediction was refuted." in text


def test_what_held_and_what_did_not_is_told_of_the_users_own_data():
    datasets = [make_dataset("own", device="NVIDIA H100 80GB HBM3"), make_dataset("shipped")]
    numbers = [
        ratio(1, 2.0, 1.8, 2.2, dataset="own",
              predictions=[make_judged("confirmed", "lab/a", low=1.5, high=2.5)]),
        ratio(8, 2.0, 1.8, 2.2, dataset="own",
              predictions=[make_judged("inconclusive", "lab/a", low=1.9, high=2.5)]),
        make_number("capture/gib", "shipped", value=1.0, unit="GiB", n=1,
                    predictions=[make_judged("refuted", "vllm/c", low=3.0, high=3.0)]),
    ]  # fmt: skip
    text = text_of(make_ledger(datasets, numbers, measured="own"))
    assert "Did not holdNo prediction of what was measured here was refuted. Not settled: 1" in text
    shipped = text_of(make_ledger(datasets, numbers))
    assert "Did not holdvLLM’s own rules say that the graphs take 3 GiB: measured 1 GiB" in shipped


def test_of_many_refuted_numbers_the_farthest_from_its_bounds_is_told():
    spread = {
        8: (0.06, 0.052, 0.2),
        64: (0.3, 0.15, 0.9),
        1: (0.4, 0.06, 2.0),
        9: (0.01, 0.0, 0.04),
    }
    numbers = [
        make_number(f"spread/between/eager/b{size}", value=value, low=low, high=high,
                    unit="relative", predictions=[make_judged(
                        "confirmed" if size == 9 else "refuted", "lab/s", low=0.0, high=0.05)])
        for size, (value, low, high) in spread.items()
    ]  # fmt: skip
    text = text_of(make_ledger([make_dataset()], [ratio(1, 2.0, 1.8, 2.2), *numbers]))
    said = "The course lab said that repeats of one arm differ by 0 to 5%: measured 30% for eager"
    assert f"{said} at batch 64 (L4)" in text
    assert "3 refuted and 1 confirmed of 4" in text


def test_who_was_right_instead_is_told_beside_who_was_not():
    said = [
        make_judged("refuted", "lab/a", low=3.0, high=3.0),
        make_judged("confirmed", "vllm/b", low=1.0, high=1.0),
    ]
    number = make_number("capture/gib", value=1.0, unit="GiB", n=1, predictions=said)
    text = text_of(make_ledger([make_dataset()], [number]))
    assert "measured 1 GiB on L4. vLLM’s own rules say 1 GiB, which was right." in text
