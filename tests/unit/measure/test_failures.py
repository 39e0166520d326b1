"""Why a run has no numbers: the cause among many exceptions, and what of it is recorded."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.measure.failures import (
    Outcome,
    explain_failure,
    is_result,
    mistake,
    root_cause,
)
from cudagraph_lab.protocol import OWN_TRACEBACK


def explained(log, reason=None, stage="boot", returncode=0, timed_out=False, memory=False):
    failure = None if reason is None else {"reason": reason}
    outcome = Outcome(returncode, timed_out, log, out_of_memory=memory)
    return explain_failure(failure, outcome, stage, 1800.0, log)


SYMPTOM = "RuntimeError: Engine core initialization failed. See root cause above. Failed core: {}"


def logged(who: str, where: str, title: str, *errors: str) -> list[str]:
    """What vLLM's logger writes of exceptions that were raised one from the other."""
    head = f"({who}) ERROR 11-26 10:00:00 [{where}] "
    lines = [title]
    for place, error in enumerate(errors):
        lines += ["", "The above exception was the direct cause of the following:", ""][: 3 * place]
        lines += ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "    f()"]
        lines += error.split("\n")
    return [head + line for line in lines]


POINTERS = (
    "Exception: WorkerProc initialization failed due to an exception in a background process. "
    "See stack trace for root cause.",
    "RuntimeError: Worker failed with error 'x', please check the stack trace above for the root "
    "cause",
    "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace "
    "(above) for the root cause.",
)


def test_the_first_exception_of_a_chain_over_three_processes_is_the_cause():
    log = [
        "INFO 11-26 09:59:00 [model.py:617] Resolved architecture: OPTForCausalLM",
        *logged(
            "Worker pid=9",
            "multiproc_executor.py:870",
            "WorkerProc failed to start.",
            "RuntimeError: _C::quant() expected at most 0 argument(s)\nDeclaration: _C::quant()",
            "ValueError: the layer cannot be made",
        ),
        *logged("EngineCore pid=7", "core.py:1165", "EngineCore failed to start.", POINTERS[0]),
        "(EngineCore pid=7) Process EngineCore:",
        "(EngineCore pid=7) Traceback (most recent call last):",
        f"(EngineCore pid=7) {POINTERS[0]}",
    ]
    why = explained(log, SYMPTOM)
    assert why["kind"] == "boot"
    assert why["reason"] == (
        "RuntimeError: _C::quant() expected at most 0 argument(s) Declaration: _C::quant()"
    )
    assert explained(["nothing said"], SYMPTOM)["reason"] == SYMPTOM
    assert explained([], "IndexError: x", stage="generate")["kind"] == "generate"


def test_what_was_handled_and_what_is_a_warning_is_no_cause():
    log = [
        "WARNING 11-26 09:59:00 [x.py:1] ImportError: no module that nobody needs",
        "ValueError: printed by a library long before",
        *logged("EngineCore pid=7", "core.py:1", "EngineCore failed to start.", "KeyError: 'a'"),
        "(EngineCore pid=7) ERROR 11-26 10:00:00 [core.py:1] ",
        "(EngineCore pid=7) ERROR 11-26 10:00:00 [core.py:1] "
        "During handling of the above exception, another exception occurred:",
        "(EngineCore pid=7) ERROR 11-26 10:00:00 [core.py:1] torch.OutOfMemoryError: CUDA out of "
        "memory. Tried to allocate 2.00 GiB",
        OWN_TRACEBACK,
        "TypeError: of the process that waited",
    ]
    assert root_cause(log).startswith("torch.OutOfMemoryError: CUDA out of memory. Tried")
    assert root_cause(log[:2]) == "ValueError: printed by a library long before"
    assert root_cause(log[-2:]) is None


def test_what_this_process_raised_is_the_cause_whatever_the_log_says():
    why = explained(["ValueError: handled"], "ValidationError: 1 error\n  cache_dtype\n    no fp9")
    assert why["reason"] == "ValidationError: 1 error cache_dtype no fp9"
    address = "\n    For further information visit some.where/v/x"
    assert explained([], "ValueError: x" + address)["reason"] == "ValueError: x"
    given_value = " [type=literal_error, input_value='fp9', input_type=str]"
    said = "ValidationError: 1 error\n  cache_dtype\n    Input should be 'auto'"
    reason = explained([], said + given_value + address)["reason"]
    assert reason == "ValidationError: 1 error cache_dtype Input should be 'auto', not 'fp9'"


