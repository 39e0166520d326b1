"""What `make test` says before it runs anything, where something is missing."""

import os
import shutil
from pathlib import Path

import pytest

from tests import needs

EVERYTHING = {"chromium", "npm", "slurmctld", "slurmd", "munged", "g++"}


def test_nothing_is_missing_where_all_is_here():
    assert needs.missing_packages(lambda name: name in EVERYTHING) == []
    assert needs.missing_packages(lambda name: name in EVERYTHING - {"chromium"}) == [
        "chromium",
        "fonts-dejavu-core",
    ]
    assert (
        needs.missing_packages(lambda name: name in EVERYTHING - {"chromium"} | {"google-chrome"})
        == []
    )


@pytest.fixture
def bare(monkeypatch):
    """A machine that has nothing, and what is asked of its package manager."""
    asked = []

    def install(packages):
        asked.append(packages)
        return True

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(needs, "install", install)
    return asked


@pytest.mark.parametrize(("user", "debian"), [(1000, True), (1000, False), (0, False)])
def test_all_that_is_missing_is_said_at_once_with_the_command(
    bare, monkeypatch, capsys, user, debian
):
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setattr(Path, "exists", lambda path: debian)
    assert needs.main([]) == 1
    said = capsys.readouterr().err
    packages = "chromium fonts-dejavu-core npm slurm-wlm slurmctld slurmd munge g++"
    assert f"apt-get install {packages}\n" in said
    assert "make test ARGS='-m \"not browser and not slurm\"'" in said
    assert bare == []


def test_on_debian_as_root_it_is_installed(bare, monkeypatch, capsys):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert needs.main([]) == 0
    assert len(bare) == 1
    assert "munge" in bare[0]


def test_where_tests_are_chosen_nothing_is_asked_for(bare):
    assert needs.main(["tests/unit"]) == 0
    assert bare == []
