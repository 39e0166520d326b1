"""Measuring: the environment it gives, failures as records, and no process left behind."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.model import Config
from cudagraph_lab.design.job import job_of
from cudagraph_lab.design.runs import request_of_run
from cudagraph_lab.engine.environment import exclusive
from cudagraph_lab.errors import LabError
from cudagraph_lab.measure import guards, supervisor
from cudagraph_lab.measure import run as measure
from cudagraph_lab.measure.guards import measurement_environment, refuse_other_request
from cudagraph_lab.measure.recording import compile_cache_state, summarise_traces
from cudagraph_lab.measure.redaction import RECORDED_VARIABLES, hide
from cudagraph_lab.measure.supervisor import await_answer, end, end_at_once, start_harness
from cudagraph_lab.records.request import Request
from cudagraph_lab.records.store import read_record

HARNESS = REPOSITORY / "workflow" / "harness"
STUB = REPOSITORY / "tests" / "fixtures" / "stub_vllm"


def gone(pid, seconds=10.0):
    """Whether a process ends within some seconds; a zombie has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


# --- The environment of the harness ----------------------------------------------------


def test_thread_limits_go_and_the_network_stays_shut():
    base = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "NUMEXPR_NUM_THREADS": "1",
        "PATH": "/bin",
        "PYTHONPATH": "mine",
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        "VLLM_CPU_KVCACHE_SPACE": "4",
    }
    kept = measurement_environment(base, Path("cache/compile/x"))
    assert not [key for key in kept if key.endswith("_NUM_THREADS")]
    assert kept["PATH"] == "/bin"
    assert kept["PYTHONPATH"] == f"{HARNESS}:{HARNESS.parent}:mine"
    assert kept["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    assert kept["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert kept["HF_HUB_OFFLINE"] == kept["VLLM_NO_USAGE_STATS"] == "1"
    assert kept["VLLM_CACHE_ROOT"] == "cache/compile/x/vllm"
    assert "OMP_NUM_THREADS" in base
    # Nothing that would turn off what an arm is there to measure.
    assert "TORCH_COMPILE_DISABLE" not in kept
    bare = measurement_environment({}, Path("c"))
    assert bare["PYTHONPATH"] == f"{HARNESS}:{HARNESS.parent}"
    assert bare["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_recorded_variables_hold_settings_and_no_secrets():
    def recorded(name):
        return RECORDED_VARIABLES.match(name) is not None

    for name in ("VLLM_USE_V1", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD", "OMP_NUM_THREADS"):
        assert recorded(name), name
    for name in ("HF_TOKEN", "VLLM_API_KEY", "AWS_SECRET_ACCESS_KEY", "HOME", "VLLM_X_TOKEN"):
        assert not recorded(name), name


def test_directories_of_this_machine_are_hidden():
    hidden = {"/srv/me/repo": "<repository>", "/srv/me/.cache/lab": "<cache>", "/srv/me": "~"}
    text = "at /srv/me/repo/a.py, /srv/me/.cache/lab/x and /srv/me/other"
    assert hide(text, hidden) == "at <repository>/a.py, <cache>/x and ~/other"
    # In a container the home can be the root of all paths.
    assert hide("/usr/lib and 1/2", {"/": "~"}) == "/usr/lib and 1/2"


@given(st.text())
def test_nothing_else_is_changed(text):
    assert hide(text, {"/not/in/the/text/\0": "~"}) == text


def test_the_compile_cache_is_cold_or_warm_by_vllms_own_words(shipped, tmp_path):
    runs = shipped / "h100-opt-125m" / "runs"
    for arm, state in (
        ("startup-cold", "cold"),
        ("graphs-profile", "cold"),
        ("graphs", "warm"),
        ("eager", None),
    ):
        assert compile_cache_state(runs / arm / "rep1.log") == state, arm
        assert read_record(runs / arm / "rep1.json").startup.compile_cache_was == state, arm


def test_traces_are_summarised_batch_by_batch_in_the_designs_order(tmp_path):
    def write(name, batch, steps):
        events = [
            {
                "ph": "X", "cat": "user_annotation", "ts": 10.0 * k, "dur": 9.0,
                "name": f"execute_context_0(0)_generation_{batch}({batch})",
            }
            for k in range(steps)
        ]  # fmt: skip
        (tmp_path / name).write_text(json.dumps({"traceEvents": events}))

    write("b1.json", 1, 3)
    write("b8.json", 8, 5)
    write("b64.json", 64, 1)  # too short to tell
    write("b80.json", 80, 4)  # not b8
    found = summarise_traces(tmp_path, [8, 1, 64])
    assert [(s["batch"], s["steps"]) for s in found] == [(8, 4), (1, 2)]


def test_the_commit_says_when_the_tree_differs_from_it(tmp_path, monkeypatch):
    monkeypatch.setattr(guards, "REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert guards.commit() is None

    def git(*arguments):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, "-C", str(tmp_path), *arguments], check=True, stdout=-3)

    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    assert re.fullmatch("[0-9a-f]{40}", guards.commit())
    (tmp_path / "file").write_text("two")
    assert guards.commit().endswith("+changes")
    monkeypatch.setenv("PATH", "")
    assert guards.commit() is None


# --- A request that does not belong to the data set ----------------------------------------


def test_a_run_under_other_conditions_is_refused_before_it_is_measured(small_record):
    known = small_record()
    record = read_record(known)
    new = known.with_name("rep2.json")
    elsewhere = known.parents[1] / "compiled" / "rep1.json"
    device = {name: getattr(record.environment, name) for name in ("device", "driver", "lock")}
    refuse_other_request(new, "small", record.request, device)
    refuse_other_request(elsewhere, "small", record.request, device)

    def change(dotted, value):
        body = record.request.model_dump()
        *parents, last = dotted.split(".")
        target = body
        for part in parents:
            target = target[part]
        target[last] = value
        return Request.model_validate(body)

    for dotted, value in (
        ("model", "another/one"),
        ("weights", "hub"),
        ("workload.output_tokens", 9),
        ("workload.max_model_len", 128),
        ("workload.batch_sizes", [1]),
    ):
        for output in (new, elsewhere):
            with pytest.raises(LabError) as caught:
                refuse_other_request(output, "small", change(dotted, value), device)
            message = str(caught.value)
            assert message.startswith(f"{known}: measured with {dotted} ")
            assert f"asked now is {value!r}" in message
            assert "set `dataset` to a new name" in message
            assert "\n" not in message
    # What makes an arm an arm differs between arms and not between repeats of one.
    other_arm = change("engine_args", {"dtype": "float32"})
    refuse_other_request(elsewhere, "small", other_arm, device)
    with pytest.raises(LabError, match="measured with engine_args"):
        refuse_other_request(new, "small", other_arm, device)
    with pytest.raises(LabError, match="measured with device"):
        refuse_other_request(new, "small", record.request, device | {"device": "another processor"})
    # Measuring the same run again is nobody's mixture.
    refuse_other_request(known, "small", change("model", "another/one"), device)


def test_another_driver_or_lock_is_refused_before_the_run(h100):
    known = h100 / "eager" / "rep1.json"
    record = read_record(known)
    new, name = known.with_name("rep9.json"), record.dataset
    here = {field: getattr(record.environment, field) for field in ("device", "driver", "lock")}
    refuse_other_request(new, name, record.request, here)
    # What is not known before the run is no difference.
    refuse_other_request(new, name, record.request, here | {"driver": None})
    for field in ("driver", "lock"):
        with pytest.raises(LabError, match=f"measured with {field}"):
            refuse_other_request(new, name, record.request, here | {field: "another"})


def test_a_broken_record_stops_a_run_only_where_none_is_whole(small_record):
    known, other = small_record(), small_record(arm="compiled")
    request = read_record(known).request
    known.write_text(known.read_text()[:500])
    new = known.with_name("rep2.json")
    refuse_other_request(new, "small", request, {"device": "a processor"})
    # What the whole one says still counts.
    with pytest.raises(LabError, match=f"{other}: measured with device 'a processor'"):
        refuse_other_request(new, "small", request, {"device": "x"})
    other.write_text("")
    with pytest.raises(LabError, match=re.escape(str(known))):
        refuse_other_request(new, "small", request, {"device": "a processor"})


# --- Failures as records, from the configuration to the file --------------------------------


@pytest.fixture
def run_stub(config, tmp_path, monkeypatch):
    """Measure with a stand-in for vLLM that fails in a chosen way."""
    config["vllm_python"] = sys.executable
    config["cache_dir"] = str(tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))  # a device lock of its own
    monkeypatch.setenv("PYTHONPATH", str(STUB))
    output = tmp_path / "results" / "d" / "runs" / "eager" / "rep1.json"
    weights = {"weights": "dummy", "revision": None, "path": str(tmp_path)}

    def run(how, timeout_s=60.0):
        monkeypatch.setenv("STUB_VLLM", how)
        config["timeout_s"] = timeout_s
        job = job_of(Config.model_validate(config), "cpu", "d", ["eager"], 1)
        job = job.model_copy(update={"arms": [job.arms[0].model_copy(update={"output": output})]})
        return measure.measure(job, weights)[0], output

    return run


def test_an_engine_out_of_memory_is_a_record_that_says_it_stays(run_stub, capfd):
    record, output = run_stub("out of memory")
    assert record.status == "failed"
    assert record.failure.kind == "out_of_memory"
    assert record.failure.reason == "torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB"
    assert record.cells == []
    assert read_record(output, "d") == record
    said = capfd.readouterr().err
    assert "eager rep 1: booting vLLM" in said
    assert "eager rep 1: FAILED (out_of_memory): torch.OutOfMemoryError: CUDA out of mem" in said
    assert "the failure stays, since it is a result of this arm" in said
    assert f"to measure it again: .venv/bin/cudagraph-lab set-aside {output}, then make lab" in said
    assert f"the log is {output.with_suffix('.log')}" in said
    assert "Traceback" not in said
    # The log lies beside it, without this machine's directories.
    log = output.with_suffix(".log").read_text()
    assert "arguments:" in log
    assert str(Path.home()) not in log
    assert sorted(p.name for p in output.parent.iterdir()) == ["rep1.json", "rep1.log"]


NOT_STARTED = "eager rep 1: vLLM did not start: "


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("boot", f"{NOT_STARTED}ValueError: No valid attention backend found; "),
        ("not supported", f"{NOT_STARTED}ValueError: bfloat16 is not supported on this device; "),
        ("crash", f"{NOT_STARTED}the process ended with -11 and no result; "),
        ("exit", f"{NOT_STARTED}the process ended with 1 and no result; "),
        ("silent", f"{NOT_STARTED}the process ended with 0 and no result; "),
        ("facts", f"{NOT_STARTED}RuntimeError: no facts; "),
        (
            "import",
            "eager rep 1: vLLM could not be imported: ImportError: libtorch.so: cannot be mapped "
            "(then ImportError: the wrapper does not work); ",
        ),
    ],
)
def test_a_vllm_that_does_not_start_is_one_line_and_no_record(run_stub, capfd, how, line):
    with pytest.raises(LabError) as caught:
        run_stub(how)
    message = str(caught.value)
    assert message.startswith(line)
    log = Path(message.partition("the log is ")[2])
    assert log.name == "rep1.log"
    assert "FAILED" not in capfd.readouterr().err
    # The log is there to be read, with the trace where an exception of this process ended it.
    assert ("Traceback" in log.read_text()) == (how not in ("crash", "exit", "silent"))
    assert [p.name for p in log.parent.iterdir()] == ["rep1.log"]
    # And with the cause gone the run is measured.
    assert run_stub("works")[0].status == "ok"


