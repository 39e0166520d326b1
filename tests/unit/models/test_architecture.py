"""Devices, models and the roofline: derived sizes against published ones, arithmetic by hand."""

import pytest
import yaml

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.architecture import (
    CONFIG,
    find,
    read_devices,
    read_models,
    roofline,
)

DEVICES = read_devices(CONFIG / "devices.yaml")
MODELS = read_models(CONFIG / "models.yaml")


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


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tp": 3}, "tp 3: does not divide"),
        ({"tp": 1}, "raise tp"),
        ({"device": DEVICES["v100"]}, "no bf16"),
        ({"weight_bits": 0}, "weight_bits"),
        ({"batch": 0}, "batch 0: must be 1 or more"),
        ({"tp": 0}, "tp 0: must be 1 or more"),
        ({"context": -1}, "context -1: must be 1 or more"),
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
    } | change
    with pytest.raises(LabError, match=what) as caught:
        roofline(**arguments)
    assert "\n" not in str(caught.value)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(LabError, match="device 'h1000': not known; use one of l4, "):
        find(DEVICES, "h1000", "device")
