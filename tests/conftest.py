"""What several tests need: shipped records as real input, small made-up ones, and Snakemake."""

import copy
import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.read import parse_config
from tests.slurm.cluster import durations
from tests.warm_snakemake import WarmSnakemake

DATASETS = REPOSITORY / "resources" / "datasets"
CONFIG = REPOSITORY / "config" / "config.yaml"

# Tests start hundreds of processes; each would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

Edit = Callable[[dict[str, Any]], None]

# The same code is always green or always red; `make fuzz` looks further, at random.
FUZZ_EXAMPLES = 2500
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", max_examples=FUZZ_EXAMPLES, deadline=None, print_blob=True)
settings.load_profile("steady")


# Where tests run in several processes, those of a file share one, since they share what its
# fixtures made. These are named, as they begin in this order: first those that wait, for boots
# of vLLM or for Slurm; then what takes longest; the many short ones last.
GROUPS = {
    "workflow/test_measured_sizes.py": "vllm",
    "workflow/test_measurement.py": "vllm",
    "workflow/test_own_arm.py": "vllm",
    "slurm": "slurm",
    "faults": "faults",
    "workflow/test_upgrade.py": "in turn",
    "workflow/test_speculation.py": "in turn",
    "workflow/test_ranks.py": "ranks",
    "workflow/test_walk.py": "walk",
    "browser": "browser",
    "workflow/test_terminal.py": "terminal",
    "workflow/test_turns.py": "turns",
    "test_style.py": "style",
    "workflow/test_snakemake.py": "snakemake",
    "workflow/test_quiet.py": "quiet",
    "workflow/test_commands.py": "commands",
    "workflow/test_clusters.py": "clusters",
    "workflow/test_bad_input.py": "bad input",
    "unit/report/test_renaming.py": "renaming",
    "unit/models": "models",
}
ORDER = list(dict.fromkeys(GROUPS.values()))


def group_of(path: str) -> str:
    """The group of a test file, given relative to tests/: its own name, unless it is in GROUPS."""
    names = (name for name in GROUPS if path == name or path.startswith(f"{name}/"))
    return next((GROUPS[name] for name in names), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each group of files to one process, as a whole and in the order of GROUPS."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.partition("::")[0].removeprefix("tests/"))

    config.option.loadscopereorder = False  # by the number of tests it would be
    return ByGroup(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their directory; let the fuzz profile win over their numbers of examples."""
    for item in items:
        directory = item.path.relative_to(REPOSITORY / "tests").parts[0]
        if directory in ("browser", "slurm", "faults"):
            item.add_marker(directory)
    if hasattr(config, "workerinput"):

        def place(item: pytest.Item) -> int:
            group = group_of(item.path.relative_to(REPOSITORY / "tests").as_posix())
            return ORDER.index(group) if group in ORDER else len(ORDER)

        items.sort(key=place)
    if config.getoption("--hypothesis-profile") != "fuzz":
        return
    for item in items:
        test = getattr(item, "obj", None)
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if own is not None:
            test._hypothesis_internal_use_settings = settings(
                own, max_examples=FUZZ_EXAMPLES, derandomize=False
            )


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["slurm"] = durations


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    durations.update(getattr(node, "workeroutput", {}).get("slurm", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if durations:
        terminalreporter.section("Slurm, from nothing: how long each part took")
        for part, seconds in {**durations, "all of it": sum(durations.values())}.items():
            terminalreporter.write_line(f"{seconds:6.1f} s  {part}")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The directory of the shipped data sets."""
    return DATASETS


@pytest.fixture
def config() -> dict[str, Any]:
    """The shipped configuration with its defaults, as YAML has it; a copy to change."""
    return parse_config(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))).model_dump()


