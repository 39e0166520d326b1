"""A mistake in the configuration ends in one line: where, what, and what to do about it."""

import copy
import random
import re
from collections import namedtuple

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cudagraph_lab.config.contrast import headline_of
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.predictions import prediction_files
from cudagraph_lab.errors import LabError
from cudagraph_lab.measure import machine as hardware
from tests.badconfig import bad_configuration


def set_in(config, dotted, value):
    *parents, last = dotted.split(".")
    for part in parents:
        config = config.setdefault(part, {})
    config[last] = value


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("masure", "none", "top level: unknown key 'masure'; known here: arms, "),
        ("workload.batchsizes", [1], "workload: unknown key 'batchsizes'; known here: batch_sizes"),
        ("arms.eager.engine_arg", {}, "arms.eager: unknown key 'engine_arg'"),
        ("contrasts.bundle.over", "x", "contrasts.bundle: unknown key 'over'"),
        (1, "x", "top level: unknown key '1'"),
        ("measure", "gpu", "measure: 'gpu' should be 'auto', 'cuda', 'cpu' or 'none'"),
        ("repeats", 0, "repeats: 0 should be greater than or equal to 1"),
        ("repeats", True, "repeats: True should be a valid integer"),
        ("repeats", "3", "repeats: '3' should be a valid integer"),
        ("workload.output_tokens", 8.0, "workload.output_tokens: 8.0 should be a valid integer"),
        ("batch_mix", "no-such.csv", "batch_mix: there is no file no-such.csv"),
        ("iterations", 0, "iterations: 0 should be greater"),
        ("warmups", -1, "warmups: -1 should be greater"),
        ("timeout_s", 0, "timeout_s: 0 should be greater"),
        (
            "workload.batch_sizes",
            [0],
            "workload.batch_sizes.0: 0 should be greater than",
        ),
        ("workload.batch_sizes", [1, -1], "workload.batch_sizes.1: -1 should be greater"),
        (
            "workload.batch_sizes",
            [8, 8],
            "workload.batch_sizes: [8, 8] names a value twice",
        ),
        ("workload.batch_sizes", [], "workload.batch_sizes: []"),
        (
            "workload.output_tokens",
            1,
            "workload.output_tokens: 1 should be greater than",
        ),
        ("workload.max_model_len", 20, "workload.max_model_len: 20 is less than prompt and out"),
        ("workload.prompt_token_ids", None, "workload.prompt_token_ids: give token ids"),
        (
            "workload.gpu_memory_utilization",
            1.5,
            "gpu_memory_utilization: 1.5 should be less than",
        ),
        ("workload", None, "workload: None should be a map"),
        (
            "arms.graphs.engine_args.compilation_config.cudagraph_mode",
            "FULLY",
            "arms.graphs.engine_args.compilation_config.cudagraph_mode: 'FULLY' should be 'NONE'",
        ),
        (
            "arms.graphs.engine_args.compilation_config.cudagraph_capture_sizes",
            [],
            "cudagraph_capture_sizes: []",
        ),
        (
            "arms.eager.engine_args.trust_remote_code",
            True,
            "arms.eager.engine_args.trust_remote_code: foreign code is never run",
        ),
        ("engine_args.model", "x", "engine_args.model: this argument is not for an arm to set"),
        (
            "engine_args_cpu.worker_cls",
            "x",
            "engine_args_cpu.worker_cls: foreign code is never",
        ),
        (
            "arms.spare",
            {"engine_args": {}},
            "arms.spare: no contrast uses this arm; add one under contrasts or remove the arm",
        ),
        (
            "contrasts.bundle.numerator",
            "graph",
            "contrasts.bundle.numerator: there is no arm 'graph'; name one of eager, compiled, gra",
        ),
        ("arms.graphs.purpose", "profile", "arm 'graphs' is for profile and never timed"),
        (
            "arms.Eager",
            {},
            "arms.Eager: 'Eager' is no name: use lower-case letters, digits,",
        ),
        ("arms.eager", [], "arms.eager: [] should be a map"),
        ("arms.eager", None, "contrasts.bundle.denominator: there is no arm 'eager'"),
        ("engine_args.max_num_seqs", 16, "engine_args.max_num_seqs: vLLM would serve the requests"),
        (
            "arms.graphs.engine_args.max_num_seqs",
            1,
            "arms.graphs.engine_args.max_num_seqs: vLLM would serve the requests of batch 8 and 64",
        ),
        ("engine_args_cpu.max_model_len", 20, "engine_args_cpu.max_model_len: 20 is less than"),
        ("engine_args.optimization_level", "O4", "optimization_level: 'O4' should be a valid int"),
        ("engine_args.tensor_parallel_size", 0, "tensor_parallel_size: 0 should be greater"),
        ("headline", "bunlde", "headline: there is no contrast 'bunlde'; name one of bundle"),
        ("dataset", "../up", "dataset: '../up'"),
        ("compare", ["a/b"], "compare"),
        ("model.name", "../../etc/passwd", "model.name: '../../etc/passwd' is no model of the hub"),
        ("own_predictions", "", "own_predictions: ''"),
    ],
)
def test_one_line_with_the_key_and_the_mend(config, key, value, said):
    if key == 1:
        config[1] = value
        config["zz"] = value  # and another, to be sorted beside it
    else:
        set_in(config, key, value)
    with pytest.raises(LabError) as caught:
        parse_config(config)
    message = str(caught.value)
    assert message.startswith("config: ")
    assert said in message
    assert "\n" not in message
    assert len(message) < 700
    # What the schema says leads to the documentation; the rest says what to do itself.
    assert re.search(
        r"see config/README\.md|; (name|add|set|raise|give|write|remove|lower)|: give", message
    )


