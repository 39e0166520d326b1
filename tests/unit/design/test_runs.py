"""The design: completed configuration, requests, and an order that later repeats do not change."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudagraph_lab.design import runs as design
from cudagraph_lab.errors import LabError

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def with_arms(config, count, repeats):
    config["arms"] = {
        f"arm-{k}": {"engine_args": {}, "purpose": "timed", "compile_cache": "shared", "note": ""}
        for k in range(count)
    }
    config["repeats"] = repeats
    return config


@SHARED
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**32))
def test_each_repeat_is_a_permutation_of_the_arms(config, count, repeats, seed):
    config = with_arms(config, count, repeats) | {"seed": seed}
    for repeat in range(1, repeats + 1):
        order = design.order_of_repeat(config, "cuda", repeat)
        assert sorted(order) == sorted(config["arms"])


@SHARED
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_more_repeats_leave_the_order_of_earlier_ones(config, repeats, more, seed):
    config = with_arms(config, 5, repeats) | {"seed": seed}
    before = [design.order_of_repeat(config, "cuda", k) for k in range(1, repeats + 1)]
    config["repeats"] += more
    random.seed(more)  # a draw elsewhere must not matter
    after = [design.order_of_repeat(config, "cuda", k) for k in range(1, repeats + 1)]
    assert after == before


def test_the_order_is_drawn_anew_for_each_repeat_and_seed(config):
    config = with_arms(config, 6, 40)
    orders = [tuple(design.order_of_repeat(config, "cuda", k)) for k in range(1, 41)]
    assert len(set(orders)) > 20
    other = [tuple(design.order_of_repeat(config | {"seed": 1}, "cuda", k)) for k in range(1, 41)]
    assert other != orders
    # Every arm comes first at some time: none is always measured on a cold machine.
    assert {order[0] for order in orders} == set(config["arms"])


@SHARED
@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 2**32))
def test_priorities_realise_the_order_repeat_by_repeat(config, count, repeats, seed):
    config = with_arms(config, count, repeats) | {"seed": seed}
    config["arms"]["arm-0"]["repeats"] = repeats + 2  # one arm with repeats of its own
    runs = design.runs_to_measure(config, "cuda")
    priorities = {run: design.priority_of_run(config, "cuda", *run) for run in runs}
    assert len(set(priorities.values())) == len(runs)
    assert min(priorities.values()) > 0
    started = sorted(runs, key=lambda run: -priorities[run])
    drawn = [
        (arm, repeat)
        for repeat in range(1, repeats + 3)
        for arm in design.order_of_repeat(config, "cuda", repeat)
    ]
    assert started == drawn


def test_a_run_outside_the_design_has_no_priority(config):
    for arm, repeat in (("graphs", 1), ("grahps", 1), ("eager", 4)):
        with pytest.raises(LabError, match=f"repeat {repeat} of arm '{arm}' is not to be measured"):
            design.priority_of_run(config, "cpu", arm, repeat)


def test_a_cpu_measures_what_asks_for_no_graphs(config):
    assert design.runs_to_measure(config, "cpu") == [
        (arm, repeat) for arm in ("eager", "compiled") for repeat in (1, 2, 3)
    ]
    assert len(design.runs_to_measure(config, "cuda")) == 9
    assert design.not_measurable(config, "graphs", "cpu") == "CUDA graphs do not exist on a CPU"
    assert design.not_measurable(config, "eager", "cpu") is None
    assert design.not_measurable(config, "graphs", "cuda") is None


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ({}, True),
        ({"enforce_eager": False}, True),
        ({"enforce_eager": True}, False),
        ({"enforce_eager": True, "compilation_config": {"cudagraph_mode": "FULL"}}, False),
        ({"compilation_config": {"cudagraph_mode": "NONE"}}, False),
        ({"compilation_config": {"cudagraph_mode": "PIECEWISE"}}, True),
        ({"compilation_config": {"mode": "NONE", "cudagraph_mode": "NONE"}}, False),
        ({"compilation_config": {"mode": "NONE"}}, False),
        ({"compilation_config": {"mode": "VLLM_COMPILE"}}, True),
        ({"compilation_config": {"mode": "NONE", "cudagraph_mode": "FULL_DECODE_ONLY"}}, True),
        ({"compilation_config": {"cudagraph_capture_sizes": [1]}}, True),
    ],
)
def test_which_arguments_ask_for_graphs(arguments, asks):
    assert design.asks_for_graphs(arguments) is asks


def test_engine_arguments_of_the_arm_win_over_the_platforms_over_the_common_ones(config):
    config["engine_args"] = {"dtype": "float16", "block_size": 16, "max_num_seqs": 64}
    config["engine_args_cpu"] = {"dtype": "bfloat16", "block_size": 32}
    config["arms"]["eager"]["engine_args"] = {"enforce_eager": True, "block_size": 8}
    before = json.dumps(config)
    assert design.engine_args(config, "eager", "cpu") == {
        "dtype": "bfloat16",
        "block_size": 8,
        "max_num_seqs": 64,
        "enforce_eager": True,
    }
    assert design.engine_args(config, "eager", "cuda")["dtype"] == "float16"
    assert json.dumps(config) == before


def test_a_request_is_all_that_a_run_is_asked(config):
    weights = {"weights": "dummy", "revision": None, "path": "somewhere", "reason": "x"}
    request = design.request_of_run(config, "cpu", "eager", 2, weights)
    assert request["iterations"] == config["iterations"]
    assert request["workload"]["batch_sizes"] == [1, 8, 64]
    assert request["engine_args"] == {"dtype": "bfloat16", "enforce_eager": True}
    assert request["order"] == design.order_of_repeat(config, "cpu", 2)
    assert "path" not in request  # where weights lie on this machine is nobody's business
    config["arms"]["eager"]["purpose"] = "startup"
    request = design.request_of_run(config, "cpu", "eager", 2, weights)
    assert request["workload"]["batch_sizes"] == [1]
    assert (request["iterations"], request["warmups"]) == (0, 0)
    assert config["workload"]["batch_sizes"] == [1, 8, 64]


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "cuda-nvidia-h100-80gb-hbm3-vllm0.22.1"),
        ("NVIDIA L4", "cuda-nvidia-l4-vllm0.22.1"),
        ("  Ärger/../../etc  ", "cuda-rger-..-..-etc-vllm0.22.1"),
        ("!!!", "cuda-unknown-vllm0.22.1"),
    ],
)
def test_names_of_data_sets(device, name):
    assert design.dataset_name("cuda", device) == name


@given(st.text())
def test_any_device_gives_a_name_that_fits_a_path_and_the_schema(device):
    name = design.dataset_name("cuda", device)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert len(name) <= 100


def test_jobs_read_the_design_from_their_environment(config, monkeypatch):
    monkeypatch.setenv(design.VARIABLE, design.to_environment(config, "cpu"))
    assert design.from_environment() == (config, "cpu")
    monkeypatch.setenv(design.VARIABLE, design.to_environment(config, None))
    with pytest.raises(LabError, match="measure: none"):
        design.from_environment()
    monkeypatch.delenv(design.VARIABLE)
    with pytest.raises(LabError, match="a step of the workflow"):
        design.from_environment()
