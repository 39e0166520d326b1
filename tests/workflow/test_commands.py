"""Every command in the README and the docs runs: as written, or up to what this machine lacks.

A command is a line of a `console` block, or inline code that begins like one. Each is matched by
an entry of WAYS, which says how it runs here and, where that is not as written, why.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bench.generated import clone_into
from cudagraph_lab import REPOSITORY
from tests.own_device import own_device

PAGES = [
    "README.md", "CONTRIBUTING.md", "config/README.md",
    *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").rglob("*.md")),
]  # fmt: skip
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:make|cudagraph-lab|snakemake|\.venv/bin/\S+) [^`]+)`")
PLACES = {
    "results/<dataset>/runs/<arm>/rep2.json": "results/mine/runs/eager/rep2.json",
    "startup-log FILE": "startup-log docs/examples/server.log",
    "set-aside FILE": "set-aside results/mine/runs/eager/rep2.json",
    "BEFORE/results": "before/results",
    "AFTER/results": "after/results",
    "dataset=NAME": "dataset=two",
    "PART ...": "report no-op",
}
# Four pretended GPUs with the memory of an H100.
GPUS = {"STUB_NVML_GIB": "79.6", "STUB_NVML_COUNT": "4"}


def commands(page):
    """The commands of a page, without prompts, comments and answers."""
    text = re.sub(r"<!--.*?-->", "", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.S)
    found = []
    for block in BLOCK.findall(text):
        lines = block.splitlines()
        prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += [re.sub(r"\s+# .*", "", line) for line in prompted or lines]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found += [" ".join(code.split()) for code in INLINE.findall(prose)]
    return found


COMMANDS = list(dict.fromkeys(command for page in PAGES for command in commands(page)))


def as_written(command):
    return command


def planned(command):
    """With -n of Snakemake."""
    if not command.startswith("make"):
        return f"{command} -n"
    target, _, arguments = command.partition(" ARGS=")
    return f"""{target} ARGS="-n {arguments.strip('"')}\""""


def planned_as_mine(command):
    return planned(command)[:-1] + ' --config dataset=mine"'


def by_make_alone(command):
    """With -n of make: the target is there, and each of its recipes can be written out."""
    return command.replace("make ", "make -n ", 1)


def with_a_python(command):
    return f"{command} --vllm-python .venv/bin/python"


def of_a_dataset(command):
    return f"{command} h100-turns"


def nothing(command):
    return None


NETWORK = "it installs into .venv, from the network"
WAYS = [
    # (pattern of the whole command, how, why not as written)
    (r"make lab", planned, "it measures"),
    (r"make lab (GPUS=2 )?ARGS=\"--configfile .*", planned, "it measures on a GPU"),
    (r"make lab ARGS=results/.*", planned_as_mine, "it measures; the record is of no data set"),
    (r"make report", planned, "whole in test_terminal.py, and the same rules in test_snakemake.py"),
    (r"make (docs|bench.*|fuzz|lock|clean)", by_make_alone, "minutes, and it writes files here"),
    (r"make (setup-dev|setup-kubernetes)", by_make_alone, NETWORK),
    (r"make (audit)", by_make_alone, "it asks a registry; .ci/run runs it"),
    (r"make lint", by_make_alone, "test_style.py runs each of its tools"),
    (r"make format", by_make_alone, "it writes sources; test_style.py checks what it would change"),
    (r"make test.*", by_make_alone, "it runs these very tests"),
    (r"make setup", as_written, None),
    (r"pre-commit install", nothing, "pre-commit is not among our tools; it is optional"),
    (r"cudagraph-lab (ladder|startup-log|extrapolate) .*(server\.log|--bandwidth).*",
     nothing, "test_ask.py compares each answer on docs/ask.md"),
    (r"\.venv/bin/snakemake --workflow-profile .*", planned, "there is no cluster"),
    (r"\.venv/bin/snakemake --cores 1 --config measure=none .*", as_written, None),
    (r"\.venv/bin/cudagraph-lab build-environment .*", with_a_python, "it would take 14 GiB"),
    (r"cudagraph-lab calibrate", of_a_dataset, "its name alone, in a sentence"),
    (r"\.venv/bin/python tests/compare_ledgers\.py .*", as_written, None),
    (r"(\.venv/bin/)?cudagraph-lab .*", as_written, None),
    (r"snakemake -n", as_written, None),
    (r"snakemake --cores 1 --resources gpu=1 --configfile own\.yaml", planned, "it measures"),
]  # fmt: skip


