"""What the Makefile refuses before it does anything."""

import os
import shutil
import subprocess

from cudagraph_lab import REPOSITORY


def test_a_linked_environment_is_another_checkouts_and_is_not_emptied(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "kept").touch()
    mine = tmp_path / "mine"
    (mine / "envs").mkdir(parents=True)
    for name in ("Makefile", "envs/pipeline.txt"):
        shutil.copy(REPOSITORY / name, mine / name)
    (mine / ".venv").symlink_to(theirs)
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "report", "PYTHON=true"],
        cwd=mine, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert f".venv is a link to {theirs}, which does not fit envs/pipeline.txt" in done.stderr
    assert "remove the link" in done.stderr
    assert [path.name for path in theirs.iterdir()] == ["kept"]
