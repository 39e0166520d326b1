"""An arm in turn against the same arm alone: like is set against like, or the reason is said."""

import math

import pandas as pd
import pytest

from cudagraph_lab.ledger.quantities.co_residence import co_residence_results
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
