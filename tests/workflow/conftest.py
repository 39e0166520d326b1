"""What the tests of measurements with vLLM itself share: one directory, measured once."""

import shutil

import pytest

from tests.workflow.tiny_lab import Lab


@pytest.fixture(scope="session")
def measured(tmp_path_factory, repository, run_snakemake):
    """The directory after the whole workflow ran in it, and what Snakemake said."""
    lab = Lab(tmp_path_factory.mktemp("measured"), repository, run_snakemake)
    done = lab.run()
    assert done.returncode == 0, done.stdout[-6000:]
    return lab, done.stdout


@pytest.fixture
def lab(measured, tmp_path, repository, run_snakemake):
    """A copy of that directory, to do something to."""
    shutil.copytree(measured[0].directory, tmp_path / "lab")
    return Lab(tmp_path / "lab", repository, run_snakemake)
