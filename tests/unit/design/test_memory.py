"""The plan of a device's memory: it never takes more than there is, and holds what it must."""

import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design import memory
from cudagraph_lab.design.memory import ALLOWANCE_BYTES, ALONE, GIB, TOGETHER
from cudagraph_lab.design.runs import arms_in_turn, request_of_run
from cudagraph_lab.errors import LabError
from cudagraph_lab.models.own import read_model_config

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
WEIGHTS = {"weights": "dummy", "revision": None}
LLAMA = {
    "model_type": "llama", "hidden_act": "silu", "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture
def plan_of(config, tmp_path):
    """A plan for a model of these shapes, with so many arms."""

    def make(shapes, order="auto", arms=3, **changes):
        (tmp_path / "config.json").write_text(json.dumps(shapes))
        config["arms"] = {f"a{k}": {"engine_args": {}} for k in range(arms)}
        config["contrasts"] = {
            f"c{k}": {"numerator": f"a{k}", "denominator": "a0", "role": "primary"}
            for k in range(arms)
        }
        model = {"name": "some/model", "weights": "dummy", "architecture": str(tmp_path)}
        return parse_config(config | {"model": model, "order": order} | changes)

    return make


shapes = st.builds(
    lambda layers, hidden, heads, wide, vocab, tied: LLAMA | {
        "num_hidden_layers": layers, "hidden_size": 128 * hidden, "num_attention_heads": heads * 8,
        "intermediate_size": 128 * hidden * wide, "vocab_size": vocab, "head_dim": 128,
        "tie_word_embeddings": tied,
    },
    st.integers(1, 100), st.integers(4, 80), st.integers(1, 10), st.integers(2, 5),
    st.integers(1_000, 200_000), st.booleans(),
)  # fmt: skip


@SHARED
@given(shapes, st.integers(1, 5), st.floats(4, 200), st.sampled_from(["cuda", "cpu"]))
def test_no_plan_takes_more_than_the_memory_nor_less_than_it_needs(
    plan_of, shapes, arms, memory_gib, platform
):
    plan = plan_of(shapes, arms=arms)
    there = int(memory_gib * GIB)
    needed = max(memory.need_of(plan, arm, platform, shapes).total for arm in plan.arms)
    try:
        settled = memory.settled(plan, platform, there)
    except memory.TooLargeError:
        assert needed > ALONE * (there - GIB)
        return
    requests = [request_of_run(settled, platform, arm, 1, WEIGHTS) for arm in settled.arms]
    taken = [request["workload"]["gpu_memory_utilization"] * there for request in requests]
    assert all(share >= needed * (1 - 1e-9) for share in taken)
    together = arms_in_turn(settled, platform)
    assert settled.order == ("in_turn" if together else "apart")
    if together:
        assert needed * arms <= sum(taken) <= TOGETHER * there * (1 + 1e-9)
    else:
        assert max(taken) <= max(ALONE, memory.BY_DEFAULT) * there * (1 + 1e-9)


@SHARED
@given(shapes, st.integers(2, 4), st.floats(4, 100), st.floats(1, 100))
def test_what_fits_together_does_so_on_a_larger_device_too(plan_of, shapes, arms, gib, more):
    plan = plan_of(shapes, arms=arms)
    try:
        smaller = memory.settled(plan, "cuda", int(gib * GIB))
    except memory.TooLargeError:
        assume(False)
    larger = memory.settled(plan, "cuda", int((gib + more) * GIB))
    assert smaller.order == "apart" or larger.order == "in_turn"


def test_what_is_needed_is_weights_and_cache_and_the_allowance(plan_of):
    plan = plan_of(LLAMA)
    need = memory.need_of(plan, "a0", "cuda", LLAMA)
    assert need.weights == 2 * memory.model_of(LLAMA).parameters
    assert need.kv_cache == 2_000_000_000
    assert need.total == need.weights + need.kv_cache + ALLOWANCE_BYTES


@pytest.mark.parametrize(
    ("arguments", "weights"),
    [
        ({"dtype": "bfloat16"}, 1),
        ({"dtype": "float32"}, 2),
        ({"tensor_parallel_size": 2}, 1 / 2),
        ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, 1 / 4),
        ({"data_parallel_size": 2}, 1),
    ],
)
def test_the_arguments_that_change_what_a_device_holds(plan_of, arguments, weights):
    whole = memory.need_of(plan_of(LLAMA), "a0", "cuda", LLAMA)
    need = memory.need_of(plan_of(LLAMA, engine_args=arguments), "a0", "cuda", LLAMA)
    assert need.weights == pytest.approx(whole.weights * weights, rel=1e-9)


