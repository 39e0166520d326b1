"""An arm in turn against the same arm alone: like is set against like, or the reason is said."""

import math

import pandas as pd
import pytest
from scipy import stats

from cudagraph_lab.ledger.quantities.co_residence import co_residence_results
from cudagraph_lab.ledger.quantities.contrasts import contrast_results
from cudagraph_lab.ledger.throughputs import read_throughputs
from cudagraph_lab.observations.table import COLUMNS
from tests.report_builders import make_arm, make_dataset

KV = {"kv_cache_memory_bytes": 2_000_000_000}
IN_TURN = {
    "eager": make_arm(engine_args={"enforce_eager": True, **KV}),
    "eager-again": make_arm(engine_args={"enforce_eager": True, **KV}),
    "graphs": make_arm(engine_args={"enforce_eager": False, **KV}),
}
ALONE = {"plain": make_arm(engine_args={"enforce_eager": True}), "graphs": make_arm()}


def table(steps, batch=8):
    rows = []
    for arm, values in steps.items():
        for repeat, step in enumerate(values, start=1):
            rows.append((arm, repeat, batch, "timed", 1, "throughput", batch / step))
            rows.append((arm, repeat, batch, "timed", 1, "decode_s_per_step", step))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"batch": "Int64"})


def turns(name="turns", **fields):
    fields = {"measured": "in_turn", "observed": "messages", "output_tokens": 24} | fields
    return make_dataset(name, arms=IN_TURN, batch_sizes=[8, 64], **fields)


def alone(name, **fields):
    fields = {"observed": "messages", "output_tokens": 24} | fields
    return make_dataset(name, arms=ALONE, batch_sizes=[8], **fields)


STEPS = table({"eager": [4, 5, 6], "eager-again": [5, 5, 5], "graphs": [2, 2.2, 1.9]})
STEPS_ALONE = table({"plain": [8, 9, 10], "graphs": [2, 2.1, 1.9]})


def results(dataset, *others):
    pairs = [(dataset, STEPS), *others]
    return {str(r.id): r for r in co_residence_results(dataset, STEPS, pairs)}


def test_an_arm_is_set_against_its_like_whatever_its_name():
    found = results(turns(), (alone("apart"), STEPS_ALONE))
    assert set(found) == {
        f"ratio/co_resident/{arm}/b{batch}" for arm in ("eager", "graphs") for batch in (8, 64)
    }
    eager = found["ratio/co_resident/eager/b8"]
    in_turn = math.prod([4 * 5, 5 * 5, 6 * 5]) ** (1 / 6)  # a repeat counts with both of its arms
    assert eager.value == pytest.approx((8 * 9 * 10) ** (1 / 3) / in_turn)
    assert eager.low < eager.value < eager.high
    assert eager.n == 3
    assert "alone in apart" in eager.note
    assert "tokens" not in eager.note
    assert "bookkeeping" not in eager.note
    assert found["ratio/co_resident/graphs/b8"].value == pytest.approx(1, abs=0.02)


def test_what_else_differs_is_said_and_the_like_data_set_is_preferred():
    old = alone("old", observed="statistics", output_tokens=128)
    note = results(turns(), (old, STEPS_ALONE))["ratio/co_resident/eager/b8"].note
    assert "calls of 24 tokens here and 128 there" in note
    assert "bookkeeping of steps inside the timed calls" in note
    both = results(turns(), (old, STEPS_ALONE), (alone("new"), STEPS_ALONE))
    assert "alone in new" in both["ratio/co_resident/eager/b8"].note


@pytest.mark.parametrize(
    "other",
    [
        alone("other", device="another device"),
        alone("other", model="another/model"),
        alone("other", vllm="0.1"),
        turns("other"),
    ],
)
def test_without_its_like_a_number_says_so(other):
    found = results(turns(), (other, STEPS_ALONE))
    assert found["ratio/co_resident/eager/b8"].value is None
    assert "no data set here has this arm" in found["ratio/co_resident/eager/b8"].missing


def test_a_batch_size_that_was_not_run_alone_says_so():
    found = results(turns(), (alone("apart"), STEPS_ALONE))["ratio/co_resident/eager/b64"]
    assert "no data set here has this arm, batch size" in found.missing


def test_arms_apart_have_no_such_number():
    assert co_residence_results(alone("apart"), STEPS_ALONE, []) == []


# --- A design that measures both --------------------------------------------------------------

TOGETHER = {arm: facts | {"measured": "in_turn"} for arm, facts in IN_TURN.items()}
COMPANY = {"numerator": "eager", "denominator": "eager-alone", "role": "co_resident"}
BUNDLE = {"numerator": "graphs", "denominator": "eager", "role": "primary"}
IN_TURN_S: dict[str, list[float]] = {
    "eager": [4, 5, 6, 5],
    "eager-again": [5, 5, 5, 6],
    "graphs": [2, 2.2, 1.9, 2.1],
}
ALONE_S = [4.4, 4.5, 5.0, 5.2]


def own_alone(**fields):
    fields = {
        "measured": "in_turn",
        "arms": {**TOGETHER, "eager-alone": IN_TURN["eager"]},
        "contrasts": {"company": COMPANY, "bundle": BUNDLE},
    } | fields
    return make_dataset("own", batch_sizes=[1, 8, 64, 256], **fields)


def own_ratio(dataset, name):
    # Batch sizes that differ in their noise, so that there is something to moderate by.
    steps = IN_TURN_S | {"eager-alone": ALONE_S}
    rows = pd.concat(
        table({arm: [step**power for step in cell] for arm, cell in steps.items()}, batch)
        for batch, power in ((1, 0.5), (8, 1.0), (64, 0.7), (256, 1.3))
    )
    (found,) = [
        result
        for result in contrast_results(dataset, name, read_throughputs(dataset, rows), seed=0)
        if str(result.id) == f"ratio/{name}/b8"
    ]
    return found


def test_an_arm_alone_in_the_same_design_is_compared_repeat_by_repeat():
    found = own_ratio(own_alone(), "company")
    logs = [
        math.log(alone_s) - (math.log(one) + math.log(other)) / 2
        for alone_s, one, other in zip(
            ALONE_S, IN_TURN_S["eager"], IN_TURN_S["eager-again"], strict=True
        )
    ]
    # Its own variance alone: what the arms in turn differ by says nothing of it.
    low, high = stats.t.interval(0.95, 3, sum(logs) / 4, stats.sem(logs))
    assert found.value == pytest.approx(math.exp(sum(logs) / 4))
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.n == 4


def test_an_arm_alone_is_in_no_other_contrast():
    assert own_ratio(own_alone(), "bundle").arms == ["graphs", "eager", "eager-again"]
    assert own_ratio(own_alone(), "company").arms == ["eager", "eager-again", "eager-alone"]


def test_where_no_arm_took_turns_company_is_not_measured():
    arms = {**IN_TURN, "eager-alone": IN_TURN["eager"]}
    found = own_ratio(own_alone(measured="apart", arms=arms), "company")
    assert (found.value, found.missing) == (None, "no arms took turns, so that none had company")


def test_a_design_that_measures_both_is_compared_with_no_other_data_set():
    assert results(own_alone(), (alone("apart"), STEPS_ALONE)) == {}
