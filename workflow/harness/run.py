"""Serve the calls of one arm, in this fresh process, inside vLLM's own environment.

    python run.py JOB COMMANDS_FD ANSWERS_FD

JOB is a JSON file (`request` and `platform` as in the record, plus `model_path`, `draft_path`,
`devices`, `trace_dir`, `profile_tokens` and `clock_zero_s`). The process boots the engine and then
makes the calls that it is asked for, as `cudagraph_lab.protocol` says. Between calls it waits on
the pipe and does nothing. Only the standard library and vLLM are imported. Timed is
`generate`, and nothing else.
"""

import lineage  # noqa: F401, I001 - first: children must die with their parent

import time

PROCESS_BEGUN = time.perf_counter()

import json  # noqa: E402
import os  # noqa: E402
import platform as host_platform  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from calls import keep_outputs, make_call  # noqa: E402
from cudagraph_lab.protocol import FOREIGN_PROCESS_EXIT, OWN_TRACEBACK, send  # noqa: E402
from ranks import ranks_of, startup_of  # noqa: E402


def since_start() -> float:
    """Seconds since this process began."""
    return time.perf_counter() - PROCESS_BEGUN


def engine_arguments(job: dict[str, Any]) -> dict[str, Any]:
    """Everything that `LLM(...)` is given; the arm's own arguments win."""
    request = job["request"]
    workload = request["workload"]
    arguments = {
        "model": job["model_path"],
        "load_format": "dummy" if request["weights"] == "dummy" else "auto",
        # Token ids go in and come out: a tokenizer would only add its own time.
        "skip_tokenizer_init": workload["prompt_token_ids"] is not None,
        "max_model_len": workload["max_model_len"],
        "gpu_memory_utilization": workload["gpu_memory_utilization"],
        "seed": request["seed"],
        "disable_log_stats": False,
        "cudagraph_metrics": True,
        "worker_cls": "lab_worker.LabWorker",
    }
    own = dict(request["engine_args"])
    if job["draft_path"] is not None:
        own["speculative_config"] = {**own["speculative_config"], "model": job["draft_path"]}
    # Last: whatever an arm asks for, code of a model's repository is never run.
    return {**arguments, **own, "trust_remote_code": False}


def profile(llm: Any, prompts: list[Any], batch: int, job: dict[str, Any]) -> None:
    """Run a few steps under the profiler; the trace file is named after the batch size."""
    from vllm import SamplingParams

    short = SamplingParams(
        max_tokens=job["profile_tokens"], temperature=0, ignore_eos=True, detokenize=False
    )
    llm.collective_rpc("lab_profile_start")
    llm.generate(prompts, short, use_tqdm=False)
    llm.collective_rpc("lab_profile_stop", args=(str(Path(job["trace_dir"], f"b{batch}.json")),))


def serve(
    llm: Any,
    counts_steps: bool,
    job: dict[str, Any],
    commands: Any,
    answer: Callable[..., None],
) -> None:
    """Do what the measuring process asks for until it says `quit` or is gone.

    `counts_steps`: the worker counts the steps, as its messages do not tell their graph mode.
    """
    from vllm import SamplingParams

    from conditions import energy_meter, read_conditions
    from idle import wait_until_idle

    workload = job["request"]["workload"]
    prompt: Any = workload["prompt"]
    if workload["prompt_token_ids"] is not None:
        prompt = {"prompt_token_ids": workload["prompt_token_ids"]}
    sampling = SamplingParams(
        max_tokens=workload["output_tokens"],
        temperature=0,
        ignore_eos=True,
        detokenize=workload["prompt_token_ids"] is None,
    )
    kept = keep_outputs(llm)
    take_steps = (lambda: llm.collective_rpc("lab_take_steps")[0]) if counts_steps else None
    read_energy_j = energy_meter(job["platform"], job["devices"])
    for line in commands:
        asked = json.loads(line)
        if asked["do"] == "quit":
            return
        if asked["do"] == "conditions":
            readings = read_conditions(job["platform"], asked["at"], since_start(), job["devices"])
            answer(event="conditions", readings=readings)
        elif asked["do"] == "profile":
            profile(llm, [prompt] * asked["batch"], asked["batch"], job)
            answer(event="profile", batch=asked["batch"])
        else:
            prompts = [prompt] * asked["batch"]
            # What a draft replays is counted in calls that are not timed: the count takes time.
            counted = job["draft_path"] is not None and asked["role"] != "timed"
            if counted:
                llm.collective_rpc("lab_count_draft_passes")
            made = make_call(
                llm, kept, prompts, sampling, job["clock_zero_s"], read_energy_j, take_steps
            )
            if counted:
                made["call"]["draft_passes"] = llm.collective_rpc("lab_draft_passes")[0]
            made["call"] = {"role": asked["role"], "round": asked["round"], **made["call"]}
            if job["platform"] == "cpu" and job["request"]["measured"] == "in_turn":
                # Whose turn is next shares the processors with this engine.
                wait_until_idle()
            answer(event="call", batch=asked["batch"], **made)


def boot(job: dict[str, Any], answer: Callable[..., None]) -> tuple[Any, bool]:
    """Import vLLM and start the engine; None where a foreign process uses the device.

    Also returns whether the worker counts the steps.
    """
    answer(event="import")
    import torch
    import vllm
    from vllm import LLM

    imported_s = since_start()
    from conditions import read_conditions

    before = read_conditions(job["platform"], "before", since_start(), job["devices"])
    answer(event="conditions", readings=before)
    if foreign := [one for reading in before for one in reading.get("foreign_processes") or []]:
        print(f"processes {foreign} already use the device", file=sys.stderr)
        return None, False
    answer(event="boot")
    begun = since_start()
    llm = LLM(**engine_arguments(job))
    booted = since_start()
    ranks = sorted(llm.collective_rpc("lab_facts"), key=lambda facts: facts["rank"])
    facts = ranks[0]
    answer(
        event="ready",
        resolved=facts["resolved"],
        ranks=ranks_of(ranks),
        startup=startup_of(ranks, PROCESS_BEGUN, imported_s, (begun, booted)),
        weights_drawn=facts["weights_drawn"],
        environment={
            "python": host_platform.python_version(),
            "vllm": vllm.__version__,
            "torch": torch.__version__,
            "threads": facts["threads"],
            "notes": facts.get("notes", []),
        },
    )
    return llm, facts.get("counts_steps", False)


def described(error: BaseException) -> str:
    """The exception that began it, and then the one that came of it where that is another."""
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    said = f"{type(first).__name__}: {first}"
    if first is not error:
        said += f" (then {type(error).__name__}: {str(error).strip().partition(chr(10))[0]})"
    return said


def main(job_path: str, commands_fd: str, answers_fd: str) -> int:
    """Boot the engine and serve calls; what goes wrong is the last answer."""
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    answers = os.fdopen(int(answers_fd), "w")

    def answer(**message: Any) -> None:
        send(answers, message)

    try:
        llm, counts_steps = boot(job, answer)
        if llm is None:
            return FOREIGN_PROCESS_EXIT
        with os.fdopen(int(commands_fd), encoding="utf-8") as commands:
            serve(llm, counts_steps, job, commands, answer)
    except Exception as error:
        sys.stdout.flush()
        print(OWN_TRACEBACK, file=sys.stderr)
        traceback.print_exception(error)
        answer(event="failed", reason=described(error))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    # The engine's own clean-up can hang or be slow; its children die with this process.
    sys.stderr.flush()
    os._exit(code)