def test_a_run_that_somebody_ended_is_no_failure_of_its_arm(run_stub, monkeypatch):
    with pytest.raises(
        LabError, match=r"eager rep 1: vLLM's process was ended from outside \(SIGKILL\)"
    ):
        run_stub("killed")
    # Unless it was the kernel, which then counted it.
    kills = iter([3, 4])
    monkeypatch.setattr(supervisor, "memory_kills", lambda: next(kills))
    record, _ = run_stub("killed")
    assert record.failure.kind == "out_of_memory"
    assert "the process ended with -9 and no result" in record.failure.reason


def test_an_arm_that_fails_half_way_keeps_what_it_measured_and_is_failed(
    run_stub,
):
    record, _ = run_stub("second batch")
    assert record.failure.kind == "generate"
    assert record.failure.reason == "IndexError: block table overflow"
    # What it measured before stays in the record of the failed run.
    assert [(cell.batch, len(cell.calls)) for cell in record.cells] == [(1, 1)]
    assert record.status == "failed"
    assert {span.name for span in record.startup.spans} == {"import", "boot"}
    assert record.resolved.dtype == "torch.bfloat16"
    assert record.environment.vllm == "0.stub"


def test_a_run_that_hangs_is_ended_with_all_its_children(run_stub, capfd):
    record, output = run_stub("hangs", timeout_s=3.0)
    assert record.failure.kind == "timeout"
    assert "timeout_s (3 s)" in record.failure.reason
    log = output.with_suffix(".log").read_text()
    assert gone(int(re.search(r"grandchild (\d+)", log).group(1)), seconds=2)
    assert "eager rep 1: | grandchild " in capfd.readouterr().err


