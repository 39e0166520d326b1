"""A directory in which the workflow measures a model of two layers with vLLM on a CPU."""

import os
from unittest import mock

import yaml

from tests.own_device import own_device
from tests.tiny_config import vllm_config

ARMS = ("eager", "compiled")
ITERATIONS = 2


class Lab:
    """A directory in which the workflow runs, with a configuration of its own."""

    def __init__(self, directory, repository, run):
        self.directory, self.repository, self._run = directory, repository, run

    def run(self, *arguments, snakefile=None, under=(), **changes):
        config = vllm_config("tiny", iterations=ITERATIONS)
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