def test_fewer_layers_weigh_less_by_their_own_weights(plan_of):
    def weights(layers):
        arguments = {"hf_overrides": {"num_hidden_layers": layers}}
        return memory.need_of(plan_of(LLAMA, engine_args=arguments), "a0", "cuda", LLAMA).weights

    assert weights(32) == 2 * memory.model_of(LLAMA).parameters
    assert weights(6) - weights(4) == weights(4) - weights(2) > 0


def test_the_cache_holds_the_largest_batch_or_what_is_given(plan_of):
    workload = {"batch_sizes": [1, 1024], "output_tokens": 24}
    large = memory.need_of(plan_of(LLAMA, workload=workload), "a0", "cuda", LLAMA)
    # Six tokens of the prompt and 24 written, in blocks of 16.
    assert large.kv_cache == 1024 * 32 * memory.model_of(LLAMA).kv_bytes_per_token
    given_bytes = plan_of(LLAMA, engine_args={"kv_cache_memory_bytes": 7_000_000_000})
    assert memory.need_of(given_bytes, "a0", "cuda", LLAMA).kv_cache == 7_000_000_000
    assert memory.need_of(given_bytes, "a0", "cpu", LLAMA).kv_cache == GIB


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("resources/models/*/config.json")), ids=str)
def test_weights_are_counted_as_the_extrapolation_counts_them_or_more(path):
    shape = json.loads(path.read_text(encoding="utf-8"))
    model, _ = read_model_config(path)
    count = memory.model_of(shape).parameters
    # OPT's learned positions are few.
    assert model.parameters <= count <= model.parameters * 1.02
    assert memory.model_of(shape).kv_bytes_per_token == model.kv_bytes_per_token


def test_what_does_not_fit_is_left_out_with_the_bytes_needed_and_there(plan_of):
    plan = plan_of(LLAMA)
    fitting, lines = memory.that_fit({"d-8b": plan}, "cuda", 16 * GIB)
    assert fitting == {}
    assert lines == [
        "d-8b is not measured here: an engine needs 18.3 GiB (15.0 of weights, 1.9 of KV cache, "
        "1.5 for all else), the device has 16.0 GiB"
    ]


def test_an_order_that_is_given_stays_as_it_is(plan_of):
    for order in ("apart", "in_turn"):
        plan = plan_of(LLAMA, order=order)
        assert memory.settled(plan, "cuda", 80 * GIB) == plan


def test_where_auto_measures_apart_it_is_said_why_and_nothing_of_a_given_order(plan_of):
    named = {"small": plan_of(LLAMA), "given": plan_of(LLAMA, order="apart")}
    lines = {}
    for gib in (80, 24):
        fitting, _ = memory.that_fit(named, "cuda", gib * GIB)
        lines[gib] = memory.settled_lines(named, fitting)
    assert lines[80] == []
    (line,) = lines[24]
    assert line == "small: order: auto: one arm after the other, since they do not fit together"


def test_arms_that_need_several_devices_are_apart(plan_of):
    plan = plan_of(LLAMA, engine_args={"tensor_parallel_size": 2})
    assert memory.settled(plan, "cuda", 80 * GIB).order == "apart"


def test_auto_needs_the_memory(plan_of):
    plan = plan_of(LLAMA)
    with pytest.raises(LabError, match=r"order: auto goes by the memory .* no NVIDIA GPU answers"):
        memory.settled(plan, "cuda", None)


def test_a_model_of_unknown_shapes_is_measured_apart_and_the_plan_says_why(config):
    unknown = parse_config(config | {"order": "auto", "model": {"name": "no/shapes"}})
    fitting, lines = memory.that_fit({"d": unknown}, "cuda", GIB)
    assert (fitting["d"].order, lines) == ("apart", [])
    assert memory.settled_lines({"d": unknown}, fitting) == [
        "d: order: auto: one arm after the other, since no config.json here tells the shapes of "
        "no/shapes; name a directory with one as model.architecture, or set order to in_turn"
    ]
    # Without auto there is nothing to settle, and nothing is left out.
    given_order = unknown.model_copy(update={"order": "apart"})
    assert memory.that_fit({"d": given_order}, "cuda", GIB) == ({"d": given_order}, [])


@pytest.mark.parametrize("shapes", [{}, {"hidden_size": "wide"}, {"n_embd": 768}])
def test_shapes_that_cannot_be_counted_leave_auto_apart_and_else_end_in_one_line(plan_of, shapes):
    plan = plan_of(shapes)
    fitting, _ = memory.that_fit({"d": plan}, "cuda", 80 * GIB)
    assert fitting["d"].order == "apart"
    assert "no config.json here tells" in memory.settled_lines({"d": plan}, fitting)[0]
    with pytest.raises(
        LabError, match=r"model\.architecture: the config\.json of some/model is none"
    ):
        memory.settled(plan_of(shapes, order="apart"), "cuda", 80 * GIB)
