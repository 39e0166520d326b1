"""A real Slurm on this machine: installed where it is missing, one node, one pretended GPU.

Debian's packages, loopback only, no accounting. Root is needed to install them and to write
/etc/slurm: the executor's inner `srun` drops SLURM_CONF, so the configuration has to be there.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cudagraph_lab import packages

ETC = Path("/etc/slurm")
OURS = "# Written by the tests of cudagraph-lab; they remove it again.\n"

CONFIGURATION = """\
ClusterName=ci
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
SlurmctldLogFile={here}/slurmctld.log
SlurmdLogFile={here}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=bf_interval=5,sched_interval=5,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MinJobAge=600
KillWait=5
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} \
Gres=gpu:fake:1 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=01:00:00 DefMemPerCPU=500 State=UP
"""

durations: dict[str, float] = {}


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Note how long a part of the tests with Slurm took."""
    begun = time.monotonic()
    try:
        yield
    finally:
        durations[part] = time.monotonic() - begun


def ask(*command: str) -> str:
    """What a command of Slurm says; with the controller down they would wait for long."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def install() -> None:
    if missing := packages.missing(packages.SLURM):
        how = packages.provide(missing, "the tests with Slurm")
        if how:
            pytest.fail(
                f"these tests need Slurm; {how}, or leave them out: "
                "make test ARGS=--ignore=tests/slurm"
            )


def configure(here: Path) -> None:
    """Write slurm.conf and gres.conf, unless this machine has a Slurm of its own."""
    known = ETC / "slurm.conf"
    if known.exists() and not known.read_text(encoding="utf-8").startswith(OURS):
        pytest.fail(
            f"{known} is not of these tests, which leave another Slurm alone; run them elsewhere, "
            "or leave them out: make test ARGS=--ignore=tests/slurm"
        )
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    for name in ("state", "spool"):
        (here / name).mkdir()
    ETC.mkdir(exist_ok=True)
    (ETC / "slurm.conf").write_text(
        OURS
        + CONFIGURATION.format(
            here=here, cpus=os.cpu_count(), memory_mb=int(pages * size / 2**20 * 0.9)
        ),
        encoding="utf-8",
    )
    # A device node, or CUDA_VISIBLE_DEVICES stays empty.
    (ETC / "gres.conf").write_text(
        f"{OURS}NodeName=localhost Name=gpu Type=fake File=/dev/null\n", encoding="utf-8"
    )


def answers(*command: str, holds: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=3)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and holds in done.stdout


def wait_until(holds, explain=lambda: "", seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.25)
