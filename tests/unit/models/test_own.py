"""One's own config.json: dense, mixture of experts, and what is not modelled."""

import json
from pathlib import Path
from typing import Any

import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.architecture import read_models
from cudagraph_lab.models.own import own_device, read_model_config

MODELS = read_models(Path(__file__).parents[3] / "config" / "models.yaml")
DENSE: dict[str, Any] = {
    "model_type": "llama", "hidden_act": "silu", "hidden_size": 2048, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
    "intermediate_size": 8192, "vocab_size": 128256, "tie_word_embeddings": True,
}  # fmt: skip
EXPERTS = {
    "model_type": "qwen3_moe", "hidden_act": "silu", "hidden_size": 2048,
    "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128,
    "num_experts_per_tok": 8, "vocab_size": 151936, "tie_word_embeddings": False,
}  # fmt: skip
OPT = {
    "model_type": "opt", "activation_function": "relu", "hidden_size": 768, "ffn_dim": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 50272,
    "tie_word_embeddings": True,
}  # fmt: skip


def read(config: dict[str, Any], directory: Path) -> tuple[Any, list[str]]:
    path = directory / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return read_model_config(path)


@pytest.mark.parametrize(
    ("config", "name"),
    [(DENSE, "llama-3.2-1b"), (EXPERTS, "qwen3-30b-a3b"), (OPT, "opt-125m")],
)
def test_a_config_is_the_model_that_the_table_holds(
    config: dict[str, Any], name: str, tmp_path: Path
) -> None:
    model, notes = read(config, tmp_path)
    known = MODELS[name]
    for batch in (1, 64):
        experts = known.experts_read(batch)
        assert model.parameters_used(model.experts_read(batch)) == known.parameters_used(experts)
    assert model.kv_bytes_per_token == known.kv_bytes_per_token
    assert any("mixture of experts" in note for note in notes) == (name == "qwen3-30b-a3b")


def test_of_a_multimodal_model_the_text_part_is_read(tmp_path: Path) -> None:
    model, notes = read({"thinker_config": {"text_config": DENSE}}, tmp_path)
    assert model == read(DENSE, tmp_path)[0]
    assert len(notes) == 2 and all("host work" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kv_lora_rank": 512}, "latent attention"),
        ({"n_shared_experts": 1}, "shared experts"),
        ({"layer_types": ["linear_attention", "full_attention"]}, "only attention layers"),
        ({"hidden_size": None}, "hidden_size: missing"),
        ({"num_hidden_layers": 0}, "layers"),
    ],
)
def test_what_is_not_modelled_gives_no_answer(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match=said) as caught:
        read(DENSE | change, tmp_path)
    assert "\n" not in str(caught.value)


def test_figures_of_a_device_must_be_figures() -> None:
    for bandwidth, peak in ((None, 100.0), (3.0, None), (0.0, 100.0), (3.0, float("nan"))):
        with pytest.raises(LabError):
            own_device(bandwidth, peak, None)