def test_a_failed_request_is_recorded_as_it_was_asked(run_stub, config):
    record, _ = run_stub("out of memory")
    weights = {"weights": "dummy", "revision": None}
    asked = request_of_run(Config.model_validate(config), "cpu", "eager", 1, weights)
    assert record.request.model_dump() == Request.model_validate(asked).model_dump()
    assert record.environment.variables["VLLM_NO_USAGE_STATS"] == "1"
    assert record.environment.lock == "taken as it was"


# --- Processes and locks ---------------------------------------------------------------------

# Writes its own and a forked grandchild's process id, then waits; `bare` leaves lineage out.
FAMILY = """
import os, subprocess, sys, time
if sys.argv[2] != "bare":
    import lineage
child = os.fork()
if child == 0:
    time.sleep(600)
with open(sys.argv[1] + ".new", "w") as stream:
    stream.write(f"{os.getpid()} {child}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
print("up", flush=True)
time.sleep(600)
"""

# Runs that family as the harness is run, holding the lock.
DRIVER = """
import os, sys, time
from pathlib import Path
from cudagraph_lab.engine.environment import exclusive
from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.measure.supervisor import (
    await_answer, end_at_once, start_harness, watch_workflow
)
directory, how = Path(sys.argv[1]), sys.argv[2]
command = [sys.executable, str(directory / "family.py"), str(directory / "pids"), how]
with one_line_errors(), exclusive(directory / "device.lock") as lock:
    harness = start_harness("an arm", command, os.environ, [lock], directory / "log", {})
    try:
        await_answer(harness, time.monotonic() + 600, watch_workflow("an arm"))
    finally:
        end_at_once([harness])
"""


