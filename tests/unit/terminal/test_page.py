"""One call of `make lab` on a terminal that is none, and on one that is."""

import io

import pytest

from cudagraph_lab.terminal.page import Page
from cudagraph_lab.terminal.screen import Screen


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def piped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream = io.StringIO()
    return Page(Screen(stream)), stream


def plan(page, tmp_path):
    runs = [tmp_path / "eager" / f"rep{k}.json" for k in (1, 2, 3)]
    page.plan(["here: 3 runs"], [str(path) for path in runs], 60)
    return runs


def test_the_plan_is_said_where_something_is_measured_and_only_there(piped, tmp_path):
    page, stream = piped
    plan(page, tmp_path)
    page.begin({"build_ledger": 1})
    assert stream.getvalue() == ""
    page.begin({"build_ledger": 1, "measure": 2, "measure_in_turn_1": 1})
    assert stream.getvalue() == "here: 3 runs\n"


def test_an_interruption_says_how_many_runs_stand_and_nothing_else(piped, tmp_path):
    page, stream = piped
    first, *_ = plan(page, tmp_path)
    page.begin({"measure": 3})
    first.parent.mkdir()
    first.write_text("{}")
    page.heard("cudagraph-lab: interrupted; nothing half-done is kept, the same command goes on")
    page.job_fails("measure", ["a.log"])
    page.error("WorkflowError:\nsomething", "WorkflowError")
    page.end()
    assert stream.getvalue() == ("here: 3 runs\nstopped; 1 of 3 runs kept; `make lab` goes on\n")


def test_a_mistake_is_said_once_and_no_report_is_claimed(piped):
    page, stream = piped
    page.heard("cudagraph-lab: x rep 1: vLLM did not start")
    page.heard("cudagraph-lab: x rep 1: vLLM did not start")
    page.job_fails("measure", ["a.log"])
    page.end()
    assert stream.getvalue() == "cudagraph-lab: x rep 1: vLLM did not start\n"


def test_a_mistake_that_another_repeat_meets_too_is_said_once(piped):
    page, stream = piped
    for arm, repeat in (("x", 1), ("x", 2), ("y", 2)):
        log = f"results/a/runs/{arm}/rep{repeat}.log"
        page.heard(f"cudagraph-lab: {arm} rep {repeat}: vLLM did not start; the log is {log}")
    assert [line.split(":")[1] for line in stream.getvalue().splitlines()] == [
        " x rep 1",
        " y rep 2",
    ]


def test_beside_a_failed_measurement_it_says_what_was_kept(piped, tmp_path):
    page, stream = piped
    first, *_ = plan(page, tmp_path)
    page.begin({"measure": 3})
    page.job_starts(1, "measure")
    page.heard("cudagraph-lab: x rep 1: vLLM did not start")
    page.job_fails("measure", ["a.log"])
    first.parent.mkdir()
    first.write_text("{}")
    page.end()
    assert stream.getvalue().splitlines()[1:] == [
        "cudagraph-lab: x rep 1: vLLM did not start",
        "1 of 3 runs kept; `make lab` goes on with the rest",
    ]


def test_a_job_that_failed_without_saying_why_in_a_line_names_its_log(piped, tmp_path):
    page, stream = piped
    plan(page, tmp_path)
    page.begin({"measure": 1})
    page.heard("Traceback (most recent call last):")
    page.job_fails("build_ledger", ["logs/build_ledger.log"])
    *_, first, last = stream.getvalue().splitlines()
    assert first == "Traceback (most recent call last):"
    assert last == "build_ledger failed; its log is logs/build_ledger.log"


@pytest.mark.parametrize("how", ["written", "up to date"])
def test_at_the_end_stand_the_sentences_and_the_path(piped, tmp_path, how):
    page, stream = piped
    report = tmp_path / "results" / "report" / "lab_report.html"
    report.parent.mkdir(parents=True)
    report.write_text("")
    (report.parent / "answer.txt").write_text("A is 3× as fast.\nSet: it.\n", encoding="utf-8")
    if how == "written":
        page.job_starts(4, "render_report")
        page.job_ends(4)
    else:
        page.nothing_to_do()
    page.end()
    assert stream.getvalue().splitlines() == [
        "A is 3× as fast.",
        "Set: it.",
        f"The report: {report}",
    ]


def test_where_no_line_can_move_each_step_of_a_measurement_is_a_line(piped):
    page, stream = piped
    page.heard("eager rep 1: booting vLLM")
    page.heard("eager rep 1: round 1 of 3, batch 1: 9 tok/s")
    assert stream.getvalue().splitlines() == [
        "eager rep 1: booting vLLM",
        "eager rep 1: round 1 of 3, batch 1: 9 tok/s",
    ]


def test_on_a_terminal_one_line_moves_and_what_stays_stands_above_it(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    page = Page(Screen(stream))
    page.plan(["a plan"], [], 100)
    page.begin({"measure": 2})
    page.heard("eager rep 1: booting vLLM")
    page.heard("eager rep 1: round 1 of 3, batch 1: 9 tok/s")
    page.heard("eager rep 1: FAILED (timeout): it hangs")
    page.screen.close()
    rest, *shown = stream.getvalue().split("\r\x1b[K")
    assert rest == "a plan\n"
    assert shown[0] == "run 1 of 2, ~3 min left - eager rep 1: booting vLLM (0 s)"
    # Where the time that has passed has no room, the text alone.
    assert shown[1] == "run 1 of 2, ~3 min left - eager rep 1: round 1 of 3, batch "
    assert "eager rep 1: FAILED (timeout): it hangs\n" in shown
    assert shown[-1] == ""  # nothing of the moving line is left behind
    assert max(map(len, shown)) < 60


def test_of_the_build_of_vllms_environment_no_line_stays_but_what_goes_wrong(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    page = Page(Screen(stream))
    page.heard("building vLLM's environment from vllm-cpu.txt (once)")
    page.heard("Downloading torch (506.0MiB)")
    page.heard("error: Failed to download `torch`")
    page.screen.close()
    shown = stream.getvalue().split("\r\x1b[K")
    assert "vLLM's environment: Downloading torch (506.0MiB) (0 s)" in shown
    assert [line for line in shown if "\n" in line] == ["error: Failed to download `torch`\n"]
