"""Records that nobody measured, for timing alone: simulated, and said to be, in every one."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.model import Config
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design import runs as design
from cudagraph_lab.design.predictions import register
from cudagraph_lab.files import write_json
from cudagraph_lab.models.simulation import Truth
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.store import write_record

DATASET = f"{design.SIMULATED}-bench"


@contextmanager
def unsynced() -> Iterator[None]:
    """Without waiting for the disk after each file: nobody will miss these after a power cut."""
    with mock.patch.object(os, "fsync", lambda descriptor: None):
        yield


def configuration() -> Config:
    """The shipped configuration."""
    path = REPOSITORY / "config" / "config.yaml"
    return parse_config(yaml.safe_load(path.read_text(encoding="utf-8")))


def designed(directory: Path, config: Config, platform: str) -> list[Path]:
    """Under `directory`/results, all that `make lab` would measure on a platform, simulated.

    So nothing is left to measure there. Every call has what a measured one has: a role, times,
    seconds per step and to the first token of every request. Returns the records' paths.
    """
    home = directory / "results" / DATASET
    paths = []
    with unsynced():
        for arm, repeat in design.runs_to_measure(config, platform):
            paths.append(home / "runs" / arm / f"rep{repeat}.json")
            write_record(_record(config, platform, arm, repeat), paths[-1])
        for name in ("weights", "environment"):
            write_json(home / f"{name}.json", {})
        register([], DATASET, home / "predictions.registered.json")
    return paths


def _record(config: Config, platform: str, arm: str, repeat: int) -> Record:
    """One run of the design as the additive launch model would have it, with noise."""
    chosen = {"weights": "dummy", "revision": None}
    request = design.request_of_run(config, platform, arm, repeat, chosen)
    rng = random.Random(f"{arm}/{repeat}")  # noqa: S311 - not for secrets
    truth, tokens = Truth(), request["workload"]["output_tokens"]

    def call(role: str, batch: int, step_s: float) -> dict[str, Any]:
        step_s *= rng.lognormvariate(0, truth.within_sd)
        return {
            "role": role, "seconds": step_s * (tokens + 5), "tokens": batch * tokens,
            "decode_s_per_step": [step_s] * batch, "first_token_s": [5 * step_s] * batch,
        }  # fmt: skip

    roles = ["first", *["warmup"] * request["warmups"], *["timed"] * request["iterations"]]
    cells = []
    for batch in request["workload"]["batch_sizes"]:
        step_s = truth.step_s(arm, batch) * rng.lognormvariate(0, truth.between_sd)
        cells.append({"batch": batch, "calls": [call(role, batch, step_s) for role in roles]})
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
        minutes=3 * repeat + request["order"].index(arm)
    )
    return Record.model_validate(
        {
            "dataset": DATASET, "arm": arm, "repeat": repeat, "kind": "simulated",
            "status": "ok", "source": "simulated, for the bench",
            "measured_at": when.isoformat(timespec="seconds"),
            "request": request, "resolved": None, "startup": None, "cells": cells,
            "environment": {"platform": platform, "device": "simulated", "vllm": None},
        }
    )  # fmt: skip


def clone_into(directory: Path) -> Path:
    """The project as it is, committed or not, with the .venv of this one and nothing built.

    Whatever `make` makes .venv from is dated back, so that no copy ever changes the one .venv.
    """
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, directory / name)
    for name in ("envs/pipeline.txt", "envs/dev.txt", "pyproject.toml"):
        os.utime(directory / name, (0, 0))
    (directory / ".venv").symlink_to(REPOSITORY / ".venv")
    return directory