class Family:
    """A process that measures, and below it a harness with a child."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "family.py").write_text(FAMILY)
        (directory / "driver.py").write_text(DRIVER)
        self.begun: list[int] = []

    def start(self, how: str = "", under: list[str] | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.directory / "driver.py"), str(self.directory), how]
        path = f"{REPOSITORY / 'workflow'}:{HARNESS}"
        process = subprocess.Popen(
            [*(under or []), *command],
            env=os.environ | {"PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.begun.append(process.pid)
        wait_for((self.directory / "pids").exists)
        self.begun += self.pids()
        return process

    def pids(self) -> list[int]:
        return [int(pid) for pid in (self.directory / "pids").read_text().split()]


@pytest.fixture
def family(tmp_path):
    family = Family(tmp_path)
    yield family
    for pid in family.begun:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def run_to_the_end(command, environment, locks, log, hidden, name, timeout_s):
    """A harness that is asked nothing, from its start to its end."""
    harness = start_harness(name, command, environment, locks, log, hidden)
    try:
        while await_answer(harness, time.monotonic() + timeout_s, lambda: None) is not None:
            pass
        return end(harness)
    finally:
        end_at_once([harness])


def test_a_log_that_cannot_be_written_ends_the_run_at_once(tmp_path):
    pid = tmp_path / "pid"
    talks = f"""
