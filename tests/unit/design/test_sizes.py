"""The sizes of a configuration: a complete plan each, and mistakes named by size and key."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.memory import GIB, check_memory_in_turn, that_fit
from cudagraph_lab.design.runs import arms_in_turn
from cudagraph_lab.design.sizes import laid_over, plans
from cudagraph_lab.errors import LabError

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def test_without_sizes_the_one_plan_is_the_configuration_itself(config):
    whole = parse_config(config)
    assert plans(whole, "d") == {"d": whole}


def test_each_size_is_a_data_set_whose_keys_are_laid_over_the_rest(config):
    config["engine_args"] = {"block_size": 16}
    config["sizes"] = {
        "small": {},
        "large": {
            "model": {"name": "meta-llama/Llama-3.1-8B"},
            "engine_args": {"max_num_seqs": 64},
            "arms": {"graphs": None},
            "contrasts": {"bundle": None, "graph": None, "compile": {"role": "primary"}},
            "repeats": 1,
        },
        "gone": None,
    }
    small, large = plans(parse_config(config), "d").values()
    assert (small.dataset, large.dataset) == ("d-small", "d-large")
    assert small.sizes == large.sizes == {}
    rest = parse_config({key: value for key, value in config.items() if key != "sizes"})
    assert small == rest.model_copy(update={"dataset": "d-small"})
    assert large.model.name == "meta-llama/Llama-3.1-8B"
    assert large.model.weights == small.model.weights
    assert large.engine_args.model_dump() == {"block_size": 16, "max_num_seqs": 64}
    assert list(large.arms) == ["eager", "compiled"]
    assert (large.repeats, large.iterations) == (1, rest.iterations)


@SHARED
@given(st.permutations(["a", "b", "c.1", "d_2"]))
def test_plans_come_in_the_order_of_the_file(config, names):
    made = plans(parse_config(config | {"sizes": {name: {} for name in names}}), "lab")
    assert list(made) == [f"lab-{name}" for name in names]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"compare": []}, "config: sizes.big: 'compare' cannot differ between sizes; known here: "),
        ({"seeds": 1}, "config: sizes.big: 'seeds' cannot differ between sizes"),
        ({"repeats": 0}, "config: sizes.big: repeats: 0 should be greater than"),
        ({"model": {"nme": "x"}}, "config: sizes.big: model: unknown key 'nme'; known here: "),
        ({"workload": {"output_tokens": 999}}, "config: sizes.big: workload.max_model_len: 512 is"),
        ({"arms": {"eager": None}}, "config: sizes.big: contrasts.bundle.denominator: there is no"),
    ],
)
def test_a_mistake_in_a_size_is_named_in_one_line(config, size, said):
    checked = parse_config(config | {"sizes": {"small": {}, "big": size}})
    with pytest.raises(LabError) as caught:
        plans(checked, "d")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([], r"sizes: \[\] should be a map"),
        ({"Big": {}}, "sizes.Big: 'Big' is no name"),
        ({"big": 1}, "sizes.big: 1 should be a map"),
    ],
)
def test_what_is_no_map_of_sizes_is_refused(config, sizes, said):
    with pytest.raises(LabError, match=f"config: {said}"):
        parse_config(config | {"sizes": sizes})


def test_a_size_is_removed_by_null_also_as_the_command_line_spells_it(config):
    config["sizes"] = {"a": {}, "b": None, "c": "null"}
    assert list(plans(parse_config(config), "d")) == ["d-a"]


def shipped(repository, name):
    base, above = (
        yaml.safe_load((repository / "config" / f"{one}.yaml").read_text(encoding="utf-8"))
        for one in ("config", name)
    )
    return parse_config(laid_over(base, above))


# Memory in GiB as the driver of an H100 and of an H200 tells it.
@pytest.mark.parametrize(
    ("memory_gib", "in_turn", "apart", "left_out"),
    [
        (79.6, ["opt-125m", "llama-1b", "llama-8b"], ["qwen-32b"], ["llama-70b"]),
        (139.8, ["opt-125m", "llama-1b", "llama-8b"], ["qwen-32b", "llama-70b"], []),
    ],
)
def test_the_shipped_sizes_on_two_devices(repository, memory_gib, in_turn, apart, left_out):
    made = plans(shipped(repository, "sizes"), "d")
    fitting, lines = that_fit(made, "cuda", int(memory_gib * GIB))
    assert list(fitting) == [f"d-{name}" for name in in_turn + apart]
    for name, plan in fitting.items():
        check_memory_in_turn(plan, "cuda")
        together = ["eager", "compiled", "graphs"] if name.removeprefix("d-") in in_turn else []
        assert arms_in_turn(plan, "cuda") == together
        assert plan.profile_after
    assert [line.partition(" ")[0] for line in lines] == [f"d-{name}" for name in left_out]
    for line in lines:
        assert "an engine needs 134.8 GiB (131.4 of weights" in line
        assert line.endswith("the device has 79.6 GiB")


def test_the_shipped_counts_take_two_arms_of_a_few_layers(repository):
    made = plans(shipped(repository, "counts"), "d")
    fitting, lines = that_fit(made, "cuda", int(79.6 * GIB))
    assert (list(fitting), lines) == (list(made), [])
    for name, plan in fitting.items():
        layers = plan.engine_args.model_dump()["hf_overrides"]["num_hidden_layers"]
        assert name.endswith(f"-{layers}-layers")
        assert arms_in_turn(plan, "cuda") == ["eager", "compiled"]
        assert (plan.iterations, plan.repeats, plan.profile_after) == (1, 1, True)
