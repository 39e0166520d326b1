"""The real workflow on a real Slurm, through profiles/slurm, and jobs that end badly there.

Five measurements of a two-layer model on this machine's CPU, each holding the one pretended
GPU: two that go well, one that is cancelled, one that hangs until its time is over, and one
that needs more memory than it has. Of the two that go well one is vLLM itself; for the other, asked
for by its version, a stand-in answers.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import yaml

from cudagraph_lab.engine.versions import SUPPORTED, VLLM_VERSION
from tests.own_device import EAGER, own_device
from tests.slurm.cluster import ask, timed
from tests.tiny_config import vllm_config

GOOD, BAD = ("eager", "eager-again"), ("cancelled", "hanging", "greedy")
STOOD_IN, VERSION = "eager-again", SUPPORTED["cpu"][-1]


def configuration(arms, stand_in):
    return vllm_config(
        "nodes",
        iterations=2,
        vllm_python={VERSION: str(stand_in)},
        arms={
            arm: {
                "engine_args": {"enforce_eager": True},
                "vllm": VERSION if arm == STOOD_IN else None,
            }
            for arm in arms
        },
        contrasts={
            f"{arm}-twice": {"numerator": arm, "denominator": "eager"}
            for arm in arms
            if arm != "eager"
        },
        headline="eager-again-twice",
    )


def site_profile(repository, directory):
    """profiles/slurm as a site would change it: what its nodes have, and jobs on hold."""
    profile = yaml.safe_load((repository / "profiles/slurm/profile.yaml").read_text("utf-8"))
    asked = profile["set-resources"]["measure"]
    asked["cpus_per_task"] = os.cpu_count()
    asked["mem_mb"] = 6000
    # So that all are there, and the bad ones prepared, before the first begins.
    asked["slurm_extra"] += " --hold"
    directory.mkdir()
    (directory / "profile.yaml").write_text(yaml.safe_dump(profile))
    return directory


def stand_in(repository, path):
    """A Python of its own that finds the stand-in where it looks for vLLM."""
    stub = repository / "tests" / "fixtures" / "stub_vllm"
    found = f'STUB_VLLM=works PYTHONPATH="{stub}:$PYTHONPATH"'
    path.write_text(f'#!/bin/sh\nexec env {found} {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


def fields(text):
    """One job as `scontrol show job` describes it."""
    return dict(re.findall(r"(\w[\w/:]*)=(\S*)", text))


class Run:
    """The workflow on the cluster, and what became of its measurements."""

    def __init__(self, repository, directory):
        self.repository, self.directory = repository, directory
        self.jobs = {}  # by arm, as scontrol tells it at the end
        self.details = {}  # by arm, as scontrol tells it while it runs
        self.at_once = 0  # the most measurements that were seen running together
        self.profile = site_profile(repository, directory / "site")
        self.stand_in = stand_in(repository, directory / "python-with-stand-in")
        self.log = directory / "snakemake.log"
        self.environment = {**os.environ, **own_device(directory), **EAGER}
        self.returncode: int | None = None
        self.said = ""

    def command(self, arms, *arguments):
        config = self.directory / "tiny.yaml"
        config.write_text(yaml.safe_dump(configuration(arms, self.stand_in)))
        # Without the repository's own arms, which a second file could not take away.
        return [
            sys.executable, "-m", "snakemake", *arguments,
            "--snakefile", str(self.repository / "workflow" / "Snakefile"),
            "--directory", str(self.directory), "--configfile", str(config),
            "--workflow-profile", str(self.profile),
        ]  # fmt: skip

    def snakemake(self, arms, *arguments, **options):
        return subprocess.Popen(
            self.command(arms, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.directory,
            env=self.environment,
            **options,
        )

    def measurements(self):
        """The measurement jobs that Slurm knows, by arm."""
        found = {}
        for block in ask("scontrol", "-d", "show", "job").split("\n\n"):
            job = fields(block)
            named = re.fullmatch(r"rule_measure_wildcards_nodes_(\S+)_1", job.get("Comment", ""))
            if named:
                found[named[1]] = job
        return found

    def ill_treat(self, arm):
        """Let a running measurement end badly; true once that is done."""
        if arm == "cancelled":
            ask("scancel", self.jobs[arm]["JobId"])
            return True
        if arm == "hanging":
            # What hangs is vLLM's side of it. Its time is over at once instead of in an hour.
            for process in psutil.process_iter(["cmdline"]):
                command = process.info["cmdline"] or []
                ours = any(f"/{arm}/.rep1.work/job.json" in part for part in command)
                if ours and Path(command[1]).name == "run.py":
                    process.send_signal(signal.SIGSTOP)
                    soon = datetime.fromtimestamp(time.time() + 2).isoformat(timespec="seconds")
                    ask("scontrol", "update", f"jobid={self.jobs[arm]['JobId']}", f"EndTime={soon}")
                    return True
        return False

    def watch(self, workflow):
        """Prepare the held measurements, let them go, and follow them until all have ended."""
        released, treated = False, set()
        while workflow.poll() is None:
            self.jobs = self.measurements()
            if not released and set(self.jobs) == {*GOOD, *BAD}:
                # Less than it takes to import vLLM.
                ask("scontrol", "update", f"jobid={self.jobs['greedy']['JobId']}",
                    "MinMemoryNode=600")  # fmt: skip
                for job in self.jobs.values():
                    ask("scontrol", "release", job["JobId"])
                released = True
            running = {a: job for a, job in self.jobs.items() if job["JobState"] == "RUNNING"}
            self.details = running | self.details
            self.at_once = max(self.at_once, len(running))
            treated |= {arm for arm in running if arm not in treated and self.ill_treat(arm)}
            time.sleep(0.5)
        self.jobs = self.measurements()


@pytest.fixture(scope="module")
def run(cluster, repository, tmp_path_factory):
    """The workflow's first call, in which three of five measurements end badly."""
    run = Run(repository, tmp_path_factory.mktemp("nodes"))
    with timed("building vLLM's environment where it is missing, as a job"):
        built = run.snakemake((*GOOD, *BAD), "results/nodes/environment.json")
        said, _ = built.communicate(timeout=600)
        assert built.returncode == 0, said
    with timed("five measurements, three of them ill-treated"), run.log.open("w") as log:
        workflow = subprocess.Popen(
            run.command((*GOOD, *BAD)),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=run.directory,
            env=run.environment,
        )
        try:
            run.watch(workflow)
        finally:
            workflow.kill()
            workflow.wait()
    run.returncode = workflow.returncode
    run.said = run.log.read_text(encoding="utf-8")
    return run


