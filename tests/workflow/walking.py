"""A clone in which a user calls `make` with a file of their own; a stand-in answers for vLLM."""

import os
import subprocess
from types import SimpleNamespace

import yaml

from bench.generated import clone_into
from tests.own_device import own_device
from tests.tiny_config import tiny_config

DATASET, ARMS = "walked", ("eager", "compiled")
OUT_OF_MEMORY = {"max_num_seqs": 4096}  # with as many the stand-in has no memory left


# What a `make` around the tests hands to the one that is tested, and what colours its lines.
NOT_OURS = {"FORCE_COLOR", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}


class Walk:
    """A clone, in which `make` is called with a file of the user's own."""

    def __init__(self, directory, repository):
        self.directory = clone_into(directory / "clone")
        self.mine = tiny_config(DATASET)
        self.environment = {k: v for k, v in os.environ.items() if k not in NOT_OURS} | {
            **own_device(directory),
            "PYTHONPATH": os.pathsep.join(
                map(str, [self.directory / "workflow", repository / "tests/fixtures/stub_vllm"])
            ),
            "STUB_VLLM": "works",
        }

    def run(self, *command):
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert "Traceback" not in done.stdout, done.stdout[-4000:]
        return done

    def make(self, target, *files):
        (self.directory / "mine.yaml").write_text(yaml.safe_dump(self.mine))
        done = self.run("make", target, f"ARGS={' '.join(['--configfile mine.yaml', *files])}")
        return SimpleNamespace(
            returncode=done.returncode,
            said=done.stdout,
            measured={
                line.split(" rep ")[0] for line in done.stdout.splitlines()
                if line.endswith(": starting")
            },
            lines={
                line for line in done.stdout.splitlines() if line.startswith("cudagraph-lab: ")
            },
            records=self.records(),
            ledger=self.read("results/ledger.json"),
            page=self.read("results/report/lab_report.md"),
        )  # fmt: skip

    def read(self, name):
        path = self.directory / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def records(self):
        runs = self.directory / "results" / DATASET / "runs"
        return {path.parent.name: path.read_bytes() for path in runs.glob("*/rep1.json")}

    def ask_for(self, arm, **arguments):
        self.mine.setdefault("arms", {})[arm] = {
            "engine_args": {"enforce_eager": True, **arguments}
        }
        contrast = {"numerator": arm, "denominator": "eager"}
        self.mine.setdefault("contrasts", {})[arm] = contrast