import os, time
open({str(pid)!r}, "w").write(str(os.getpid()))
print("up", flush=True)
time.sleep(20)
os.remove({str(pid)!r})  # what nobody ended comes to here
"""
    command = [sys.executable, "-c", talks]
    full = Path("/dev/full")  # a disk without a byte left
    with pytest.raises(LabError, match=r"^/dev/full: No space left on device; mend that and run"):
        run_to_the_end(command, os.environ, [], full, {}, "an arm", 600)
    assert not psutil.pid_exists(int(pid.read_text()))


def test_a_killed_measurement_leaves_no_survivor(family):
    driver = family.start()
    harness, child = family.pids()
    assert psutil.pid_exists(harness)
    assert psutil.pid_exists(child)
    driver.kill()
    driver.communicate()
    assert gone(harness)
    assert gone(child)


def test_a_killed_workflow_ends_the_measurement_below_it(family):
    # Between Snakemake and the measurement stands a shell that does not pass signals on.
    name = family.directory / "snakemake"
    name.write_text("import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))")
    workflow = family.start("bare", under=[sys.executable, str(name), "sh", "-c", '"$@"; :', "sh"])
    harness, child = family.pids()
    below = psutil.Process(workflow.pid).children(recursive=True)
    family.begun += [process.pid for process in below]
    workflow.kill()
    assert gone(harness)
    assert gone(child)
    assert "the workflow that asked for this run is gone" in workflow.communicate(timeout=20)[1]


@contextmanager
def tried(path):
    """A lock that is not waited for."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def test_the_device_stays_locked_while_any_process_of_a_measurement_lives(family):
    driver = family.start("bare")
    harness, child = family.pids()
    driver.kill()
    driver.communicate()
    lock = family.directory / "device.lock"
    for survivor in (harness, child):
        with pytest.raises(BlockingIOError), tried(lock):
            pass
        os.kill(survivor, signal.SIGKILL)
        assert gone(survivor)
    wait_for(lambda: _free(lock))


def _free(lock):
    try:
        with tried(lock):
            return True
    except BlockingIOError:
        return False


def run_script(tmp_path, script, timeout_s=30.0):
    path = tmp_path / "script.py"
    path.write_text(script)
    with exclusive(tmp_path / "lock") as lock:
        return run_to_the_end(
            [sys.executable, str(path)],
            os.environ | {"PYTHONPATH": str(HARNESS)},
            [lock],
            tmp_path / "runs" / "log",
            {str(tmp_path): "<runs>"},
            "an arm",
            timeout_s,
        )


def test_answers_are_read_and_output_goes_to_the_log(tmp_path, capfd):
    outcome = run_script(
        tmp_path,
        """
import json, os, sys
answers = os.fdopen(int(sys.argv[-1]), "w", buffering=1)
answers.write(json.dumps({"event": "boot"}) + "\\n")
print("to stdout from", __file__)
print("to stderr", file=sys.stderr)
os.write(1, b"\\xff not text\\n")
answers.write("no JSON\\n")
sys.exit(3)
""",
    )
    assert outcome.returncode == 3
    assert not outcome.timed_out
    log = (tmp_path / "runs" / "log").read_text()
    assert "to stdout from <runs>/script.py\n" in log
    assert "to stderr\n" in log
    assert "\ufffd not text" in log
    assert sorted(outcome.tail) == sorted(log.splitlines())
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""


def test_a_harness_that_ends_and_leaves_a_child_leaves_none(tmp_path):
    outcome = run_script(
        tmp_path,
        "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)",
    )
    assert outcome.returncode == 0
    assert gone(int(outcome.tail[0]), seconds=2)
