"""Make every process of a measurement die with the one that started it.

A survivor would go on using the device and spoil the next run. Linux ends a
child with its parent when asked (PR_SET_PDEATHSIG); vLLM's own children are
reached because this module is imported by each of them: forked ones through the
fork hook, spawned ones through the import of the main module and of the worker.
"""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


die_with_parent()
os.register_at_fork(after_in_child=die_with_parent)
