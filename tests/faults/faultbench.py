"""A working directory in which things go wrong, and what is looked at afterwards.

The processes are the real ones: Snakemake, the measuring process, the harness. Where vLLM
itself is not the point, a stand-in for it boots in half a second and answers; what it
"measures" stays in temporary directories and says `0.stub` for a version.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psutil
import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.job import job_of
from cudagraph_lab.errors import LabError
from cudagraph_lab.files import parse_yaml
from cudagraph_lab.records.record import Record
from cudagraph_lab.records.store import SET_ASIDE, read_record
from tests.own_device import own_device
from tests.tiny_config import tiny_config
from tests.warm_snakemake import WarmSnakemake

FIXTURES = REPOSITORY / "tests" / "fixtures"
CONFIG = REPOSITORY / "config" / "config.yaml"
DATASET = "stubbed"
ARMS = ("eager", "compiled")
TOKEN = "CUDAGRAPH_LAB_TRIAL"  # noqa: S105 - marks the processes of a trial
PATIENCE_S = 90.0
LOOK_S = 0.1  # between two looks at all processes, of which each takes milliseconds


@dataclass(frozen=True)
class Outcome:
    """What one trial ended in."""

    then: str  # what happens, in words for the table
    lost: int = 0  # finished measurements that are gone or changed
    wrong: int = 0  # records that are believed and should not be
    left: int = 0  # processes, locks and half-written files that stayed


IN_TURN = ("eager", "eager-again", "compiled")
# Three arms in turn; laid over the tiny configuration.
TURNS: dict[str, Any] = {
    "order": "in_turn",
    "boots": "together",
    "iterations": 3,
    "arms": {"eager-again": {"engine_args": {"enforce_eager": True}}},
    "contrasts": {"noise": {"numerator": "eager-again", "denominator": "eager", "role": "a_a"}},
}

# Seconds and not tenths of one, so that whatever comes finds the measurement at work.
UNHURRIED = {"iterations": 10}


class Lab:
    """One trial's directory, the processes started in it, and the checks on both."""

    def __init__(self, directory: Path, **more: Any) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.changes = tiny_config(DATASET, **{"timeout_s": 60, **more})
        self.token = uuid.uuid4().hex
        self.begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.environment = {
            key: value for key, value in os.environ.items() if key != "FORCE_COLOR"
        } | {
            TOKEN: self.token,
            **own_device(directory),
            "PYTHONPATH": f"{FIXTURES / 'stub_vllm'}:{REPOSITORY / 'workflow'}",
            "STUB_VLLM": "works",
        }
        self.said = 0
        self.patience_s = PATIENCE_S
        self.sessions: set[int] = set()

    # --- Starting and ending -------------------------------------------------------------

    def popen(self, command: list[str], **options: Any) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command in a session of its own; what it says goes to a file."""
        self.said += 1
        path = self.directory / f"said-{self.said}.txt"
        environment = self.environment | options.pop("environment", {})
        stream: Any = path.open("wb")
        if options.pop("piped", False):
            # What it says goes to no file of its own disk.
            stream = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=stream).stdin
        with stream:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        return process, path

    def workflow(self, *targets: str, **options: Any) -> tuple[subprocess.Popen[bytes], Path]:
        """Start what `make lab` starts, with Snakemake's own lines."""
        command = [sys.executable, "-m", "snakemake_logger_plugin_lab"]
        return self.popen([*command, *self.arguments(*targets)], **options)

    def arguments(self, *targets: str) -> list[str]:
        """Those of Snakemake, with the configuration as it is now in its file."""
        (self.directory / "mine.yaml").write_text(yaml.safe_dump(self.changes))
        return [
            *(targets or self.records_by_name()),
            *("--executor", "local", "--cores", "1", "--resources", "gpu=1"),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(self.directory)),
            *("--configfile", str(CONFIG), "mine.yaml"),
        ]

    def measurement(
        self,
        arm: str | Sequence[str] = "eager",
        repeat: int = 1,
        platform: str = "cpu",
        **options: Any,
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start what the rule `measure` starts, or with several arms that of a repeat in turn."""
        arms = [arm] if isinstance(arm, str) else arm
        config = parse_yaml(CONFIG.read_text(encoding="utf-8"))
        for key, value in self.changes.items():
            config[key] = config[key] | value if isinstance(config.get(key), dict) else value
        weights = self.directory / "weights.json"
        if not weights.exists():
            chosen = {"weights": "dummy", "revision": None, "path": str(self.directory)}
            weights.write_text(json.dumps(chosen))
        job = job_of(parse_config(config), platform, DATASET, arms, repeat)
        command = [sys.executable, "-m", "cudagraph_lab.cli", "measure"]
        command += ["--job", job.model_dump_json(), "--weights", str(weights)]
        return self.popen(
            options.pop("under", []) + command,
            environment=options.pop("environment", {}),
            **options,
        )

    def end(self, process: subprocess.Popen[bytes], said: Path) -> str:
        """Wait for the end of a command; what it said, which holds no traceback."""
        try:
            process.wait(timeout=self.patience_s)
        except subprocess.TimeoutExpired:
            alive = [p.info for p in psutil.process_iter(["pid", "ppid", "status", "cmdline"])]
            found = [p.pid for p in self.processes()]
            running = [info for info in alive if info["pid"] in found]
            raise AssertionError(f"{said.read_text()[-2000:]}\nstill running: {running}") from None
        text = said.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in text, text[-3000:]
        return text

    def go_on(self, *targets: str) -> str:
        """The one documented command, to its end; it succeeds."""
        with warm_snakemake() as warm:
            done = warm.run(
                self.arguments(*targets),
                self.environment,
                self.patience_s,
                module="snakemake_logger_plugin_lab.__main__",
                directory=self.directory,
            )
        text = str(done.stdout)
        assert "Traceback" not in text, text[-3000:]
        assert done.returncode == 0, text[-4000:]
        return text

    # --- Looking -------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """All processes that were started in this trial and run.

        Known by their environment, or, as vLLM's own children write over theirs, by a
        session that was seen to be of this trial.
        """
        running = running_since(self.begun)
        mark = f"{TOKEN}={self.token}".encode()
        for pid, session in running.items():
            if session in self.sessions:
                continue
            with suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    self.sessions.add(session)
        found: list[psutil.Process] = []
        for pid, session in running.items():
            if session in self.sessions:
                with suppress(psutil.Error):
                    found.append(psutil.Process(pid))
        return found

    def find(self, word: str) -> psutil.Process | None:
        """The process of this trial with this word in its command line; the eldest."""
        for process in sorted(self.processes(), key=lambda p: p.pid):
            with suppress(psutil.Error):
                if any(word in part for part in process.cmdline()):
                    return process
        return None

    def survivors(self) -> int:
        """How many processes are left once they had time to notice."""
        end = time.monotonic() + 20
        while (alive := self.processes()) and time.monotonic() < end:
            time.sleep(LOOK_S)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
        return len(alive)

    @property
    def runs(self) -> Path:
        return self.directory / "results" / DATASET / "runs"

    def record(self, arm: str = "eager", repeat: int = 1) -> Path:
        return self.runs / arm / f"rep{repeat}.json"

    def records_by_name(self) -> list[str]:
        return [str(self.record(arm).relative_to(self.directory)) for arm in ARMS]

    def contents(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(self.runs.glob("*/rep*.json"))}

    def believed(self) -> dict[Path, Record]:
        """The records that reading believes."""
        found = {}
        for path in self.contents():
            with suppress(LabError):
                found[path] = read_record(path, DATASET)
        return found

    def half_written(self) -> int:
        """Records that are there and are none."""
        return len(self.contents()) - len(self.believed())

    def left_behind(self) -> int:
        """Locks that are held, and files beside the records that are neither record nor log."""
        left = 0
        for lock in self.directory.glob("user/cudagraph-lab/locks/*"):
            with lock.open() as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    left += 1
        left += len(list(self.directory.glob(".snakemake/locks/*")))
        for path in self.runs.glob("*/*"):
            name = path.name
            left += not (name.endswith((".json", ".log")) or SET_ASIDE in name)
        return left + len(list(self.runs.rglob(".*")))

    def lost(self, before: dict[Path, bytes]) -> int:
        """How many records that were there are not, or not as they were."""
        now = self.contents()
        return sum(now.get(path) != content for path, content in before.items())


# Those that are not in use; each runs one workflow at a time.
_warm: SimpleQueue[WarmSnakemake] = SimpleQueue()


@contextmanager
def warm_snakemake() -> Iterator[WarmSnakemake]:
    """A process that has imported Snakemake, for a workflow that nothing is done to."""
    try:
        warm = _warm.get_nowait()
    except Empty:
        warm = WarmSnakemake()
    yield warm
    _warm.put(warm)


def cool_down() -> None:
    """End the processes that wait for workflows."""
    with suppress(Empty):
        while True:
            _warm.get_nowait().close()


def running_since(begun: float) -> dict[int, int]:
    """By number, the session of each process that began after `begun`, seconds since the boot.

    Straight from /proc: the trials look while they wait, and would keep a core busy otherwise.
    """
    first = int(begun * os.sysconf("SC_CLK_TCK")) - 1
    found: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            with open(f"/proc/{entry.name}/stat", "rb", buffering=0) as stream:  # noqa: PTH123
                # Behind the name, which may hold anything: state, parent, group, session, and on.
                stat = stream.read().rpartition(b")")[2].split()
            if stat[0] != b"Z" and int(stat[19]) >= first:
                found[int(entry.name)] = int(stat[3])
    return found


def wait_for(condition: Any, patience_s: float = PATIENCE_S) -> Any:
    """The first true value of a condition; fails where there is none for too long."""
    end = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(LOOK_S)
    return value


def one_line(text: str) -> str:
    """The one line in which a mistake ends."""
    lines = [line for line in text.splitlines() if line.startswith("cudagraph-lab: ")]
    assert len(set(lines)) == 1, text[-3000:]
    return lines[0].removeprefix("cudagraph-lab: ")


def kill(process: psutil.Process | None, number: int) -> None:
    """Send a signal, unless the process has ended by then."""
    if process is not None:
        with suppress(psutil.Error, ProcessLookupError):
            process.send_signal(number)


def kill_group(leader: int, number: int) -> None:
    """Send a signal to a whole process group, as a terminal does."""
    with suppress(ProcessLookupError):
        os.killpg(leader, number)


SIGNALS = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
