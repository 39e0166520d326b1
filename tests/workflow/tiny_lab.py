"""Directories in which the workflow measures models of two layers with vLLM on a CPU."""

import os
from unittest import mock

import yaml

from tests.own_device import own_device
from tests.tiny_config import vllm_config

ARMS = ("eager", "compiled")
ITERATIONS = 2
DRAFTS = 3  # tokens that a draft model proposes


class Lab:
    """A directory in which the workflow runs, with a configuration of its own."""

    dataset = "tiny"
    shipped: tuple[str, ...] = ("config",)  # the files of config/ below that configuration

    def __init__(self, directory, repository, run):
        self.directory, self.repository, self._run = directory, repository, run

    def config(self):
        """What is laid over the shipped files."""
        return vllm_config("tiny", iterations=ITERATIONS)

    def run(self, *arguments, snakefile=None, under=(), **changes):
        config = self.config()
        for key, value in changes.items():
            config[key] = config.get(key, {}) | value if isinstance(value, dict) else value
        (self.directory / "tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        with mock.patch.dict(os.environ, own_device(self.directory)):
            return self._run(
                *arguments,
                directory=self.directory,
                snakefile=snakefile or self.repository / "Snakefile",
                configfiles=(
                    *(self.repository / "config" / f"{name}.yaml" for name in self.shipped),
                    self.directory / "tiny.yaml",
                ),
                timeout_s=1800,
                under=under,
            )

    @property
    def runs(self):
        return self.runs_of(self.dataset)

    def runs_of(self, dataset):
        return self.directory / "results" / dataset / "runs"


class SizesLab(Lab):
    """The same through config/sizes.yaml, with two small shapes in place of its models.

    The first has its arms apart, the other in turn and with one layer of its two; both are profiled
    after their timed calls. The first one's data set is `dataset`.
    """

    dataset = "tiny-opt"
    shipped = ("config", "sizes")

    def config(self):
        path = self.repository / "config" / "sizes.yaml"
        sizes = yaml.safe_load(path.read_text(encoding="utf-8"))["sizes"]
        models = self.repository / "tests" / "models"
        opt, llama = (
            {"name": f"tests/{name}", "architecture": str(models / name)}
            for name in ("opt-2-layers", "llama-2-layers")
        )
        return {
            **super().config(),
            "model": {"weights": "dummy"},
            "seconds_per_repeat": None,
            "sizes": {
                **dict.fromkeys(sizes),
                "opt": {"model": opt},
                "too-large": {"model": {"name": "meta-llama/Llama-3.1-70B"}},
                "llama": {
                    "model": llama,
                    "engine_args": {"hf_overrides": {"num_hidden_layers": 1}},
                    "order": "in_turn",
                },
            },
        }