def seconds(job, name):
    return datetime.fromisoformat(job[name]).timestamp()


def test_each_measurement_asked_for_the_gpu_and_held_it(run):
    assert set(run.details) == {*GOOD, *BAD}, run.said
    for job in run.details.values():
        assert job["TresPerJob"] == "gres:gpu:1"
        assert job["GRES"] == "gpu:fake:1(IDX:0)"


def test_each_measurement_had_the_node_to_itself_and_what_its_rule_asks_for(run):
    for arm, job in run.details.items():
        assert job["OverSubscribe"] == "NO"  # what --exclusive means to Slurm
        assert job["NumCPUs"] == str(os.cpu_count())
        assert job["TimeLimit"] == "00:45:00"  # timeout_s, and a quarter of an hour
        if arm != "greedy":
            assert job["MinMemoryNode"] == "6000M"


def test_only_measurements_were_sent_and_the_cheap_rules_stayed(run):
    assert run.said.count("has been submitted with SLURM jobid") == len(run.jobs) == 5
    for rule in ("register_predictions", "choose_weights"):
        assert f"localrule {rule}:" in run.said


def test_two_measurements_never_overlapped(run):
    assert run.at_once == 1
    spans = sorted((seconds(j, "StartTime"), seconds(j, "EndTime")) for j in run.jobs.values())
    assert len(spans) == 5
    for (_, ended), (began, _) in pairwise(spans):
        assert ended <= began