def test_a_prompt_needs_the_hubs_tokenizer(config):
    for weights in ("dummy", "auto"):
        changed = copy.deepcopy(config)
        changed["workload"]["prompt"] = "The meaning of life is"
        changed["model"]["weights"] = weights
        with pytest.raises(LabError, match=r"config: workload\.prompt: .* set model\.weights"):
            parse_config(changed)
    config["workload"]["prompt"] = "The meaning of life is"
    config["model"]["weights"] = "hub"
    assert parse_config(config).workload.prompt_token_ids is None


def test_completing_twice_changes_nothing(config):
    assert parse_config(config).model_dump() == config


@pytest.mark.parametrize("name", ["full", "quick"])
def test_the_shipped_configurations_are_complete(repository, name):
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text(encoding="utf-8"))
    more = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text(encoding="utf-8"))
    for key, value in more.items():
        config[key] = config[key] | value if isinstance(config.get(key), dict) else value
    parse_config(config)


def test_cuda_without_a_gpu_says_so(monkeypatch):
    monkeypatch.setattr(hardware, "gpus", lambda: [])
    with pytest.raises(LabError, match=r"config: measure: cuda, but no NVIDIA GPU answers here"):
        hardware.describe("cuda")
    assert hardware.choose_platform("cuda") == "cuda"  # it may be meant for another machine
    assert hardware.choose_platform("auto") == "cpu"
    assert hardware.choose_platform("none") is None
    monkeypatch.setattr(hardware, "gpus", lambda: [{"index": 0, "device": "NVIDIA L4"}])
    assert hardware.choose_platform("auto") == "cuda"
    assert hardware.describe("cuda")["device"] == "NVIDIA L4"


# --- Whatever a configuration holds -----------------------------------------------------

