"""Published pairs and claims: what cannot be as published, and that misses stay misses."""

import pytest

from cudagraph_lab.models.anchors import backtest, read_anchors
from cudagraph_lab.models.architecture import read_devices, read_models
from cudagraph_lab.models.step import read_assumed

ANCHORS, ASSUMED = read_anchors(), read_assumed()
DEVICE_TABLE, MODEL_TABLE = read_devices(), read_models()


def rows(pairs=None):
    anchors = ANCHORS if pairs is None else ANCHORS.model_copy(update={"pairs": pairs})
    return {row.pair: row for row in backtest(anchors, DEVICE_TABLE, MODEL_TABLE, ASSUMED, 1)}


def test_published_l4_graph_steps_are_shorter_than_the_l4_can_read_the_weights():
    found = rows()
    # 123.5 million 16 bit weights at 300 GB/s are 0.824 ms; published 0.404 ms.
    assert found["opt-125m-l4-b1"].graph_step_s == pytest.approx(0.404e-3, abs=1e-6)
    assert found["opt-125m-l4-b1"].floor_s > 0.82e-3
    assert found["opt-125m-l4-b1"].below_floor and found["opt-125m-l4-b8"].below_floor
    assert not found["opt-125m-l4-b64"].below_floor


def test_an_a100_could_not_have_run_the_pairs_inferred_to_be_on_an_h100():
    pairs = {
        name: pair.model_copy(update={"device": "a100-80"}) if "sglang" in name else pair
        for name, pair in ANCHORS.pairs.items()
    }
    assert rows(pairs)["llama-3-8b-sglang-triton-b1"].below_floor


def test_a_forecast_does_not_see_what_was_published():
    pairs = dict(ANCHORS.pairs)
    pairs["fast"] = pairs["llama-3-8b-sglang-triton-b1"].model_copy(update={"eager": 60.0})
    found = rows(pairs)
    assert found["fast"].forecast == found["llama-3-8b-sglang-triton-b1"].forecast
    assert found["fast"].published > found["fast"].forecast.high_90


def test_every_pair_says_where_it_is_from():
    assert all(pair.source and pair.ratio > 0 for pair in ANCHORS.pairs.values())
