"""The same processors for all arms, so that the host treats them alike.

Other guests of a host take from some of its processors and not from others, and change over in
about half a second. Where each arm launches from a processor of its own, that is noise in every
ratio; where all arms launch from the same one, calls that follow each other meet the same.
"""

import os
from collections.abc import Callable, Iterable, Set
from pathlib import Path

import psutil

from cudagraph_lab.errors import LabError

FEWEST = 4  # the two that are shared, and two for all other threads


def shared_pair(
    allowed: Set[int], siblings: Callable[[int], Set[int]] | None = None
) -> tuple[int, int]:
    """The processors of the launching thread and of the caller's thread, the same in every job.

    `allowed` are the processors that this process may use, `siblings` the hardware threads of one
    core. The first one is left to the system's interrupts, and the two are of different cores.
    Raises LabError where there are fewer than four, or where all are of one core.
    """
    of_core = siblings or siblings_of
    ordered = sorted(allowed)
    if len(ordered) >= FEWEST:
        launching = ordered[1]
        for calling in ordered[2:]:
            if calling not in of_core(launching):
                return launching, calling
    raise LabError(
        f"config: processors: shared needs {FEWEST} processors, of two cores at least, and this "
        f"process may use {len(ordered)}; set processors to any"
    )


def siblings_of(processor: int) -> set[int]:
    """The hardware threads of a processor's core; itself alone where the kernel does not say."""
    path = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    try:
        parts = path.read_text(encoding="ascii").strip().split(",")
    except OSError:
        return {processor}
    found: set[int] = set()
    for part in parts:
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def keep_on(harnesses: Iterable[int], pair: tuple[int, int]) -> None:
    """Keep the main thread of each harness, and those of its engine's processes, on the pair.

    vLLM's engine core schedules and launches in the main thread of its process. All other threads
    stay where they are. A process that has ended meanwhile is left out.
    """
    launching, calling = pair
    for harness in harnesses:
        try:
            below = psutil.Process(harness).children(recursive=True)
        except psutil.NoSuchProcess:
            continue
        for process, processor in [(harness, calling), *((one.pid, launching) for one in below)]:
            try:
                os.sched_setaffinity(process, {processor})
            except ProcessLookupError:
                continue
