"""What a person reads of what Snakemake and its jobs say."""

import pytest

from cudagraph_lab.terminal.words import (
    building,
    error_lines,
    minutes,
    moving_line,
    progress_of,
    stopped,
)

FROM_SNAKEMAKE = """WorkflowError in file "/srv/lab/workflow/rules/common.smk", line 53:
config: arms.Upper: 'Upper' is no name
  File "/srv/lab/workflow/rules/common.smk", line 67, in <module>
  File "/usr/lib/python3.11/contextlib.py", line 158, in __exit__"""


def test_of_an_error_the_message_is_kept_and_neither_its_class_nor_its_frames():
    assert error_lines(FROM_SNAKEMAKE, "WorkflowError") == [
        "config: arms.Upper: 'Upper' is no name"
    ]


def test_a_locked_directory_is_one_line_that_advises_no_unlock():
    said = "Error: Directory cannot be locked. Please make sure ...\nuse --unlock"
    (line,) = error_lines(said, "LockException")
    assert "is at work in this directory; wait until it ends" in line
    assert "unlock" not in line


@pytest.mark.parametrize(
    "message",
    [
        "WorkflowError:\nAt least one job did not complete successfully.",
        "Exiting because a job execution failed. Look below for error messages",
    ],
)
def test_what_a_failed_job_said_itself_is_not_said_again(message):
    assert error_lines(message, "WorkflowError") == []


def test_of_a_shell_command_that_failed_the_command_is_not_said():
    said = (
        'RuleException:\nCalledProcessError in file "/srv/lab/workflow/rules/runs.smk", line 50:\n'
        "Command 'set -euo pipefail;  exec python3 -m x\n2>&1' returned non-zero exit status 1."
    )
    assert error_lines(said, "RuleException") == []


def test_an_error_cannot_move_the_cursor():
    (line,) = error_lines("MissingRuleException:\nNo rule to produce a\x1b[2J", None)
    assert line.startswith("No rule to produce a")
    assert line.isprintable()


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("eager rep 1: starting", ("eager rep 1", "starting")),
        ("my-arm rep 12: booting vLLM", ("my-arm rep 12", "booting vLLM")),
        ("repeat 2: booting vLLM, my-arm", ("repeat 2", "booting vLLM, my-arm")),
        ("repeat 2: round 3 of 5, eager 40 tok/s", ("repeat 2", "round 3 of 5, eager 40 tok/s")),
        ("own rep 1: batch 8: first call, 9 tok/s", ("own rep 1", "batch 8: first call, 9 tok/s")),
        ("repeat 1: eager, batch 8: profiling, not timed",
         ("repeat 1", "eager, batch 8: profiling, not timed")),
        ("eager rep 1: FAILED (timeout): it hangs", None),
        ("eager rep 1: another measurement holds the device; waiting for it", None),
        ("repeat 1: eager ended early; the other arms go on", None),
        ("cudagraph-lab: x rep 1: vLLM did not start: starting", None),
        ("Traceback (most recent call last):", None),
    ],
)  # fmt: skip
def test_progress_moves_and_all_else_stays(line, progress):
    assert progress_of(line) == progress


@pytest.mark.parametrize(
    ("line", "moves"),
    [
        ("building vLLM's environment from vllm-cpu.txt (once)", True),
        ("Using Python 3.11.2 environment at: envs/vllm-cpu", True),
        ("Downloading torch (506.0MiB)", True),
        (" Downloaded torch", True),
        (" + torch==2.11.0+cpu", True),
        ("Bytecode compiled 21343 files in 26.34s", True),
        ("warning: Failed to hardlink files; falling back to full copy", False),
        ("error: Failed to download `torch`", False),
        ("  Caused by: Request failed", False),
        ("another process is building vllm-cpu; waiting for it", False),
    ],
)
def test_while_vllms_environment_is_built_what_goes_well_moves(line, moves):
    assert building(line) is moves


def test_the_moving_line_says_which_run_of_how_many_and_what_is_left():
    assert moving_line("eager rep 2", "starting", 1, 6, 300) == (
        "run 2 of 6, ~5 min left - eager rep 2: starting"
    )
    assert (
        moving_line("eager rep 2", "starting", 6, 6, None) == "run 6 of 6 - eager rep 2: starting"
    )
    # Of arms in turn the repeat is the run, and the ratio fits into 80 columns.
    said = moving_line("repeat 2", "round 3 of 5, graphs/eager 2.51x (2.40 to 2.63)", 1, 3, 240)
    assert said == "repeat 2 of 3, ~4 min left - round 3 of 5, graphs/eager 2.51x (2.40 to 2.63)"
    assert len(said) < 80


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (600, "10 min")]
)
def test_durations(seconds, said):
    assert minutes(seconds) == said


def test_after_control_c():
    assert stopped(3, 6) == "stopped; 3 of 6 runs kept; `make lab` goes on"
    assert "0 of 0" not in stopped(0, 0)