@given(
    st.integers(1, 8),
    st.lists(st.sampled_from(POINTERS), min_size=1, max_size=3),
    st.integers(0, 300),
    st.randoms(use_true_random=False),
)
def test_the_first_worker_names_the_cause_whoever_writes_between(
    workers: int, pointers: list[str], chatter: int, rng: random.Random
) -> None:
    cause = "ValueError: the one that began it"
    first, *others = (
        logged(f"Worker_TP{k} pid={k + 9}", "multiproc_executor.py:870", "WorkerProc hit an "
               "exception.", cause if k == 0 else f"RuntimeError: peer {k} is gone")
        for k in range(workers)
    )  # fmt: skip
    for one in pointers:
        others.append(logged("EngineCore pid=7", "core.py:1165", "EngineCore failed.", one))
    others.append([f"(Worker_TP1 pid=10) INFO 11-26 10:00:01 [x.py:1] {k}" for k in range(chatter)])
    rest: list[str] = []
    while any(others):  # lines of one process stay in order
        rest.append(rng.choice([one for one in others if one]).pop(0))
    assert root_cause(["DEBUG 11-26 10:00:00 [x.py:1] begun", *first, *rest]) == cause


@pytest.mark.parametrize(
    "line",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "RuntimeError: HIP Out Of Memory",
        "(Worker pid=3) torch.AcceleratorError: CUDA error: out of memory",
    ],
)
def test_out_of_memory_is_known_by_the_words_of_the_cause(line):
    why = explained([line], SYMPTOM)
    assert why["kind"] == "out_of_memory"
    assert line.rpartition("Error: ")[2] in why["reason"]
    # Not by words that stand somewhere in the log.
    hint = "INFO 11-26 10:00:00 [x.py:1] use --swap to avoid running out of memory"
    assert explained([hint, "ValueError: no backend"], SYMPTOM)["kind"] == "boot"


def test_what_the_kernel_ended_for_want_of_memory_is_out_of_memory():
    assert explained([], returncode=-9, memory=True)["kind"] == "out_of_memory"
    # A worker was ended, and the process that answers lives to say that it died.
    assert explained([], POINTERS[2], stage="generate", memory=True)["kind"] == "out_of_memory"
    # Somebody else's process may have been ended meanwhile.
    assert explained([], "ValueError: x", memory=True)["kind"] == "boot"


def test_a_timeout_stays_one_whatever_the_log_says():
    why = explained(["CUDA out of memory"], timed_out=True, returncode=-9)
    assert why["kind"] == "timeout"
    assert why["reason"] == "took longer than timeout_s (1800 s) and was ended"


def test_a_process_that_ends_without_a_result_was_killed():
    assert explained([], returncode=-9) == {
        "kind": "killed",
        "reason": "the process ended with -9 and no result; if memory is limited here, that is "
        "how too little of it looks",
        "log_tail": [],
    }
    assert explained([], returncode=0)["reason"] == "the process ended with 0 and no result"
    crashed = explained(["ValueError: the last words"], returncode=-11)
    assert (
        crashed["reason"] == "the process ended with -11 and no result: ValueError: the last words"
    )


def test_what_the_device_cannot_do_is_not_supported():
    why = explained([], "ValueError: bfloat16 is not supported here", stage="generate")
    assert why["kind"] == "not_supported"


def test_a_failure_keeps_the_end_of_vllms_log_and_no_more():
    lines = [f"line {k}" for k in range(100)] + ["x" * 9000]
    why = explained([*lines, OWN_TRACEBACK, "Traceback"], SYMPTOM)
    assert why["log_tail"][-2:] == lines[-2:]
    assert len(why["log_tail"]) == 15
    assert len(explained(["ValueError: " + "x" * 9000], SYMPTOM)["reason"]) == 500


def test_a_result_is_what_an_engine_at_work_comes_to():
    recorded = {
        stage: [
            kind
            for kind in ("out_of_memory", "boot", "generate", "timeout", "killed", "not_supported")
            if is_result(kind, stage)
        ]
        for stage in ("import", "boot", "generate")
    }
    assert recorded["import"] == []
    assert recorded["boot"] == ["out_of_memory", "timeout"]
    assert len(recorded["generate"]) == 6


@given(st.text(st.sampled_from("ab ,'"), max_size=400))
def test_a_mistake_keeps_the_beginning_and_the_end_of_its_reason(middle):
    """vLLM names the argument first and the value that was given last."""
    reason = f"ValidationError: cache_dtype: {middle}, not 'fp9'"
    line = mistake("wrong rep 1", "wrong", "boot", reason, "results/x.log")
    head = "wrong rep 1: vLLM did not start: ValidationError: cache_dtype: "
    tail = ", not 'fp9'; correct arms.wrong.engine_args, or what else it names, and run again"
    assert line.startswith(head)
    assert tail in line
    assert len(line) <= len(head) + 180 + len(tail) + len("; the log is results/x.log")
    if len(reason) <= 180:
        assert reason in line
