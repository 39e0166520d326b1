"""Snakemake's main process leaves the processor to the measurement while other runs are queued."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from cudagraph_lab import REPOSITORY

SECONDS = 60  # that the stub measurement may take; it is ended before
WINDOW = 10  # seconds in which the main process is looked at
MOST = 0.02  # of a core, by the main process, beside a measurement


@pytest.mark.parametrize("profile", ["default", "slurm", "kubernetes"])
def test_every_profile_leaves_a_second_between_looks_at_the_queue(profile):
    path = REPOSITORY / "profiles" / profile / "profile.yaml"
    assert yaml.safe_load(path.read_text("utf-8"))["max-jobs-per-timespan"] == "100/1s"


@pytest.fixture
def lab(tmp_path):
    """A directory where all is settled, so that only measurements are left, of a stub."""
    data = tmp_path / "results" / "quiet"
    data.mkdir(parents=True)
    for name in ("predictions.registered", "environment"):
        (data / f"{name}.json").write_text("{}")
    weights = {"weights": "dummy", "revision": None, "path": str(tmp_path)}
    (data / "weights.json").write_text(json.dumps(weights))
    # The stub waits as a measurement waits for the device, and writes how long it did.
    stub = tmp_path / "stub" / "vllm_python"
    stub.parent.mkdir()
    stub.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep {SECONDS}\n")
    stub.chmod(0o755)
    mine = {
        "measure": "cpu",
        "dataset": "quiet",
        "vllm_python": str(stub),
        "cache_dir": str(tmp_path / "cache"),
        "compare": [],
        "order": "apart",
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    return tmp_path


def test_the_main_process_is_quiet_beside_a_measurement(lab):
    records = [f"results/quiet/runs/{a}/rep{k}.json" for a in ("eager", "compiled") for k in (1, 2)]
    command = [sys.executable, "-m", "snakemake", *records, "--cores", "1", "--resources", "gpu=1"]
    command += ["--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(lab)]
    command += ["--configfile", *map(str, (REPOSITORY / "config/config.yaml", lab / "mine.yaml"))]
    environment = os.environ | {"XDG_CACHE_HOME": str(lab / "user")}
    with (lab / "said").open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env=environment, start_new_session=True
        )
    main = psutil.Process(process.pid)
    try:
        _wait_for(lab / "started", process)
        time.sleep(2)  # what the start of the job itself takes is not meant
        before, began = _seconds_of(main), time.monotonic()
        time.sleep(WINDOW)
        used, passed = _seconds_of(main) - before, time.monotonic() - began
        children = main.children(recursive=True)
        assert any("sleep" in child.name() for child in children), "the stub was not at work"
    finally:
        for child in [*main.children(recursive=True), main]:
            child.kill()
        process.wait()
    assert used / passed < MOST, f"{used:.2f} s of a processor in {passed:.0f} s"


def _seconds_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None, (path.parent / "said").read_text("utf-8")
        time.sleep(0.2)
