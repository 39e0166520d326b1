"""What the tests of measurements with vLLM itself share: two directories, each measured once."""

import os
import shutil
from unittest import mock

import pytest
import yaml

from tests.own_device import EAGER
from tests.workflow.tiny_lab import DRAFTS, Lab, SizesLab


@pytest.fixture(scope="session")
def measured(tmp_path_factory, repository, run_snakemake):
    """The directory after the whole workflow ran in it, and what Snakemake said."""
    lab = SizesLab(tmp_path_factory.mktemp("measured"), repository, run_snakemake)
    done = lab.run()
    assert done.returncode == 0, done.stdout[-6000:]
    return lab, done.stdout


@pytest.fixture
def lab(measured, tmp_path, repository, run_snakemake):
    """A copy of that directory, to do something to."""
    shutil.copytree(measured[0].directory, tmp_path / "lab")
    return SizesLab(tmp_path / "lab", repository, run_snakemake)


@pytest.fixture(scope="session")
def in_turn(tmp_path_factory, repository, run_snakemake):
    """The directory after three eager arms took turns, up to the report.

    The lab's version of vLLM, the newest one with a lock for the CPU, and the first with a draft
    model of one layer for the target's two.
    """
    lab = Lab(tmp_path_factory.mktemp("in-turn"), repository, run_snakemake)
    upgrade = yaml.safe_load((repository / "config" / "upgrade.yaml").read_text(encoding="utf-8"))
    models = repository / "tests" / "models"
    draft = {
        "method": "draft_model",
        "model": str(models / "llama-1-layer"),
        "num_speculative_tokens": DRAFTS,
    }
    with mock.patch.dict(os.environ, EAGER):
        done = lab.run(
            model={"name": "tests/llama-2-layers", "architecture": str(models / "llama-2-layers")},
            order="in_turn",
            engine_args_cpu={"dtype": "bfloat16"},
            profile_after=True,
            arms={
                **dict.fromkeys(["compiled", "graphs"]),
                "eager-new": upgrade["arms"]["eager-new"],
                "spec": {"engine_args": {"enforce_eager": True, "speculative_config": draft}},
            },
            contrasts={
                **dict.fromkeys(["bundle", "graph", "compile"]),
                "upgrade-eager": upgrade["contrasts"]["upgrade-eager"],
                "drafts": {"numerator": "spec", "denominator": "eager", "role": "speculation"},
            },
            headline="upgrade-eager",
        )
    assert done.returncode == 0, done.stdout[-6000:]
    return lab