def checksum(body: dict[str, Any]) -> str:
    """SHA-256 of the record as compact JSON with sorted keys: written down here once more."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def rewrite(path: Path, edit: Edit) -> Path:
    """Change a record in place and give it the checksum that fits."""
    body = json.loads(path.read_text(encoding="utf-8"))["record"]
    edit(body)
    path.write_text(json.dumps({"sha256": checksum(body), "record": body}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def checksum_of() -> Callable[[dict[str, Any]], str]:
    return checksum


@pytest.fixture(scope="session")
def edit_record() -> Callable[[Path, Edit], Path]:
    return rewrite


@pytest.fixture
def h100(tmp_path: Path) -> Path:
    """A copy of the records measured on an H100, to change: DIRECTORY/<arm>/rep<k>.json."""
    directory = tmp_path / "h100-opt-125m" / "runs"
    shutil.copytree(
        DATASETS / "h100-opt-125m" / "runs", directory, ignore=shutil.ignore_patterns("*.log")
    )
    return directory


# A small valid record: batch 1 and 4, one timed call each, on a CPU.
SMALL: dict[str, Any] = {
    "schema_version": 1,
    "dataset": "small",
    "arm": "eager",
    "repeat": 1,
    "kind": "measured",
    "status": "ok",
    "source": "a test",
    "measured_at": "2026-05-04T10:00:00+00:00",
    "request": {
        "model": "tests/opt-2-layers",
        "weights": "dummy",
        "revision": None,
        "workload": {
            "prompt": None,
            "prompt_token_ids": [2, 133],
            "output_tokens": 8,
            "batch_sizes": [1, 4],
            "max_model_len": 64,
            "gpu_memory_utilization": 0.5,
        },
        "engine_args": {"enforce_eager": True},
        "purpose": "timed",
        "compile_cache": "shared",
        "iterations": 1,
        "warmups": 0,
        "seed": 1,
        "order": ["eager"],
    },
    "resolved": None,
    "startup": None,
    "cells": [
        {
            "batch": batch,
            "calls": [
                {"role": role, "seconds": seconds, "tokens": 8 * batch}
                for role, seconds in (("first", 2.0), ("timed", 0.5))
            ],
        }
        for batch in (1, 4)
    ],
    "environment": {"platform": "cpu", "device": "a processor", "vllm": "0.22.1"},
}


@pytest.fixture
def small_record(tmp_path: Path) -> Callable[..., Path]:
    """Write the small record, with changes, where a record of that arm and repeat belongs."""

    def write(edit: Edit | None = None, **fields: Any) -> Path:
        body = copy.deepcopy(SMALL) | fields
        if edit is not None:
            edit(body)
        path: Path = tmp_path / "small" / "runs" / body["arm"] / f"rep{body['repeat']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"sha256": checksum(body), "record": body}), encoding="utf-8")
        return path

    return write


def snakemake(
    warm: WarmSnakemake,
    *arguments: str | Path,
    directory: Path,
    snakefile: Path = REPOSITORY / "Snakefile",
    configfiles: tuple[Path, ...] = (CONFIG,),
    timeout_s: float = 600,
    under: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run the workflow with one core in `directory`; standard output and error come as one.

    `under` is a command that runs the one that follows it.
    """
    command = [*map(str, arguments), "--cores", "1"]
    command += ["--directory", str(directory), "--snakefile", str(snakefile)]
    if configfiles:
        command += ["--configfile", *map(str, configfiles)]
    # Snakemake draws no colours into a pipe, but obeys these.
    environment = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"}
    if not under:
        done: subprocess.CompletedProcess[str] = warm.run(command, environment, timeout_s)
        return done
    return subprocess.run(
        [*under, sys.executable, "-m", "snakemake", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        env=environment,
    )


@pytest.fixture(scope="session")
def run_snakemake() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    warm = WarmSnakemake()
    yield functools.partial(snakemake, warm)
    warm.close()


@pytest.fixture(scope="session")
def from_records(
    tmp_path_factory: pytest.TempPathFactory,
    run_snakemake: Callable[..., subprocess.CompletedProcess[str]],
) -> Path:
    """A directory with the whole report of the shipped records, made once for all processes."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory = shared / "from-records"
    with (shared / "from-records.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            done = run_snakemake("--config", "measure=none", directory=shared / "making")
            assert done.returncode == 0, done.stdout
            (shared / "making" / "said.txt").write_text(done.stdout, encoding="utf-8")
            (shared / "making").rename(directory)
    return directory


def count_jobs(text: str) -> dict[str, int]:
    """How many jobs of each rule a dry-run would start."""
    table = text.rpartition("Job stats:")[2].partition("\n\n")[0]
    rows = [line.split() for line in table.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


@pytest.fixture(scope="session")
def jobs() -> Callable[[str], dict[str, int]]:
    return count_jobs


def clone_into(directory: Path) -> Path:
    """A clone with what is not committed yet laid over it, and nothing that git ignores."""
    git = ["git", "-C", str(REPOSITORY)]
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(directory)], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, target = REPOSITORY / name, directory / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        else:
            target.unlink(missing_ok=True)
    return directory


@pytest.fixture(scope="session")
def make_clone() -> Callable[[Path], Path]:
    return clone_into
