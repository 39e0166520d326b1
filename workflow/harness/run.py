"""Measure one arm once, in this fresh process, inside vLLM's own environment.

    python run.py JOB RESULT PROGRESS_FD

JOB is a JSON file (`request` and `platform` as in the record, plus `model_path`
and `trace_dir`), RESULT the JSON file to write. Only the standard library and
vLLM are imported. Timed: `generate`, and nothing else, with vLLM's defaults
around it. What the caller must add (start-up log, versions of locks) it adds.
"""

import lineage  # noqa: F401, I001 - first: children must die with their parent

import time

PROCESS_BEGUN = time.perf_counter()

import contextlib  # noqa: E402
import hashlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform as host_platform  # noqa: E402
import sys  # noqa: E402
from collections import Counter  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

FOREIGN_PROCESS_EXIT = 3
NO_RESULT_EXIT = 4


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
    get_output = engine.engine_core.get_output

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
    if request["purpose"] == "profile":
        arguments["profiler_config"] = {
            "profiler": "torch",
            "torch_profiler_dir": job["trace_dir"],
            "torch_profiler_with_stack": False,
            "torch_profiler_use_gzip": False,
        }
    # Last: whatever an arm asks for, code of a model's repository is never run.
    return arguments | request["engine_args"] | {"trust_remote_code": False}


def measure_call(llm: Any, kept: list[Any], prompts: list[Any], sampling: Any) -> dict[str, Any]:
    """Time one `generate`; what the engine said meanwhile is read afterwards."""
    kept.clear()
    started_s, monotonic = since_start(), time.monotonic()
    begun = time.perf_counter()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.perf_counter() - begun
    call: dict[str, Any] = {
        "seconds": seconds,
        "tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
        "started_s": started_s,
        "steps": graph_steps(kept),
    }
    requests = list(token_times(kept).values())
    if requests and all(len(times) > 1 for times in requests):
        call["decode_s_per_step"] = [
            (times[-1][0] - times[0][0]) / sum(count for _, count in times[1:])
            for times in requests
        ]
        call["first_token_s"] = [times[0][0] - monotonic for times in requests]
    ids = [list(output.outputs[0].token_ids) for output in outputs]
    digests = [hashlib.sha256(json.dumps(one).encode()).hexdigest() for one in ids]
    return {"call": call, "digests": digests, "first_request_ids": ids[0]}


def main(job_path: str, result_path: str, progress_fd: str) -> int:
    """Boot the engine, measure every batch size, write the result."""
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    request, platform = job["request"], job["platform"]
    workload = request["workload"]
    stage = "boot"
    progress = os.fdopen(int(progress_fd), "w", buffering=1)

    def tell(**event: Any) -> None:
        with contextlib.suppress(OSError):
            progress.write(json.dumps(event) + "\n")

    result: dict[str, Any] = {"cells": [], "conditions": [], "failure": None}
    try:
        tell(event="import")
        import torch
        import vllm
        from vllm import LLM, SamplingParams

        imported_s = since_start()
        from conditions import read_conditions

        result["conditions"].append(read_conditions(platform, "before", since_start()))
        foreign = result["conditions"][0].get("foreign_processes")
        if foreign:
            print(f"processes {foreign} already use the device", file=sys.stderr)
            return FOREIGN_PROCESS_EXIT

        tell(event="boot")
        boot_begun = since_start()
        llm = LLM(**engine_arguments(job))
        booted_s = since_start()
        facts = llm.collective_rpc("lab_facts")[0]
        kept = keep_outputs(llm)
        spans = [
            {"name": "import", "start_s": 0.0, "seconds": imported_s},
            {"name": "boot", "start_s": boot_begun, "seconds": booted_s - boot_begun},
        ] + [
            {
                "name": span["name"],
                "start_s": span["begun"] - PROCESS_BEGUN,
                "seconds": span["ended"] - span["begun"],
            }
            for span in facts["spans"]
        ]
        blocks, size = facts["resolved"]["num_gpu_blocks"], facts["resolved"]["block_size"]
        capture = facts["capture"]
        result |= {
            "resolved": facts["resolved"],
            "startup": {
                "spans": spans,
                "compile_seconds": facts["compile_seconds"] or None,
                "capture": capture
                and {
                    **capture,
                    "estimate_bytes": facts["capture_estimate_bytes"],
                    "graphs": facts["graphs"],
                },
                "kv_cache_tokens": blocks * size if blocks and size else None,
                "available_kv_cache_bytes": facts["available_kv_cache_bytes"],
                "model_bytes": facts["model_bytes"],
            },
            "environment": {
                "python": host_platform.python_version(),
                "vllm": vllm.__version__,
                "torch": torch.__version__,
                "threads": facts["threads"],
            },
        }
        stage = "generate"
        prompt: Any = workload["prompt"]
        if workload["prompt_token_ids"] is not None:
            prompt = {"prompt_token_ids": workload["prompt_token_ids"]}
        roles = ["first"] + ["warmup"] * request["warmups"] + ["timed"] * request["iterations"]
        profiling = request["purpose"] == "profile"
        for batch in workload["batch_sizes"]:
            prompts = [prompt] * batch
            sampling = SamplingParams(
                max_tokens=workload["output_tokens"],
                temperature=0,
                ignore_eos=True,
                detokenize=workload["prompt_token_ids"] is None,
            )
            calls: list[dict[str, Any]] = []
            digests: list[str] = []
            first_ids: list[int] = []
            for index, role in enumerate(roles):
                measured = measure_call(llm, kept, prompts, sampling)
                calls.append({"role": role, **measured["call"]})
                digests, first_ids = measured["digests"], measured["first_request_ids"]
                seconds, tokens = calls[-1]["seconds"], calls[-1]["tokens"]
                tell(
                    event="call",
                    batch=batch,
                    role=role,
                    index=index + 1,
                    of=len(roles),
                    tokens_per_s=tokens / seconds,
                )
            if profiling:
                short = SamplingParams(
                    max_tokens=job["profile_tokens"],
                    temperature=0,
                    ignore_eos=True,
                    detokenize=False,
                )
                tell(event="profile", batch=batch)
                before = set(Path(job["trace_dir"]).iterdir())
                llm.start_profile()
                llm.generate(prompts, short, use_tqdm=False)
                llm.stop_profile()
                for trace in set(Path(job["trace_dir"]).iterdir()) - before:
                    trace.rename(trace.with_name(f"b{batch}-{trace.name}"))
            result["cells"].append(
                {
                    "batch": batch,
                    "calls": calls,
                    "output_sha256": digests,
                    "output_token_ids": [first_ids],
                }
            )
            result["conditions"].append(read_conditions(platform, "during", since_start()))
        result["conditions"].append(read_conditions(platform, "after", since_start()))
    except Exception as error:
        result["failure"] = {"stage": stage, "reason": f"{type(error).__name__}: {error}"}
    temporary = Path(result_path + ".partial")
    try:
        temporary.write_text(json.dumps(result), encoding="utf-8")
        temporary.rename(result_path)
    except OSError as error:
        print(f"{Path(result_path).name}: {error.strerror}", file=sys.stderr)
        return NO_RESULT_EXIT
    tell(event="done")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    # The engine's own clean-up can hang or be slow; its children die with this process.
    sys.stderr.flush()
    os._exit(code)
