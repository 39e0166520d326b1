"""What `make test` says before it runs anything, where something is missing."""

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cudagraph_lab import packages
from tests import needs

PROGRAMS = {"chromium", "npm", "slurmctld", "slurmd", "munged", "g++"}
EVERYTHING = PROGRAMS | {"libnuma.so.1", "Python.h"}
HEADERS = f"python3.{sys.version_info.minor}-dev"


def have(monkeypatch, names):
    """A machine on which these programs, libraries and headers are found, and no others."""

    def load(name):
        if name not in names:
            raise OSError(name)

    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in names else None)
    monkeypatch.setattr(ctypes, "CDLL", load)
    headers = Path(sysconfig.get_path("include")) if "Python.h" in names else Path("/none")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(headers))


@pytest.mark.parametrize(
    ("here", "missing"),
    [
        (EVERYTHING, []),
        (EVERYTHING - {"chromium"}, ["chromium", "fonts-dejavu-core"]),
        (EVERYTHING - {"chromium"} | {"google-chrome"}, []),
        (EVERYTHING - {"libnuma.so.1"}, ["libnuma1"]),
        (EVERYTHING - {"Python.h"}, [HEADERS]),
    ],
)
def test_only_what_is_not_here_is_missing(monkeypatch, here, missing):
    have(monkeypatch, here)
    assert packages.missing(packages.TESTS) == missing


@pytest.fixture
def asked(monkeypatch):
    """What is asked of the package manager."""
    calls = []

    def run(command, **_):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


@pytest.mark.parametrize(
    ("user", "here", "how"),
    [(1000, {"apt-get"}, "as root: "), (1000, set(), "on Debian: "), (0, set(), "on Debian: ")],
)
def test_all_that_is_missing_is_said_at_once_with_the_command(
    asked, monkeypatch, capsys, user, here, how
):
    monkeypatch.setattr(os, "getuid", lambda: user)
    have(monkeypatch, here)
    assert needs.main([]) == 1
    said = capsys.readouterr().err
    every = "chromium fonts-dejavu-core npm slurm-wlm slurmctld slurmd munge libnuma1 g++"
    every += f" {HEADERS}"
    assert f"{how}apt-get install {every}\n" in said
    assert "make test ARGS='-m \"not browser and not slurm\"'" in said
    assert asked == []


def test_on_debian_as_root_it_is_installed(asked, monkeypatch, capsys):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    have(monkeypatch, {"apt-get"})
    assert needs.main([]) == 0
    assert [command[2] for command in asked] == ["update", "install"]
    assert "munge" in asked[1]


def test_where_tests_are_chosen_nothing_is_asked_for(asked, monkeypatch):
    have(monkeypatch, set())
    assert needs.main(["tests/unit"]) == 0
    assert asked == []
