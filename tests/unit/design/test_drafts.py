"""Draft models: which arms name one, where it lies, and what it takes of the memory."""

import json
from fnmatch import fnmatchcase

import pytest
import yaml

from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.drafts import draft_of, draft_path, drafts_of
from cudagraph_lab.design.memory import GIB, check_memory_in_turn, need_of, shapes_of
from cudagraph_lab.design.predictions import read_predictions
from cudagraph_lab.design.runs import arms_in_turn
from cudagraph_lab.design.sizes import laid_over, plans
from cudagraph_lab.design.weights import choose_weights
from cudagraph_lab.errors import LabError
from tests.unit.design.test_weights import MODEL, fetching, hub  # noqa: F401 - fixtures

DUMMY = {"weights": "dummy", "path": "x", "revision": None}
SHIPPED = "meta-llama/Llama-3.2-1B"


def speculating(model, method="draft_model", **other):
    asked = {"method": method, "num_speculative_tokens": 3, **other}
    return {"speculative_config": asked | ({} if model is None else {"model": model})}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, None),
        (speculating("owner/draft"), "owner/draft"),
        (speculating("owner/head", "eagle3"), "owner/head"),
        (speculating(None, "ngram"), None),
        (speculating("ngram", "ngram"), None),
        ({"speculative_config": {"model": "[ngram]"}}, None),
        (speculating(None, "mtp"), None),
        (speculating("own.Proposer", "ngram"), "own.Proposer"),
    ],
)
def test_a_draft_model_is_what_a_method_with_one_names(arguments, name):
    assert draft_of(arguments) == name


def test_the_shapes_of_a_draft_are_shipped_or_in_a_directory(tmp_path, repository):
    shipped = draft_path(speculating(SHIPPED), DUMMY)
    assert shipped == str(repository / "resources" / "models" / SHIPPED.replace("/", "--"))
    (tmp_path / "config.json").write_text("{}")
    assert draft_path(speculating(str(tmp_path)), DUMMY) == str(tmp_path)
    assert draft_path({}, DUMMY) is None


def test_a_draft_without_shapes_is_one_line():
    with pytest.raises(LabError) as caught:
        draft_path(speculating("nobody/nothing"), DUMMY)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("config: speculative_config.model: nobody/nothing: ")
    assert "name a directory" in message


def test_a_module_is_never_taken_for_a_draft():
    # vLLM would import it: a name with a dot and no slash is a class of one's own there.
    with pytest.raises(LabError, match=r"own\.Proposer"):
        draft_path(speculating("own.Proposer"), DUMMY)
    with pytest.raises(LabError, match=r"own\.Proposer"):
        draft_path(speculating("own.Proposer"), {"weights": "hub", "path": "x"})


def test_a_published_draft_comes_with_the_target(hub, fetching):  # noqa: F811
    python = fetching('printf "/models/$2\\tabc\\n"')
    chosen = choose_weights(MODEL, "auto", None, python, ["owner/draft"])
    assert chosen["path"] == f"/models/{MODEL}"
    assert chosen["drafts"] == {"owner/draft": {"path": "/models/owner/draft", "revision": "abc"}}
    assert draft_path(speculating("owner/draft"), chosen) == "/models/owner/draft"
    with pytest.raises(
        LabError, match=r"owner/other: its weights were not fetched .* weights.json"
    ):
        draft_path(speculating("owner/other"), chosen)


@pytest.fixture
def plan(config, tmp_path, repository):
    models = repository / "resources" / "models"
    config["arms"] = {
        "plain": {"engine_args": {}},
        "spec": {"engine_args": speculating(SHIPPED)},
        "again": {"engine_args": speculating(SHIPPED)},
        "ngram": {"engine_args": speculating(None, "ngram")},
    }
    config["contrasts"] = {
        arm: {"numerator": arm, "denominator": "plain", "role": "primary"}
        for arm in ("spec", "again", "ngram")
    }
    target = str(models / "meta-llama--Llama-3.1-8B")
    return parse_config(
        config
        | {"model": {"name": "meta-llama/Llama-3.1-8B", "weights": "dummy", "architecture": target}}
    )


def test_each_draft_is_named_once(plan):
    assert drafts_of(plan, "cuda") == [SHIPPED]


def test_the_draft_is_in_the_plan_of_the_memory(plan, repository):
    shapes = shapes_of(plan)
    plain, spec, ngram = (need_of(plan, a, "cuda", shapes) for a in ("plain", "spec", "ngram"))
    path = repository / "resources" / "models" / SHIPPED.replace("/", "--") / "config.json"
    draft = json.loads(path.read_text())
    # 1.24 billion weights in two bytes each; embeddings are tied.
    assert spec.weights - plain.weights == pytest.approx(2 * 1.236e9, rel=0.01)
    assert draft["tie_word_embeddings"]
    assert ngram == plain
    assert spec.kv_cache >= plain.kv_cache


def test_the_ten_lines_of_the_docs_are_a_design(config, repository):
    text = (repository / "docs" / "speculation.md").read_text(encoding="utf-8")
    own = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    design = parse_config(laid_over(config, own))
    assert drafts_of(design, "cuda") == [SHIPPED]
    assert [c.role for c in design.contrasts.values()].count("speculation") == 2


def test_the_shipped_design_fits_a_card_of_80_gb_and_its_forecasts_name_its_data_sets(
    config, repository
):
    path = repository / "config" / "speculation.yaml"
    shipped = laid_over(config, yaml.safe_load(path.read_text(encoding="utf-8")))
    made = plans(parse_config(shipped), "h100-speculation")
    for name, one in made.items():
        check_memory_in_turn(one, "cuda")
        shapes = shapes_of(one)
        needs = [need_of(one, arm, "cuda", shapes).total for arm in arms_in_turn(one, "cuda")]
        assert len(needs) == 4
        assert sum(needs) < 79 * GIB, name
    said = read_predictions([repository / "config" / "predictions-speculation.yaml"])
    for prediction in said:
        about = [n for n in made if fnmatchcase(n, prediction.applies_to.dataset)]
        assert about, prediction.id
        arm = prediction.number.split("/")[-2]
        for name in about:
            assert prediction.number.startswith("step_ratio/") or any(
                fnmatchcase(known, arm) for known in made[name].arms
            ), prediction.id
