"""Records that nobody measured, for timing alone: simulated, and said to be, in every one."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from cudagraph_lab import REPOSITORY, design
from cudagraph_lab.files import write_json
from cudagraph_lab.records import Record, write_record
from cudagraph_lab.simulation import Truth, simulate

DATASET = f"{design.SIMULATED}-bench"


@contextmanager
def unsynced() -> Any:
    """Without waiting for the disk after each file: nobody will miss these after a power cut."""
    with mock.patch.object(os, "fsync", lambda descriptor: None):
        yield


def configuration() -> dict[str, Any]:
    """The shipped configuration, completed."""
    path = REPOSITORY / "config" / "config.yaml"
    return design.complete_config(yaml.safe_load(path.read_text(encoding="utf-8")))


def grown(directory: Path, records: int) -> None:
    """A simulated data set of so many records, in three arms, under `directory`/results."""
    with unsynced():
        simulate(Truth(), DATASET, directory / "results" / DATASET, records // 3, 3, seed=1)


def designed(directory: Path, config: Mapping[str, Any]) -> None:
    """All that `make lab` would measure on a CPU, simulated, so that nothing is left to measure."""
    home = directory / "results" / DATASET
    chosen = {"weights": "dummy", "revision": None}
    truth = Truth()
    with unsynced():
        for arm, repeat in design.runs_to_measure(config, "cpu"):
            request = design.request_of_run(config, "cpu", arm, repeat, chosen)
            tokens = request["workload"]["output_tokens"]
            cells = [
                {
                    "batch": batch,
                    "calls": [
                        {
                            "role": "timed",
                            "seconds": truth.step_s(arm, batch) * tokens * (1 + 0.01 * repeat),
                            "tokens": batch * tokens,
                        }
                    ]
                    * request["iterations"],
                }
                for batch in request["workload"]["batch_sizes"]
            ]
            record = Record.model_validate(
                {
                    "dataset": DATASET, "arm": arm, "repeat": repeat, "kind": "simulated",
                    "status": "ok", "source": "simulated, for the bench", "measured_at": None,
                    "request": request, "resolved": None, "startup": None, "cells": cells,
                    "environment": {"platform": "cpu", "device": "simulated", "vllm": None},
                }
            )  # fmt: skip
            write_record(record, home / "runs" / arm / f"rep{repeat}.json")
        for name in ("weights", "environment"):
            write_json(home / f"{name}.json", {})
        write_json(home / "predictions.registered.json", {"predictions": {}})


def clone_into(directory: Path) -> Path:
    """The project as it is, committed or not, with the .venv of this one and nothing built.

    Times of files are kept, so that `make` finds .venv as new as it is.
    """
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, directory / name)
    (directory / ".venv").symlink_to(REPOSITORY / ".venv")
    return directory
