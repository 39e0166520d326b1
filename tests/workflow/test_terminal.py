"""`make lab` and `make report` in a terminal: what moves, what stays, Ctrl-C, and company."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from types import SimpleNamespace

import pytest
import yaml

from tests.workflow.walking import ARMS, DATASET, Walk

COLUMNS = 100
CONTROL_C = b"\x03"
CLEAR = "\r\x1b[K"
# What is Snakemake's or a library's, and in its log.
FOREIGN = ("Traceback", 'File "', "rule ", "Params have changed", "Warning", "Complete log",
           "jobid", "Exception", "Using", "make: ")  # fmt: skip


def in_terminal(walk, *command, when="", then=lambda terminal: None):
    """Run a command in a terminal; `then` is called once `when` has been shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(walk.directory)
        os.execvpe(command[0], command, walk.environment)  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    shown, waiting = b"", bool(when)
    while True:
        ready, _, _ = select.select([terminal], [], [], 300)
        assert ready, shown
        try:
            more = os.read(terminal, 1 << 16)
        except OSError:  # what a terminal says whose last process is gone
            break
        if not more:
            break
        shown += more
        if waiting and re.search(when, shown.decode("utf-8", errors="replace")):
            waiting = False
            then(terminal)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    text = shown.decode("utf-8").replace("\r\n", "\n")
    assert not waiting, text
    moved = [piece for piece in text.split(CLEAR) if "\n" not in piece]
    kept = re.sub(r"\r\x1b\[K[^\n]*?(?=\r\x1b\[K)", "", text).replace(CLEAR, "").splitlines()
    return SimpleNamespace(
        returncode=os.waitstatus_to_exitcode(status),
        moved=moved,
        kept=[line for line in kept if line],
        text=text,
    )


@pytest.fixture(scope="module")
def session(tmp_path_factory, repository):
    """make lab, Ctrl-C in its second run, make lab beside a make report, again, and a mistake."""
    walk = Walk(tmp_path_factory.mktemp("terminal"), repository)
    (walk.directory / "mine.yaml").write_text(yaml.safe_dump(walk.mine))
    lab = ("make", "lab", "ARGS=--configfile mine.yaml")
    beside = {}

    def ask_for_a_report(terminal):
        # The lab stands still meanwhile, so that it does not end before the report begins.
        group = os.tcgetpgrp(terminal)
        os.killpg(group, signal.SIGSTOP)
        beside["report"] = subprocess.run(
            ["make", "report", "ARGS=--configfile mine.yaml"],
            cwd=walk.directory, env=walk.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        os.killpg(group, signal.SIGCONT)

    second = r"run 2 of 2[^\r]*(booting|round)"
    stopped = in_terminal(walk, *lab, when=second, then=lambda t: os.write(t, CONTROL_C))
    finished = in_terminal(walk, *lab, when=r"computing the ledger", then=ask_for_a_report)
    again = in_terminal(walk, *lab)
    walk.ask_for("wrong", kv_cache_dtype="fp9")
    (walk.directory / "mine.yaml").write_text(yaml.safe_dump(walk.mine))
    mistaken = in_terminal(walk, *lab)
    # Refused when the configuration is read, before anything is planned.
    (walk.directory / "mine.yaml").write_text(
        yaml.safe_dump(walk.mine | {"order": "as the lab itself has it, " * 4})
    )
    return SimpleNamespace(
        refused=in_terminal(walk, *lab),
        stopped=stopped,
        finished=finished,
        again=again,
        mistaken=mistaken,
        report=beside["report"],
        path=walk.directory / "results" / "report" / "lab_report.html",
    )


def test_before_it_starts_it_says_which_runs_and_how_many_boots(session):
    (plan,) = [line for line in session.stopped.kept if line.startswith(f"{DATASET}: ")]
    assert f"2 runs ({', '.join(ARMS)}), 2 boots of vLLM to go" in session.stopped.text
    (plan,) = [line for line in session.finished.kept if line.startswith(f"{DATASET}: ")]
    assert re.search(rf"1 of 2 runs there, 1 boot of vLLM to go \(({'|'.join(ARMS)})\), ", plan)


def test_one_line_moves_while_it_measures_and_never_wraps(session):
    runs = [line for line in session.stopped.moved if line.startswith("run ")]
    assert any(re.match(r"run 1 of 2 - \w+ rep 1: booting vLLM \(\d+ s\)", line) for line in runs)
    assert any("round 1 of 1" in line for line in runs)
    assert max(map(len, runs)) < COLUMNS


def test_control_c_says_what_was_kept_and_that_the_same_command_goes_on(session):
    assert session.stopped.returncode != 0
    assert session.stopped.kept[-1].endswith("stopped; 1 of 2 runs kept; `make lab` goes on")


def test_at_the_end_stand_the_sentences_and_the_path(session):
    for call in (session.finished, session.again):
        assert call.returncode == 0, call.text
        assert call.kept[-1] == f"The report: {session.path}"
        sentences = session.path.with_name("answer.txt").read_text(encoding="utf-8").splitlines()
        # A CPU has no graphs to set. Wrapped lines go on with two spaces.
        assert [line.split(" ")[0] for line in sentences] == ["Compilation", "Held:"]
        assert "\n".join(call.kept).replace("\n  ", " ").splitlines()[-3:-1] == sentences
        assert session.path.exists()


def test_a_report_during_a_lab_is_refused_in_one_clear_line(session):
    assert session.report.returncode != 0
    line, from_make = session.report.stdout.splitlines()
    assert "is at work in this directory" in line
    assert re.fullmatch(r"make: \*\*\* \[Makefile:\d+: report\] Error 1", from_make)


def test_a_mistake_is_the_plan_and_one_line_that_names_it(session):
    assert session.mistaken.returncode != 0
    # Wrapped lines go on with two spaces.
    plan, mistake, kept, from_make = (
        "\n".join(session.mistaken.kept).replace("\n  ", " ").splitlines()
    )
    assert plan.startswith(f"{DATASET}: 2 of 3 runs there")
    assert mistake.startswith("cudagraph-lab: wrong rep 1: vLLM did not start: ValueError: ")
    assert kept == "2 of 3 runs kept; `make lab` goes on with the rest"
    assert from_make.endswith("lab] Error 1")


def test_a_mistake_in_the_configuration_wraps_at_words(session):
    *lines, _ = session.refused.kept
    assert lines[0].startswith("cudagraph-lab: config: order")
    assert len(lines) > 1
    assert all(line.startswith("  ") and len(line) < COLUMNS for line in lines[1:])


def test_every_line_is_meant_for_the_user(session):
    calls = (session.stopped, session.finished, session.again)
    assert sum(len(call.kept) for call in calls) <= 40
    for call in calls:
        assert [line for line in call.kept if any(word in line for word in FOREIGN)] == []
        assert max(map(len, call.kept)) < 300
