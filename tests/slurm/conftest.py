"""The cluster for the tests of this directory."""

import os
import subprocess

import pytest

from tests.slurm.cluster import ETC, answers, ask, configure, install, timed, wait_until


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The running cluster; it is gone, with all that it started, after the tests."""
    with timed("installing Slurm"):
        install()
    if os.getuid() != 0:
        pytest.fail(
            "these tests start Slurm's daemons as root; become root, or leave them out: "
            "make test ARGS=--ignore=tests/slurm"
        )
    here = tmp_path_factory.mktemp("slurm")
    configure(here)
    started: list[subprocess.Popen[bytes]] = []
    try:
        with timed("starting Slurm"):
            if not answers("munge", "-n", holds="MUNGE"):
                subprocess.run(
                    ["install", "-d", "-o", "munge", "-g", "munge", "-m", "755", "/run/munge"],
                    check=True,
                )
                munged = ["runuser", "-u", "munge", "--", "munged", "--foreground"]
                started.append(subprocess.Popen(munged, stderr=subprocess.DEVNULL))
            wait_until(lambda: answers("munge", "-n", holds="MUNGE"))
            # In a session of their own, so that Ctrl-C at the tests is theirs to handle.
            for daemon in (["slurmctld", "-D"], ["slurmd", "-D", "-N", "localhost"]):
                started.append(
                    subprocess.Popen(daemon, stderr=subprocess.DEVNULL, start_new_session=True)
                )
            wait_until(
                lambda: answers("sinfo", "-h", "-o", "%t", holds="idle"),
                lambda: (here / "slurmctld.log").read_text(encoding="utf-8"),
            )
        yield here
        with timed("stopping Slurm"):
            ask("scancel", "--user", "root")
            wait_until(lambda: not ask("squeue", "-h"))
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=30)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink()
