"""What vLLM's users write is read as they mean it, and handed on without any default of ours."""

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.config.engine_args import EngineArgs
from cudagraph_lab.config.model import Config
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.sizes import laid_over
from cudagraph_lab.engine.graph_modes import COMPILE_MODES, GRAPH_MODES
from cudagraph_lab.errors import LabError
from tests.badconfig import BASE


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, {}),
        ({"dtype": "bfloat16"}, {"dtype": "bfloat16"}),
        ({"compilation_config": 3}, {"compilation_config": {"mode": 3}}),
        ({"compilation_config": "none"}, {"compilation_config": {"mode": "NONE"}}),
        ({"-O": 3}, {"optimization_level": 3}),
        ({"-O": "O1"}, {"optimization_level": 1}),
        ({"optimization_level": "-O0"}, {"optimization_level": 0}),
    ],
)
def test_arguments_are_read_as_vllm_reads_them(given, read):
    assert EngineArgs.model_validate(given).model_dump() == read


@given(st.sampled_from(GRAPH_MODES), st.sampled_from(COMPILE_MODES), st.randoms())
def test_modes_are_accepted_in_any_case(graphs, compiled, rng):
    def anyhow(word):
        return "".join(rng.choice([c.lower(), c]) for c in word)

    given = {"cudagraph_mode": anyhow(graphs), "mode": anyhow(compiled)}
    arguments = EngineArgs.model_validate({"compilation_config": given})
    assert arguments.model_dump() == {
        "compilation_config": {"cudagraph_mode": graphs, "mode": compiled}
    }


def test_an_arm_and_a_contrast_are_removed_by_null():
    raw = copy.deepcopy(BASE)
    raw["arms"]["graphs"] = None
    raw["contrasts"] |= {"bundle": None, "graph": None}
    with pytest.raises(LabError, match=r"config: contrasts: none has the role primary"):
        parse_config(raw)
    config = parse_config(raw | {"headline": "compile"})
    assert list(config.arms) == ["eager", "compiled"]
    assert list(config.contrasts) == ["compile"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arms": {"compiled": {"alone": True}}}, "'compiled' is measured alone; a contrast"),
        (
            {"contrasts": {"bundle": {"role": "co_resident"}}, "headline": "graph"},
            "'eager' is not measured alone; a contrast of role co_resident",
        ),
    ],
)
def test_company_is_a_contrast_of_its_own(config, change, said):
    with pytest.raises(LabError, match=re.escape(said)):
        parse_config(laid_over(config, change))


def test_a_contrast_of_a_removed_arm_says_how_to_go_on():
    raw = copy.deepcopy(BASE)
    raw["arms"]["graphs"] = None
    with pytest.raises(LabError, match=r"contrasts\.bundle\.numerator: .* set contrasts\.bundle"):
        parse_config(raw)


def test_what_was_read_survives_a_way_through_json():
    config = parse_config(BASE)
    assert Config.model_validate(json.loads(json.dumps(config.model_dump()))) == config


def test_a_number_is_never_made_of_a_text_nor_a_text_of_a_number():
    for key, value in (("repeats", "3"), ("repeats", 3.0), ("dataset", 3), ("seed", True)):
        with pytest.raises(LabError, match=f"config: {key}: "):
            parse_config(BASE | {key: value})
