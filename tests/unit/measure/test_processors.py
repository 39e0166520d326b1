"""The threads that launch and call are kept on the same two processors in every arm."""

import os
import subprocess
import sys

import psutil
import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.measure.processors import keep_on, shared_pair, siblings_of

# A process with a child of one further thread, as a harness with its engine core.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
child.wait()
"""
CHILD = """
import threading, time
thread = threading.Thread(target=time.sleep, args=(60,), daemon=True)
thread.start()
print(thread.native_id, flush=True)
time.sleep(60)
"""


@pytest.fixture
def family():
    """The ids of a process, of its child, and of the child's second thread."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE)
    thread = int(parent.stdout.readline())
    child = psutil.Process(parent.pid).children()[0]
    yield parent.pid, child.pid, thread
    child.kill()
    parent.wait()


@pytest.mark.parametrize(
    ("allowed", "cores", "expected"),
    [
        ({0, 1, 2, 3}, [{0}, {1}, {2}, {3}], (1, 2)),
        ({0, 1, 2, 3}, [{0, 2}, {1, 3}], (1, 2)),
        ({0, 1, 2, 3, 4, 5}, [{0, 1}, {2, 3}, {4, 5}], (1, 2)),
        ({8, 9, 10, 11}, [{8}, {9, 10}, {11}], (9, 11)),
    ],
)
def test_the_pair_is_of_two_cores_and_leaves_the_first_processor(allowed, cores, expected):
    of_core = {one: core for core in cores for one in core}
    assert shared_pair(allowed, of_core.__getitem__) == expected


@pytest.mark.parametrize("allowed", [{0, 1, 2}, {0, 1, 2, 3}])
def test_too_few_processors_are_refused_in_one_line(allowed):
    with pytest.raises(LabError, match=r"processors: shared needs 4 .*; set processors to any$"):
        shared_pair(allowed, lambda _: {0, 1, 2, 3})


def test_a_processor_is_of_its_own_core():
    assert all(one in siblings_of(one) for one in os.sched_getaffinity(0))
    assert siblings_of(1 << 20) == {1 << 20}


def test_main_threads_are_kept_and_other_threads_are_not(family):
    parent, child, thread = family
    everywhere = os.sched_getaffinity(0)
    launching, calling = max(everywhere), min(everywhere)
    keep_on([parent], (launching, calling))
    assert os.sched_getaffinity(parent) == {calling}
    assert os.sched_getaffinity(child) == {launching}
    assert os.sched_getaffinity(thread) == everywhere


def test_a_process_that_has_ended_is_left_out(family):
    parent, _, _ = family
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    processor = min(os.sched_getaffinity(0))
    keep_on([gone.pid, parent], (processor, processor))
    assert os.sched_getaffinity(parent) == {processor}
