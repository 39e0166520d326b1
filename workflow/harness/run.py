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

import hashlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform as host_platform  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable  # noqa: E402
from itertools import pairwise  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from cudagraph_lab.protocol import FOREIGN_PROCESS_EXIT, OWN_TRACEBACK, send  # noqa: E402


def since_start() -> float:
    """Seconds since this process began."""
    return time.perf_counter() - PROCESS_BEGUN


def keep_outputs(llm: Any) -> list[Any]:
    """Where every message of the engine core is kept from now on, to be read after the call.

    A message carries its time and, where statistics are on, the graph mode and padding of
    its step. vLLM's own bookkeeping of them in this process is switched off: it works per
    step and per request inside the timed call, which the engine core's part does not.
    """
    kept: list[Any] = []
    engine = llm.llm_engine
    engine.log_stats = engine.output_processor.log_stats = False
    engine.logger_manager = None
    get_output = getattr(engine.engine_core, "get_output", None)
    if get_output is None:
        print("messages: this version does not hand them out one by one", file=sys.stderr)
        return kept

    def get_and_keep() -> Any:
        message = get_output()
        kept.append(message)
        return message

    engine.engine_core.get_output = get_and_keep
    return kept


def graph_steps(messages: list[Any]) -> list[dict[str, Any]] | None:
    """How often each graph mode and padding ran; None where the arm turns statistics off."""
    working = [message for message in messages if message.outputs]
    if not any(message.scheduler_stats for message in working):
        return None
    stats = [m.scheduler_stats.cudagraph_stats for m in working if m.scheduler_stats]
    steps = Counter(
        (stat.runtime_mode, stat.num_unpadded_tokens, stat.num_padded_tokens)
        for stat in stats
        if stat is not None
    )
    return [
        {"mode": mode, "unpadded_tokens": unpadded, "padded_tokens": padded, "count": count}
        for (mode, unpadded, padded), count in sorted(steps.items())
    ]


def token_times(messages: list[Any]) -> dict[str, list[tuple[float, int]]]:
    """Of every request: when the engine core had new tokens for it (monotonic), and how many."""
    times: dict[str, list[tuple[float, int]]] = {}
    for message in messages:
        for output in message.outputs:
            if output.new_token_ids:
                entry = (message.timestamp, len(output.new_token_ids))
                times.setdefault(output.request_id, []).append(entry)
    return times


def acceptance(messages: list[Any]) -> dict[str, Any] | None:
    """Drafts that were verified and accepted; None where none was verified."""
    stats = [getattr(m.scheduler_stats, "spec_decoding_stats", None) for m in messages]
    met = [one for one in stats if one is not None]
    if not met:
        return None
    return {
        "verifications": sum(one.num_drafts for one in met),
        "draft_tokens": sum(one.num_draft_tokens for one in met),
        "accepted_tokens": sum(one.num_accepted_tokens for one in met),
        "accepted_by_position": [
            sum(counts)
            for counts in zip(*(one.num_accepted_tokens_per_pos for one in met), strict=True)
        ],
    }


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


def step_durations_us(messages: list[Any]) -> list[int]:
    """Microseconds between the engine core's messages with new tokens: the steps after the first.

    A message carries the time at which its step's outputs were ready.
    """
    times = [m.timestamp for m in messages if any(o.new_token_ids for o in m.outputs)]
    return [round((later - earlier) * 1e6) for earlier, later in pairwise(times)]


def make_call(
    llm: Any,
    kept: list[Any],
    prompts: list[Any],
    sampling: Any,
    clock_zero_s: float = 0.0,
    read_energy_j: Callable[[], float | None] = lambda: None,
    take_steps: Callable[[], list[dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Time one `generate`; what the engine said meanwhile is read afterwards.

    `take_steps` gives the steps where the worker counts them, since the messages lack them.
    """
    kept.clear()
    energy_before = read_energy_j()
    monotonic = time.monotonic()
    begun = time.perf_counter()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.perf_counter() - begun
    energy_after = read_energy_j()
    call: dict[str, Any] = {
        "seconds": seconds,
        "tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
        "started_s": monotonic - clock_zero_s,
        "steps": take_steps() if take_steps else graph_steps(kept),
        "step_us": step_durations_us(kept) or None,
        "acceptance": acceptance(kept),
        "energy_j": energy_after - energy_before
        if energy_before is not None and energy_after is not None
        else None,
    }
    requests = list(token_times(kept).values())
    if requests and all(len(times) > 1 for times in requests):
        # A step brings a message: with speculation it may hold several tokens of a request.
        call["decode_s_per_step"] = [
            (times[-1][0] - times[0][0]) / (len(times) - 1) for times in requests
        ]
        if any(count > 1 for times in requests for _, count in times[1:]):
            call["decode_steps"] = [len(times) - 1 for times in requests]
        call["first_token_s"] = [times[0][0] - monotonic for times in requests]
    ids = [list(output.outputs[0].token_ids) for output in outputs]
    digests = [hashlib.sha256(json.dumps(one).encode()).hexdigest() for one in ids]
    return {"call": call, "output_sha256": digests, "output_token_ids": [ids[0]]}


def startup_of(
    ranks: list[dict[str, Any]], imported_s: float, boot: tuple[float, float]
) -> dict[str, Any]:
    """The `startup` of the record, as far as the workers tell it. `boot` is begin and end.

    Ranks do the same work at the same time: the first one tells the phases, the slowest one the
    capture, and the engine has the KV cache that fits on each of them.
    """
    facts = ranks[0]
    spans = [
        {"name": "import", "start_s": 0.0, "seconds": imported_s},
        {"name": "boot", "start_s": boot[0], "seconds": boot[1] - boot[0]},
    ] + [
        {
            "name": span["name"],
            "start_s": span["begun"] - PROCESS_BEGUN,
            "seconds": span["ended"] - span["begun"],
        }
        for span in facts["spans"]
    ]
    blocks, size = facts["resolved"]["num_gpu_blocks"], facts["resolved"]["block_size"]
    slowest = max(ranks, key=lambda rank: (rank["capture"] or {"seconds": 0.0})["seconds"])
    capture = slowest["capture"]
    available = [rank["available_kv_cache_bytes"] for rank in ranks]
    return {
        "spans": spans,
        "compile_seconds": facts["compile_seconds"] or None,
        "capture": capture
        and {
            **capture,
            "estimate_bytes": slowest["capture_estimate_bytes"],
            "graphs": slowest["graphs"],
        },
        "kv_cache_tokens": blocks * size if blocks and size else None,
        "available_kv_cache_bytes": None if None in available else min(available),
        "model_bytes": facts["model_bytes"],
    }


def ranks_of(ranks: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """What each of several ranks spent, and which settings it resolved as the first did not."""
    if len(ranks) == 1:
        return None
    resolved = ranks[0]["resolved"]
    return [
        {
            "rank": facts["rank"],
            "capture_seconds": facts["capture"] and facts["capture"]["seconds"],
            "pool_bytes": facts["capture"] and facts["capture"]["pool_bytes"],
            "graphs": len(facts["graphs"]),
            "compile_seconds": facts["compile_seconds"] or None,
            "model_bytes": facts["model_bytes"],
            "available_kv_cache_bytes": facts["available_kv_cache_bytes"],
            "differs": sorted(
                key for key, value in facts["resolved"].items() if value != resolved[key]
            ),
        }
        for facts in ranks
    ]


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
        startup=startup_of(ranks, imported_s, (begun, booted)),
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
