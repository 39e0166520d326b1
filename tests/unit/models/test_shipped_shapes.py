"""The shipped config.json files are the models that config/models.yaml describes."""

import json
from pathlib import Path

import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.models.extrapolation import read_models
from cudagraph_lab.models.own import read_model_config

MODELS = read_models(REPOSITORY / "config" / "models.yaml")
SHIPPED = REPOSITORY / "resources" / "models"
NAMES = {
    "facebook--opt-125m": "opt-125m",
    "meta-llama--Llama-3.2-1B": "llama-3.2-1b",
    "meta-llama--Llama-3.1-8B": "llama-3-8b",
    "Qwen--Qwen2.5-32B": "qwen2.5-32b",
    "meta-llama--Llama-3.1-70B": "llama-70b",
}


def test_every_shipped_shape_is_compared() -> None:
    assert {path.parent.name for path in SHIPPED.glob("*/config.json")} == set(NAMES)


@pytest.mark.parametrize(("directory", "name"), NAMES.items())
def test_a_shipped_shape_is_the_model_of_the_table(directory: str, name: str) -> None:
    path: Path = SHIPPED / directory / "config.json"
    shape, _ = read_model_config(path)
    # Published files leave out what the family takes for granted: OPT's embeddings are tied.
    silent = {"learned_positions", "published_parameters", "source"}
    if "tie_word_embeddings" not in json.loads(path.read_text(encoding="utf-8")):
        silent.add("tied_embeddings")
    assert shape.model_dump(exclude=silent) == MODELS[name].model_dump(exclude=silent)
