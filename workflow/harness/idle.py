"""An engine whose turn is over leaves the processors to the others.

The workers of vLLM's CPU build spin for a second after a call, looking for the next message. Beside
arms that take turns such a worker would share its processor with the engine whose turn it is.
"""

import functools
import inspect
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SPIN_S = 0.05  # much longer than what is between two steps of one call
LOOK_S = 0.1
BUSY_S = 0.02  # of processor time within LOOK_S, two ticks: less is idle
PATIENCE_LOOKS = 50


def descendants(process: int) -> list[int]:
    """The processes that this one started, and theirs; none where the kernel does not tell."""
    found = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = [int(child) for child in listed.read_text().split()]
        except OSError:  # the thread has ended
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def used_by_engine_s() -> float:
    """Seconds of processor time that the processes below this one have used."""
    ticks = 0
    for process in descendants(os.getpid()):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_until_idle(
    used_s: Callable[[], float] = used_by_engine_s, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Return once the engine's processes hardly used a processor for LOOK_S, or after 50 looks."""
    before = used_s()
    for _ in range(PATIENCE_LOOKS):
        sleep(LOOK_S)
        now = used_s()
        if now - before < BUSY_S:
            return
        before = now


def spin_briefly(queues: Any) -> bool:
    """Let the message queues that this process opens later spin for SPIN_S in place of a second.

    `queues` is vLLM's module `shm_broadcast`. Within a call the queues spin as before. False: this
    version does not take the time as an argument, and its worker spins as it does.
    """
    condition = getattr(queues, "SpinCondition", None)
    if condition is None or "busy_loop_s" not in inspect.signature(condition).parameters:
        return False
    queues.SpinCondition = functools.partial(condition, busy_loop_s=SPIN_S)
    return True
