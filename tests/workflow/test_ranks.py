"""Two ranks of tensor parallelism with vLLM on this machine's CPU, through the real workflow.

The first run is killed when both ranks are there; the second one, in the same directory, measures.
"""

import os
import subprocess
import sys
import time
from unittest import mock

import psutil
import pytest
import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.records.store import read_record
from tests.own_device import EAGER, own_device
from tests.tiny_config import vllm_config

pytestmark = pytest.mark.vllm

RANKS = 2
RECORD = "results/ranks/runs/eager/rep1.json"
PATIENCE_S = 600


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ranks")
    mine = vllm_config(
        "ranks",
        "llama-2-layers",
        iterations=1,
        warmups=0,
        engine_args={"tensor_parallel_size": RANKS},
    )
    (directory / "mine.yaml").write_text(yaml.safe_dump(mine))
    return directory


@pytest.fixture(scope="module")
def environment(directory):
    """The environment variables of both runs."""
    return {**os.environ, **own_device(directory), **EAGER}


@pytest.fixture(scope="module")
def killed(directory, environment):
    """What a measuring process had started when it was killed, both ranks among it; who is left."""
    command = [sys.executable, "-m", "snakemake", RECORD, "--cores", "1", "--resources", "gpu=1"]
    command += ["--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(directory)]
    files = (REPOSITORY / "config/config.yaml", directory / "mine.yaml")
    command += ["--configfile", *map(str, files)]
    with (directory / "said").open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env=environment, start_new_session=True
        )
    main = psutil.Process(process.pid)
    try:
        measuring = _with_ranks(main, directory / RECORD.replace(".json", ".log"))
        seen = measuring.children(recursive=True)
        measuring.kill()
        _, alive = psutil.wait_procs(seen, timeout=60)
        process.wait(timeout=120)
    finally:
        left = main.children(recursive=True) if main.is_running() else []
        for one in [*left, process]:
            one.kill()
        process.wait()
    return seen, alive


def _with_ranks(main, log):
    """The measuring process, once each rank has written to the log."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and main.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.2)
        said = log.read_text(errors="replace") if log.exists() else ""
        if all(f"(Worker_TP{rank} " in said for rank in range(RANKS)):
            return next(
                child
                for child in main.children(recursive=True)
                if child.cmdline()[1:4] == ["-m", "cudagraph_lab.cli", "measure"]
            )
    raise AssertionError(
        f"the ranks did not start: {(log.parents[4] / 'said').read_text()[-2000:]}"
    )


@pytest.fixture(scope="module")
def record(killed, directory, environment, run_snakemake):
    """The record of the second run, which waits for the device if anybody still holds it."""
    files = (REPOSITORY / "config/config.yaml", directory / "mine.yaml")
    with mock.patch.dict(os.environ, environment):
        done = run_snakemake(RECORD, directory=directory, configfiles=files, timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stdout[-4000:]
    return read_record(directory / RECORD, "ranks")


def test_a_killed_measurement_leaves_no_rank_behind(killed):
    seen, alive = killed
    assert len(seen) >= 2 + RANKS  # the harness, the engine's core and the ranks
    assert alive == []


def test_each_rank_is_in_the_record_and_they_are_alike(record):
    assert (record.status, record.failure) == ("ok", None)
    assert record.resolved.tensor_parallel_size == RANKS
    assert record.resolved.all_reduce == "shared memory"
    assert [one.rank for one in record.ranks] == list(range(RANKS))
    assert [one.differs for one in record.ranks] == [[]] * RANKS


def test_the_ranks_divide_the_cores(record):
    bound = record.environment.variables["VLLM_CPU_OMP_THREADS_BIND"].split("|")
    assert len(bound) == RANKS
    cores = [int(core) for part in bound for core in part.split(",")]
    assert set(cores) <= os.sched_getaffinity(0)
    if len(os.sched_getaffinity(0)) >= RANKS:
        assert len(set(cores)) == len(cores)
