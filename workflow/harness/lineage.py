"""Make every process of a measurement die with the one that started it.

A survivor would go on using the device and spoil the next run. Linux ends a
child with its parent when asked (PR_SET_PDEATHSIG); vLLM's own children are
reached because this module is imported by each of them: forked ones through the
fork hook, spawned ones through the import of the main module and of the worker.
"""

import ctypes
import os
import signal
from pathlib import Path

from cudagraph_lab.protocol import PARENT

PR_SET_PDEATHSIG = 1


def runs(process: str) -> bool:
    """Whether a process runs; one that ended and was not collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The kernel says nothing of a parent that ended before it was asked.
    parent = os.environ.get(PARENT)
    if parent is not None and not runs(parent):
        os._exit(1)
    os.environ[PARENT] = str(os.getpid())


die_with_parent()
os.register_at_fork(after_in_child=die_with_parent)