def test_what_ended_badly_did_not_keep_the_others_from_being_measured(run):
    assert run.returncode == 1, run.said
    runs = run.directory / "results" / "nodes" / "runs"
    assert sorted(path.parent.name for path in runs.glob("*/rep1.json")) == sorted(GOOD)
    for arm in GOOD:
        record = json.loads((runs / arm / "rep1.json").read_text())["record"]
        assert (record["status"], record["environment"]["platform"]) == ("ok", "cpu")
        vllm = record["environment"]["vllm"]
        assert vllm == ("0.stub" if arm == STOOD_IN else VLLM_VERSION)


@pytest.mark.parametrize(
    ("arm", "state", "explained"),
    [
        ("cancelled", "CANCELLED", "CANCELLED"),
        # Slurm's own line, DUE TO TIME LIMIT, may reach the job's log after it is shown.
        ("hanging", "TIMEOUT", "TIMEOUT"),
        # Without cgroups Slurm tells of memory in the job's log alone, which is shown.
        ("greedy", "FAILED", "Exceeded job memory limit"),
    ],
)
def test_a_job_that_slurm_ended_becomes_a_clear_message(run, arm, state, explained):
    job = run.jobs[arm]
    assert job["JobState"] == state, run.said
    message = f"message: SLURM-job '{job['JobId']}' failed, SLURM status is: '{state}'"
    assert message in run.said
    told = run.said.partition(message)[2].partition("Error in rule measure:\n    message: SLURM")[0]
    assert f"output: results/nodes/runs/{arm}/rep1.json" in told
    assert explained in message + told


def test_nobody_is_left_on_the_node_and_nothing_half_written(run):
    seen = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(run.directory) in part for part in process.info["cmdline"] or [])
    ]
    # Slurm tells that a job ended before the last of its processes has left a busy machine.
    _, left = psutil.wait_procs(seen, timeout=60)
    # Snakemake can wait for its own lock for ever when SIGTERM finds it in its scheduler. Slurm
    # kills it where jobs are in cgroups; without them it loses sight of it once the shell above it
    # is gone. What the measurement started has to be gone in any case.
    lost = [process for process in left if "slurm-jobstep" in process.info["cmdline"]]
    for process in lost:
        process.kill()
    assert [process.info["cmdline"] for process in left if process not in lost] == []
    runs = run.directory / "results" / "nodes" / "runs"
    kept = {path.name for path in runs.rglob("*") if path.is_file()}
    assert {name for name in kept if name.endswith(".json")} <= {"rep1.json", "job.json"}


def test_the_same_command_measures_what_is_missing_and_nothing_else(run, jobs):
    done = subprocess.run(
        run.command((*GOOD, *BAD), "-n"),
        capture_output=True,
        text=True,
        cwd=run.directory,
        env=run.environment,
    )
    assert done.returncode == 0, done.stderr
    assert jobs(done.stdout)["measure"] == len(BAD)


def test_the_report_is_made_on_the_head_node_from_what_was_measured_on_the_nodes(run):
    with timed("the report, on the head node"):
        done = subprocess.run(
            run.command(GOOD),
            capture_output=True,
            text=True,
            cwd=run.directory,
            env=run.environment,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    ledger = json.loads((run.directory / "results" / "ledger.json").read_text())
    (dataset,) = ledger["datasets"]
    assert {arm: facts["status"] for arm, facts in dataset["arms"].items()} == dict.fromkeys(
        GOOD, "ok"
    )
    assert len(dataset["hosts"]) == 1
    assert (run.directory / "results" / "report" / "lab_report.html").exists()
