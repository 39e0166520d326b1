"""The design: completed configuration, requests, and an order that later repeats do not change."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudagraph_lab.config.checks import engine_args_of
from cudagraph_lab.config.model import Config
from cudagraph_lab.design import runs as design
from cudagraph_lab.engine.versions import VLLM_VERSION
from cudagraph_lab.errors import LabError

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def typed(config):
    """The model of a configuration that is a map, whatever it means."""
    return Config.model_validate(config)


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
        order = design.order_of_repeat(typed(config), "cuda", repeat)
        assert sorted(order) == sorted(config["arms"])


@SHARED
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_more_repeats_leave_the_order_of_earlier_ones(config, repeats, more, seed):
    config = with_arms(config, 5, repeats) | {"seed": seed}
    before = [design.order_of_repeat(typed(config), "cuda", k) for k in range(1, repeats + 1)]
    config["repeats"] += more
    random.seed(more)  # a draw elsewhere must not matter
    after = [design.order_of_repeat(typed(config), "cuda", k) for k in range(1, repeats + 1)]
    assert after == before


def test_the_order_is_drawn_anew_for_each_repeat_and_seed(config):
    config = with_arms(config, 6, 40)
    orders = [tuple(design.order_of_repeat(typed(config), "cuda", k)) for k in range(1, 41)]
    assert len(set(orders)) > 20
    other = [
        tuple(design.order_of_repeat(typed(config | {"seed": 1}), "cuda", k)) for k in range(1, 41)
    ]
    assert other != orders
    # Every arm comes first at some time: none is always measured on a cold machine.
    assert {order[0] for order in orders} == set(config["arms"])


@SHARED
@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 2**32))
def test_priorities_realise_the_order_repeat_by_repeat(config, count, repeats, seed):
    config = with_arms(config, count, repeats) | {"seed": seed}
    config["arms"]["arm-0"]["repeats"] = repeats + 2  # one arm with repeats of its own
    runs = design.runs_to_measure(typed(config), "cuda")
    priorities = {run: design.priority_of_run(typed(config), "cuda", *run) for run in runs}
    assert len(set(priorities.values())) == len(runs)
    assert min(priorities.values()) > 0
    started = sorted(runs, key=lambda run: -priorities[run])
    drawn = [
        (arm, repeat)
        for repeat in range(1, repeats + 3)
        for arm in design.order_of_repeat(typed(config), "cuda", repeat)
    ]
    assert started == drawn


@SHARED
@given(st.integers(2, 5), st.integers(1, 5), st.integers(0, 2**32))
def test_arms_in_turn_stand_in_a_repeat_where_the_draw_puts_the_first_of_them(
    config, count, repeats, seed
):
    config = with_arms(config, count, repeats) | {"seed": seed, "order": "in_turn"}
    config["arms"]["arm-0"]["alone"] = True
    assert "arm-0" not in design.arms_in_turn(typed(config), "cuda")
    for repeat in range(1, repeats + 1):
        alone = design.priority_of_run(typed(config), "cuda", "arm-0", repeat)
        turn = design.priority_of_turn(typed(config), "cuda", repeat)
        first = design.order_of_repeat(typed(config), "cuda", repeat)[0]
        assert (alone > turn) == (first == "arm-0")
        if repeat > 1:
            before = design.priority_of_turn(typed(config), "cuda", repeat - 1)
            assert before > max(alone, turn)
    request = design.request_of_run(
        typed(config), "cuda", "arm-0", 1, {"weights": "dummy", "revision": None}
    )
    beside = design.request_of_run(
        typed(config), "cuda", "arm-1", 1, {"weights": "dummy", "revision": None}
    )
    assert (request["measured"], beside["measured"]) == ("apart", "in_turn")
    for key in ("workload", "engine_args", "iterations", "seconds", "rounds"):
        assert request[key] == beside[key]


def test_a_run_outside_the_design_has_no_priority(config):
    for arm, repeat in (("graphs", 1), ("grahps", 1), ("eager", 4)):
        with pytest.raises(LabError, match=f"repeat {repeat} of arm '{arm}' is not to be measured"):
            design.priority_of_run(typed(config), "cpu", arm, repeat)


def test_a_cpu_measures_what_asks_for_no_graphs(config):
    assert design.runs_to_measure(typed(config), "cpu") == [
        (arm, repeat) for arm in ("eager", "compiled") for repeat in (1, 2, 3)
    ]
    assert len(design.runs_to_measure(typed(config), "cuda")) == 9
    reasons = {"graphs": "CUDA graphs do not exist on a CPU"}
    assert design.arms_left_out(typed(config), "cpu") == reasons
    assert design.arms_left_out(typed(config), "cuda") == {}


def test_an_arm_that_leaves_graphs_to_vllm_is_measured_on_a_cpu(config):
    config["arms"]["graphs"]["engine_args"] = {"max_num_seqs": 64}
    assert design.arms_left_out(typed(config), "cpu") == {}


def test_a_run_occupies_a_device_per_rank(config):
    config["engine_args"] = {"tensor_parallel_size": 2}
    config["arms"]["graphs"]["engine_args"] = {
        "pipeline_parallel_size": 3,
        "data_parallel_size": 2,
    }
    assert design.devices_of_run(typed(config), ["eager"], "cuda") == 2
    for arms in (["graphs"], ["eager", "graphs"]):
        assert design.devices_of_run(typed(config), arms, "cuda") == 12
    # On a CPU ranks are processes of one device.
    assert design.devices_of_run(typed(config), ["graphs"], "cpu") == 1
    design.check_devices(typed(config), "cuda", 12, 12)
    design.check_devices(typed(config), "cuda", 12, None)
    design.check_devices(typed(config), "cpu", 1, 1)
    with pytest.raises(LabError, match=r"config: arms\.graphs\.engine_args: 12 devices .* 11 are"):
        design.check_devices(typed(config), "cuda", 11, 12)
    with pytest.raises(LabError, match=r"arms\.eager.* may use 1; add --resources gpu=2"):
        design.check_devices(typed(config), "cuda", 12, 1)


def test_engine_arguments_of_the_arm_win_over_the_platforms_over_the_common_ones(config):
    config["engine_args"] = {"dtype": "float16", "block_size": 16, "max_num_seqs": 64}
    config["engine_args_cpu"] = {"dtype": "bfloat16", "block_size": 32}
    config["arms"]["eager"]["engine_args"] = {"enforce_eager": True, "block_size": 8}
    before = json.dumps(config)
    assert engine_args_of(typed(config), "eager", "cpu") == {
        "dtype": "bfloat16",
        "block_size": 8,
        "max_num_seqs": 64,
        "enforce_eager": True,
    }
    assert engine_args_of(typed(config), "eager", "cuda")["dtype"] == "float16"
    assert json.dumps(config) == before


def test_a_request_is_all_that_a_run_is_asked(config):
    weights = {"weights": "dummy", "revision": None, "path": "somewhere", "reason": "x"}
    request = design.request_of_run(typed(config), "cpu", "eager", 2, weights)
    assert request["iterations"] == config["iterations"]
    assert request["workload"]["batch_sizes"] == [1, 8, 64]
    assert request["engine_args"] == {**config["engine_args_cpu"], "enforce_eager": True}
    assert request["order"] == design.order_of_repeat(typed(config), "cpu", 2)
    assert "path" not in request  # where weights lie on this machine is nobody's business
    config["arms"]["eager"]["purpose"] = "startup"
    request = design.request_of_run(typed(config), "cpu", "eager", 2, weights)
    assert request["workload"]["batch_sizes"] == [1]
    assert (request["iterations"], request["warmups"]) == (0, 0)
    assert config["workload"]["batch_sizes"] == [1, 8, 64]


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "cuda-nvidia-h100-80gb-hbm3"),
        ("NVIDIA L4", "cuda-nvidia-l4"),
        ("  Ärger/../../etc  ", "cuda-rger-..-..-etc"),
        ("!!!", "cuda-unknown"),
    ],
)
def test_names_of_data_sets(device, name):
    assert design.dataset_name("cuda", device) == f"{name}-vllm{VLLM_VERSION}"


@given(st.text())
def test_any_device_gives_a_name_that_fits_a_path_and_the_schema(device):
    name = design.dataset_name("cuda", device)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert len(name) <= 100


@pytest.mark.parametrize(
    ("platform", "order", "expected"),
    [("cuda", "in_turn", "shared"), ("cuda", "apart", "any"), ("cpu", "in_turn", "any")],
)
def test_processors_are_shared_by_arms_in_turn_on_a_gpu(config, platform, order, expected):
    config |= {"order": order, "processors": "shared"}
    weights = {"weights": "dummy", "revision": None}
    request = design.request_of_run(typed(config), platform, "eager", 1, weights)
    assert request["processors"] == expected
