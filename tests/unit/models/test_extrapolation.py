"""Extrapolation: derived sizes against published ones, arithmetic by hand, and the back-test."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.extrapolation import (
    backtest,
    extrapolate,
    find,
    judge_claim,
    read_anchors,
    read_devices,
    read_models,
    resolve_constants,
    roofline,
)

CONFIG = Path(__file__).parents[3] / "config"
DEVICES = read_devices(CONFIG / "devices.yaml")
MODELS = read_models(CONFIG / "models.yaml")
ANCHORS = read_anchors(CONFIG / "anchors.yaml")
CONSTANTS = {"launch_us": (4.0, 8.0), "kernels_per_layer": (10, 20), "replay_us": 1.0}


@pytest.mark.parametrize("name", MODELS)
def test_derived_parameters_agree_with_the_published_count(name):
    model = MODELS[name]
    assert model.parameters == pytest.approx(model.published_parameters, rel=0.005)


def test_active_parameters_of_the_mixture():
    model = MODELS["qwen3-30b-a3b"]
    # Its card says 3.3 billion activated; the input embedding is not multiplied with.
    activated = model.parameters_used(model.experts_per_token) + model.hidden * model.vocab
    assert activated == pytest.approx(3.3e9, rel=0.02)
    assert model.experts_read(1) == pytest.approx(8)
    assert model.experts_read(10_000) == pytest.approx(128)


def test_roofline_of_llama_70b_by_hand():
    # 2 bytes * (80 layers * (2*8192*8192 + 2*8192*1024 + 3*8192*28672) + 128256*8192) / 2.
    weights = 80 * (2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28672) + 128256 * 8192
    roof = roofline(DEVICES["h100"], MODELS["llama-70b"], 32, 2, "bf16", 1024)
    assert roof.weight_bytes == weights
    assert roof.kv_bytes == 327_680 * 32 * 1024 / 2
    assert roof.gpu_s == roof.memory_s == pytest.approx(22.5e-3, abs=0.1e-3)
    assert roof.weight_bytes / 3350e9 == pytest.approx(21e-3, abs=0.5e-3)
    eight = roofline(DEVICES["h100"], MODELS["llama-70b"], 32, 8, "bf16", 1024)
    assert eight.weight_bytes / 3350e9 == pytest.approx(5e-3, abs=0.5e-3)
    half = roofline(DEVICES["h100"], MODELS["llama-70b"], 32, 2, "fp8", 1024)
    assert half.weight_bytes == weights / 2


def test_large_batches_are_bound_by_compute():
    roof = roofline(DEVICES["l4"], MODELS["llama-3.2-1b"], 1024, 1, "bf16", 16)
    assert roof.gpu_s == roof.compute_s > roof.memory_s
    assert roof.flops == pytest.approx(2 * 1024 * 1.236e9, rel=0.01)


def test_key_value_heads_are_repeated_beyond_their_number():
    def cache(tp):
        return roofline(DEVICES["h100"], MODELS["llama-70b"], 8, tp, "bf16", 512).kv_bytes

    assert cache(16) == cache(8) == cache(4) / 2


def test_bracket_by_hand():
    def bracket(model):
        return extrapolate(DEVICES["h100"], MODELS[model], 1, 1, "bf16", context=1, **CONSTANTS)

    # 32 layers: 320 to 640 launches, 1.28 to 5.12 ms of bill, 0.32 to 0.64 ms of replay, and
    # 4.5 ms of GPU work: the bill always hides whole.
    large = bracket("llama-3-8b")
    gpu = large.parts.gpu_s
    assert large.parts.launch_bill_s == pytest.approx((1.28e-3, 5.12e-3))
    assert large.high == pytest.approx((gpu + 5.12e-3) / (gpu + 0.64e-3))
    assert large.additive[0] == pytest.approx((gpu + 1.28e-3) / (gpu + 0.32e-3))
    assert large.overlap == (1.0, 1.0)
    # 12 layers: 0.48 to 1.92 ms of bill, 0.12 to 0.24 ms of replay, 0.07 ms of GPU work.
    small = bracket("opt-125m")
    gpu = small.parts.gpu_s
    assert small.overlap == pytest.approx((0.48e-3 / (gpu + 0.12e-3), 1.92e-3 / (gpu + 0.24e-3)))
    assert small.low == small.overlap[0] > 1.0


@settings(deadline=None)
@given(
    st.sampled_from(["a100-80", "h100", "h200", "b200"]),
    st.sampled_from(["opt-125m", "llama-3.2-1b", "llama-3-8b", "qwen3-30b-a3b"]),
    st.sampled_from([1, 8, 64]),
    st.integers(1, 512),
)
def test_bracket_is_ordered_and_shrinks_with_the_batch(device, model, batch, context):
    def bracket(size):
        return extrapolate(
            DEVICES[device], MODELS[model], size, 1, "bf16", context=context, **CONSTANTS
        )

    one, more = bracket(batch), bracket(2 * batch)
    assert 1.0 <= one.low <= one.high
    assert one.low == min(one.overlap + one.additive)
    assert more.high <= one.high and more.low <= one.low
    assert one.width == one.high / one.low


def test_left_out_terms_are_stated():
    def stated(model, tp, dtype):
        bracket = extrapolate(DEVICES["h100"], MODELS[model], 8, tp, dtype, context=128,
                              **CONSTANTS)  # fmt: skip
        return " ".join(bracket.assumptions)

    plain = stated("llama-3-8b", 1, "bf16")
    assert not any(word in plain for word in ("all-reduce", "fp8", "expert"))
    assert "all-reduce" in stated("llama-70b", 4, "bf16")
    assert "fp8" in stated("llama-70b", 1, "fp8")
    assert "expert" in stated("qwen3-30b-a3b", 1, "bf16")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tp": 3}, "tp 3: does not divide"),
        ({"tp": 0}, "tp: must be"),
        ({"batch": 0}, "batch"),
        ({"context": 0}, "context"),
        ({"tp": 1}, "raise tp"),
        ({"launch_us": (6, 4)}, "launch_us"),
        ({"kernels_per_layer": (0, 4)}, "kernels_per_layer"),
        ({"replay_us": -1}, "replay_us"),
        ({"device": DEVICES["v100"]}, "no bf16"),
    ],
)
def test_impossible_settings_end_in_one_line(change, what):
    arguments = {
        "device": DEVICES["h100"],
        "model": MODELS["llama-70b"],
        "batch": 32,
        "tp": 2,
        "dtype": "bf16",
        "context": 1024,
        **CONSTANTS,
    } | change
    with pytest.raises(LabError, match=what) as caught:
        extrapolate(**arguments)
    assert "\n" not in str(caught.value)


def test_launch_cost_spans_both_of_its_sources():
    constants = resolve_constants(ANCHORS, MODELS)
    # 1/980.3 s over 12 layers of 20 to 10 kernels is 4.25 to 8.50 us; published 4 to 6.
    assert constants.launch_us == pytest.approx((4.0, 8.5008), abs=1e-4)
    assert len(constants.sources) == 3
    narrow = ANCHORS.constants.launch_us_published.model_copy(update={"low": 5.0, "high": 6.0})
    stated = ANCHORS.constants.model_copy(update={"launch_us_published": narrow})
    constants = resolve_constants(ANCHORS.model_copy(update={"constants": stated}), MODELS)
    assert constants.launch_us[0] == pytest.approx(1e6 / 980.3 / 240)


def test_published_l4_graph_steps_are_shorter_than_the_l4_can_read_the_weights():
    rows = {row.pair: row for row in backtest(ANCHORS, DEVICES, MODELS).rows}
    one = rows["opt-125m-l4-b1"]
    # 123.5 million 16 bit weights at 300 GB/s are 0.824 ms; published 0.404 ms.
    assert one.bracket.parts.weight_bytes / 300e9 == pytest.approx(0.824e-3, abs=1e-6)
    assert one.graph_step_s == pytest.approx(0.404e-3, abs=1e-6)
    assert one.below_floor and rows["opt-125m-l4-b8"].below_floor
    assert not rows["opt-125m-l4-b64"].below_floor


def test_backtest_counts_hits_and_misses_out_of_sample_only():
    result = backtest(ANCHORS, DEVICES, MODELS)
    # A constant was read from one cell of a publication; its other cells are no test either.
    source = ANCHORS.pairs[ANCHORS.constants.launch_us_pair].source
    assert {row.pair for row in result.rows if row.in_sample} == {
        name for name, pair in ANCHORS.pairs.items() if pair.source == source
    }
    assert result.tested == len(result.rows) - 3
    for row in result.rows:
        assert row.hit == (row.bracket.low <= row.published <= row.bracket.high)
    assert result.hits == sum(row.hit for row in result.rows if not row.in_sample)
    assert result.hit_rate == result.hits / result.tested
    assert result.infeasible == 0
    assert result.not_stated


def test_a_pair_outside_its_bracket_is_a_miss():
    pairs = dict(ANCHORS.pairs)
    pairs["slow"] = pairs["llama-3-8b-sglang-triton-b1"].model_copy(update={"eager": 6.0})
    pairs["fast"] = pairs["slow"].model_copy(update={"eager": 60.0})
    result = backtest(ANCHORS.model_copy(update={"pairs": pairs}), DEVICES, MODELS)
    hits = {row.pair: row.hit for row in result.rows}
    assert not hits["slow"] and not hits["fast"]
    assert result.tested == backtest(ANCHORS, DEVICES, MODELS).tested + 2


def test_an_a100_could_not_have_run_the_pairs_inferred_to_be_on_an_h100():
    pairs = {
        name: pair.model_copy(update={"device": "a100-80"}) if "sglang" in name else pair
        for name, pair in ANCHORS.pairs.items()
    }
    result = backtest(ANCHORS.model_copy(update={"pairs": pairs}), DEVICES, MODELS)
    below = {row.pair: row.below_floor for row in result.rows}
    assert below["llama-3-8b-sglang-triton-b1"]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.9, 50.0, "supported"), (40.0, 50.0, "contradicted"), (1.0, 1.1, "undecided")],
)
def test_claim_verdicts(low, high, verdict):
    claim = ANCHORS.claims["lab-70b"].model_copy(update={"low": low, "high": high})
    anchors = ANCHORS.model_copy(update={"claims": {"lab-70b": claim}})
    rows = judge_claim("lab-70b", anchors, DEVICES, MODELS)
    assert len(rows) == len(claim.settings)
    assert {row.verdict for row in rows} == {verdict}


def test_unknown_names_list_the_known_ones():
    with pytest.raises(LabError, match="device 'h1000': not known; use one of l4, "):
        find(DEVICES, "h1000", "device")
    with pytest.raises(LabError, match="claim 'x'"):
        judge_claim("x", ANCHORS, DEVICES, MODELS)


@pytest.mark.parametrize("source", [None, ""])
def test_no_figure_without_a_source(tmp_path, source):
    data = yaml.safe_load((CONFIG / "devices.yaml").read_text())
    data["l4"]["source"] = source
    path = tmp_path / "devices.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(LabError, match=r"l4\.source"):
        read_devices(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("l4: {name: x}", "l4.memory_bandwidth_gb_s: Field required"),
        ("l4: [", "not valid YAML"),
        ("- 1", "valid dictionary"),
    ],
)
def test_bad_files_end_in_one_line(tmp_path, text, what):
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    with pytest.raises(LabError, match=what) as caught:
        read_devices(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_unknown_keys_and_missing_files_are_refused(tmp_path):
    data = yaml.safe_load((CONFIG / "devices.yaml").read_text())
    data["l4"]["bandwith"] = 1
    path = tmp_path / "devices.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(LabError, match=r"l4\.bandwith: Extra inputs"):
        read_devices(path)
    with pytest.raises(LabError, match="cannot be read"):
        read_models(tmp_path / "none.yaml")
