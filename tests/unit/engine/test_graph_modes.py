"""Whether an arm asks for graphs, in every way that vLLM lets a user say so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.engine.graph_modes import asks_for_graphs, devices_of


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ({}, "vllm decides"),
        ({"max_num_seqs": 16}, "vllm decides"),
        ({"enforce_eager": False}, "yes"),
        ({"enforce_eager": True}, "no"),
        ({"enforce_eager": True, "compilation_config": {"cudagraph_mode": "FULL"}}, "no"),
        ({"optimization_level": 0}, "no"),
        ({"optimization_level": 0, "enforce_eager": False}, "no"),
        ({"optimization_level": 0, "compilation_config": {"cudagraph_mode": "FULL"}}, "yes"),
        ({"optimization_level": 1}, "yes"),
        ({"optimization_level": "O3"}, "yes"),
        ({"optimization_level": "-O0"}, "no"),
        ({"compilation_config": 0}, "no"),
        ({"compilation_config": 3}, "vllm decides"),
        ({"compilation_config": {"cudagraph_mode": "NONE"}}, "no"),
        ({"compilation_config": {"cudagraph_mode": "none"}}, "no"),
        ({"compilation_config": {"cudagraph_mode": "PIECEWISE"}}, "yes"),
        ({"compilation_config": {"cudagraph_mode": "piecewise", "mode": 0}}, "vllm decides"),
        ({"compilation_config": {"mode": "NONE", "cudagraph_mode": "NONE"}}, "no"),
        ({"compilation_config": {"mode": "NONE"}}, "no"),
        ({"compilation_config": {"mode": "none"}}, "no"),
        ({"compilation_config": {"mode": 0}}, "no"),
        ({"compilation_config": {"mode": "VLLM_COMPILE"}}, "vllm decides"),
        ({"compilation_config": {"mode": "NONE", "cudagraph_mode": "FULL_DECODE_ONLY"}}, "yes"),
        ({"compilation_config": {"cudagraph_capture_sizes": [1]}}, "yes"),
    ],
)
def test_which_arguments_ask_for_graphs(arguments, asks):
    assert asks_for_graphs(arguments) == asks


def test_without_compilation_a_newer_version_makes_graphs_of_its_own():
    alone = {"compilation_config": {"mode": "NONE"}}
    versions = ("0.22.1", "0.26.0", "0.32.0", "dev", None)
    assert [asks_for_graphs(alone, version) for version in versions] == [
        "no", "no", "vllm decides", "no", "no",
    ]  # fmt: skip
    assert asks_for_graphs({"enforce_eager": True}, "0.33.0") == "no"


@given(st.dictionaries(st.sampled_from(["dtype", "max_num_seqs", "block_size"]), st.integers()))
def test_arguments_that_say_nothing_of_graphs_leave_them_to_vllm(arguments):
    assert asks_for_graphs(arguments) == "vllm decides"


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_an_engine_occupies_a_device_per_rank(tensor, pipeline, data):
    sizes = {"tensor": tensor, "pipeline": pipeline, "data": data}
    arguments = {f"{kind}_parallel_size": size for kind, size in sizes.items()}
    assert devices_of(arguments) == tensor * pipeline * data
    assert devices_of({}) == 1