names = st.sampled_from(["eager", "graphs", "bundle", "x", "", "A", "../up", "1", "on"])
scalars = st.none() | st.booleans() | st.integers(-3, 300) | st.floats(width=16) | names
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | scalars, inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """Every place in a configuration that a mistake can be made at."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from places(child, (*path, key))
        else:
            yield (*path, key)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_configuration_raises_anything_else(base_config, data):
    config = copy.deepcopy(base_config)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([p for p in places(config) if p]))
        target = config
        for part in path[:-1]:
            target = target[part]
        action = data.draw(st.sampled_from(["replace", "remove", "rename"]))
        if action == "replace" or isinstance(target, list):
            target[path[-1]] = data.draw(values)
        else:
            old = target.pop(path[-1])
            if action == "rename":
                target[data.draw(names | scalars)] = old
    try:
        completed = parse_config(config)
    except LabError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("config: ")
    else:
        assert completed.arms
        assert headline_of(completed.contrasts, completed.headline)


@pytest.fixture(scope="session")
def base_config(repository):
    return yaml.safe_load((repository / "config" / "config.yaml").read_text(encoding="utf-8"))


def started(config):
    """What the Snakefile does with a configuration before anything runs."""
    checked = parse_config(config)
    hardware.choose_platform(checked.measure)
    prediction_files(checked.own_predictions)


ONE_MISTAKE = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@settings(ONE_MISTAKE, max_examples=500)
@given(st.randoms(use_true_random=False))
# A key was to be misspelt with the letter that it has.
@example(random.Random(3591))  # noqa: S311 - not for secrets
def test_every_mistake_ends_in_one_line_that_names_its_key(rng):
    config, named = bad_configuration(rng)
    with pytest.raises(LabError) as caught:
        started(config)
    message = str(caught.value)
    assert message.startswith("config: ")
    assert named in message
    assert message.isprintable()
    assert len(message) < 1000


# --- Through Snakemake ------------------------------------------------------------------

Ended = namedtuple("Ended", "said returncode")


@pytest.fixture
def dry_run(run_snakemake, tmp_path, repository):
    def run(**changes):
        # Snakemake merges; what is not named here is the shipped configuration's.
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changes))
        configfiles = (repository / "config" / "config.yaml", tmp_path / "mine.yaml")
        done = run_snakemake("--dry-run", directory=tmp_path, configfiles=configfiles)
        assert "Traceback" not in done.stdout
        assert not (tmp_path / "results").exists()
        return Ended(done.stdout, done.returncode)

    return run


# What is found of single mistakes is above; here it is that Snakemake passes it on, at 2 s each.
@pytest.mark.parametrize("seed", range(10))
def test_snakemake_stops_at_every_mistake_with_that_line(run_snakemake, tmp_path, seed):
    config, named = bad_configuration(random.Random(seed))  # noqa: S311 - not for secrets
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    done = run_snakemake("--dry-run", directory=tmp_path, configfiles=(mine,))
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    said = "cudagraph-lab: config: "
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(said)]
    assert '  File "' not in done.stdout
    assert named in line


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", "just words", "arms: [", "a: b: c", "\tarms: {}", "\x00", "a: *b"]
)
def test_what_is_no_configuration_at_all_ends_without_a_traceback(run_snakemake, tmp_path, content):
    mine = tmp_path / "mine.yaml"
    mine.write_text(content, encoding="utf-8")
    done = run_snakemake("--dry-run", directory=tmp_path, configfiles=(mine,))
    assert done.returncode != 0
    assert "Traceback" not in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"masure": "none"}, "config: top level: unknown key 'masure'; known here: "),
        ({"measure": "none", "workload": {"batch_sizes": [0]}}, "config: workload.batch_sizes.0: "),
        ({"measure": "none", "own_predictions": "no.yaml"}, "config: own_predictions: there is no"),
        (
            {"measure": "cpu", "contrasts": {"bundle": {"numerator": "graph"}}},
            "config: contrasts.bundle.numerator: there is no arm 'graph'; name one of ",
        ),
    ],
)
def test_the_workflow_stops_with_one_line(dry_run, changes, said):
    ended = dry_run(**changes)
    assert ended.returncode != 0
    said = f"cudagraph-lab: {said}"
    assert [line.startswith(said) for line in ended.said.splitlines()].count(True) == 1


def test_predictions_that_cannot_be_read_stop_the_ledger_with_file_and_reason(
    run_snakemake, tmp_path, repository
):
    own = tmp_path / "own.yaml"
    entry = {"id": "a/one", "number": "x", "applies_to": {}, "value": True, "unit": "x"}
    entry["source"] = "a test"
    mine = {"measure": "none", "compare": ["l4-published"], "own_predictions": str(own)}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    configfiles = (repository / "config" / "config.yaml", tmp_path / "mine.yaml")
    own.write_text(yaml.safe_dump({"predictions": [entry, entry]}))
    done = run_snakemake("results/ledger.json", directory=tmp_path, configfiles=configfiles)
    assert done.returncode != 0
    said = f"cudagraph-lab: {own}: prediction a/one: this id occurs twice"
    assert said in done.stdout.splitlines()
    assert said in (tmp_path / "logs" / "build_ledger.log").read_text().splitlines()
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "results" / "ledger.json").exists()
    own.write_text("predictions: [")
    done = run_snakemake("results/ledger.json", directory=tmp_path, configfiles=configfiles)
    assert done.returncode != 0
    assert f"cudagraph-lab: {own}: no list of `predictions` (ParserError)" in done.stdout
    assert "Traceback" not in done.stdout
