"""Is this host steady enough to measure on? Exit status 0 if so, 3 if not.

Equal loops of some 20 ms run on each processor in turn. Where other guests of the machine share
its cores, a loop takes up to twice as long as the fastest. Nothing of vLLM runs here, so that a
host is chosen before anything is known of what is measured on it.

    python tests/gpu/steady_host.py [SHARE]

SHARE (0.2) is the largest share of loops that may take over 1.25 times the fastest.
"""

import os
import statistics
import sys
import time

LOOPS_PER_PROCESSOR = 12
SLOW = 1.25


def loop_s() -> float:
    """Seconds of one loop on the processor of now."""
    begun = time.perf_counter()
    total = 0
    for number in range(400_000):
        total += number * number
    return time.perf_counter() - begun


def main() -> int:
    allowed = float(sys.argv[1]) if len(sys.argv) > 1 else 0.2
    mine = sorted(os.sched_getaffinity(0))
    taken_s = []
    for _ in range(LOOPS_PER_PROCESSOR):
        for processor in mine:
            os.sched_setaffinity(0, {processor})
            taken_s.append(loop_s())
    fastest_s = min(taken_s)
    slow = sum(taken > SLOW * fastest_s for taken in taken_s) / len(taken_s)
    print(
        f"{len(taken_s)} loops, fastest {1e3 * fastest_s:.1f} ms, "
        f"median {1e3 * statistics.median(taken_s):.1f} ms; "
        f"{slow:.0%} took over {SLOW} times the fastest"
    )
    return 0 if slow <= allowed else 3


if __name__ == "__main__":
    sys.exit(main())
