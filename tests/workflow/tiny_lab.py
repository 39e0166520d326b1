"""A directory in which the workflow measures a model of two layers with vLLM on a CPU."""

import os
from typing import Any
from unittest import mock

import yaml

from tests.own_device import CACHE, SHARE_OF_MEMORY, own_device

ARMS = ("eager", "compiled")
OUTPUT_TOKENS, BATCH_SIZES, ITERATIONS = 8, [1, 4], 2


class Lab:
    """A directory in which the workflow runs, with a configuration of its own."""

    def __init__(self, directory, repository, run):
        self.directory, self.repository, self._run = directory, repository, run

    def run(self, *arguments, snakefile=None, under=(), **changes):
        config: dict[str, Any] = {
            "measure": "cpu",
            "dataset": "tiny",
            "compare": [],
            "cache_dir": CACHE,
            "model": {
                "name": "tests/opt-2-layers",
                "weights": "dummy",
                "architecture": str(self.repository / "tests" / "models" / "opt-2-layers"),
            },
            "workload": {
                "output_tokens": OUTPUT_TOKENS,
                "batch_sizes": BATCH_SIZES,
                "max_model_len": 64,
                "gpu_memory_utilization": SHARE_OF_MEMORY,
            },
            "order": "apart",
            "repeats": 1,
            "iterations": ITERATIONS,
        }
        for key, value in changes.items():
            config[key] = config.get(key, {}) | value if isinstance(value, dict) else value
        (self.directory / "tiny.yaml").write_text(yaml.safe_dump(config))
        with mock.patch.dict(os.environ, own_device(self.directory)):
            return self._run(
                *arguments,
                directory=self.directory,
                snakefile=snakefile or self.repository / "Snakefile",
                configfiles=(
                    self.repository / "config" / "config.yaml",
                    self.directory / "tiny.yaml",
                ),
                timeout_s=1800,
                under=under,
            )

    @property
    def runs(self):
        return self.directory / "results" / "tiny" / "runs"