def way(command):
    return next(((how, why) for pattern, how, why in WAYS if re.fullmatch(pattern, command)), None)


def test_commands_are_found():
    assert len(COMMANDS) > 30
    assert {"make lab", "make report"} <= set(COMMANDS)
    assert any("profiles/slurm" in command for command in COMMANDS)


@pytest.mark.parametrize("number", range(len(WAYS)))
def test_each_way_is_that_of_a_command_and_says_why_it_is_not_as_written(number):
    how, why = WAYS[number][1:]
    assert (why is None) == (how is as_written)
    assert any(re.fullmatch(WAYS[number][0], command) for command in COMMANDS)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with the files that the commands name, on a machine with a pretended GPU."""
    clone = clone_into(tmp_path_factory.mktemp("commands") / "clone")
    shutil.copy(clone / "docs/examples/server.log", clone / "server.log")
    mine, *_ = re.findall(r"^```yaml\n(.*?)^```", (clone / "README.md").read_text(), re.S | re.M)
    assert "few-sizes" in mine
    (clone / "mine.yaml").write_text(mine)
    (speculating,) = re.findall(
        r"^```yaml\n(.*?)^```", (clone / "docs/speculation.md").read_text(), re.S | re.M
    )
    (clone / "own.yaml").write_text(speculating)
    for name in ("before", "after"):
        (clone / name / "results").mkdir(parents=True)
        (clone / name / "results" / "ledger.json").write_text('{"numbers": []}')
    return clone


def run(clone, command):
    for name, place in PLACES.items():
        command = command.replace(name, place)
    path = os.pathsep.join([str(clone / ".venv" / "bin"), os.environ["PATH"]])
    packages = os.pathsep.join(map(str, [clone / "workflow", clone / "tests/fixtures/stub_nvml"]))
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")} | {
        **own_device(clone), **GPUS, "PATH": path, "PYTHONPATH": packages,
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-c", command],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_docs_runs(clone, command):
    found = way(command)
    assert found is not None, f"no entry of WAYS is for it: {command}"
    how, _ = found
    runs = how(command)
    if runs is None:
        return
    if "set-aside" in runs:
        record = Path("resources/datasets/h100-opt-125m/runs/eager/rep2.json")
        place = clone / PLACES["results/<dataset>/runs/<arm>/rep2.json"]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clone / record, place)
    done = run(clone, runs)
    assert done.returncode == 0, f"{runs}\n{done.stdout[-3000:]}"
    assert "Traceback" not in done.stdout


def test_a_command_that_is_wrong_would_be_found(clone):
    assert run(clone, planned('make lab ARGS="--configfile config/truns.yaml"')).returncode != 0
    assert run(clone, by_make_alone("make raport")).returncode != 0
    assert way("make raport") is None


def test_the_yaml_of_the_readme_plans_what_it_says(clone):
    """Its own model, from a directory with a config.json."""
    _, model = re.findall(r"^```yaml\n(.*?)^```", (clone / "README.md").read_text(), re.S | re.M)
    asked = yaml.safe_load(model)
    asked["model"]["architecture"] = "tests/models/opt-2-layers"
    (clone / "model.yaml").write_text(yaml.safe_dump(asked))
    done = run(clone, 'make lab ARGS="-n --configfile model.yaml"')
    assert done.returncode == 0, done.stdout
    assert "results/my-model/runs/graphs/rep3.json" in done.stdout
