"""Does the harness add anything? Its seconds per generate against vLLM's own latency benchmark.

    .venv/bin/python bench/harness_overhead.py --pairs 5
    .venv/bin/python bench/harness_overhead.py --pairs 5 --platform cuda

On a CPU the arm is eager, on a GPU vLLM's default with its graphs: the shorter step shows
more of what surrounds it. A pair is two fresh processes, both booted with the same engine
arguments in the same environment, one driven by the harness, one by
vllm.benchmarks.latency. Their calls alternate, because a machine's speed moves by more in
a minute than what is looked for; the engine whose turn it is not idles. One pair gives one
ratio per batch size; the interval is that of the mean log ratio over pairs (paired t).
Neither side's timed section is touched. Changed around it, on the benchmark's side: greedy sampling
as in the harness, one engine for all batch sizes, and the wait for its turn. Writes
bench/harness_overhead_<platform>.json beside it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from cudagraph_lab import REPOSITORY
from cudagraph_lab.engine.environment import cache_directory, exclusive, vllm_python
from cudagraph_lab.files import write_json
from cudagraph_lab.measure.guards import HARNESS, commit, device_locks, measurement_environment
from cudagraph_lab.measure.machine import describe
from cudagraph_lab.measure.supervisor import (
    Harness,
    ask,
    await_answer,
    end_at_once,
    start_harness,
)

BATCHES = (1, 8)
WARMUPS, ITERATIONS = 2, 6
PROMPT_TOKENS, OUTPUT_TOKENS = 6, 64
SETTLE_S = 1.5  # after a call; vLLM's workers spin for a second before they idle
MEMORY_SHARE = 0.4  # two engines at once
PATIENCE_S = 900.0  # for a boot or a call
ENGINE_ARGS: dict[str, dict[str, Any]] = {
    "cpu": {"enforce_eager": True, "dtype": "bfloat16"},
    "cuda": {},
}
MODEL = REPOSITORY / "resources" / "models" / "facebook--opt-125m"
# It asks for its turn before every call, warm-ups too: a line out, a line in.
THEIRS = """
import sys
def turn():
    print("ready", file=sys.__stderr__, flush=True)
    sys.stdin.readline()

if __name__ == "__main__":
    import functools, os
    import vllm
    from vllm import LLM, SamplingParams
    from vllm.benchmarks import latency
    from vllm.utils.argparse_utils import FlexibleArgumentParser
    def in_turn(iterations, **given):
        for iteration in iterations:
            turn()
            yield iteration
    vllm.SamplingParams = lambda **given: SamplingParams(**{**given, "temperature": 0})
    engine = functools.cache(lambda: LLM.from_engine_args(arguments))
    vllm.LLM = type("LLM", (), {"from_engine_args": staticmethod(lambda arguments: engine())})
    latency.tqdm = in_turn
    for batch in sys.argv[1].split(","):
        parser = FlexibleArgumentParser()
        latency.add_cli_args(parser)
        given = [part.replace("BATCH", batch) for part in sys.argv[2:]]
        options = parser.parse_args(given)
        arguments = latency.EngineArgs.from_cli_args(options)
        latency.main(options)
    turn()
    os._exit(0)
"""


def start_ours(platform: str, python: Path, environment: dict[str, str], work: Path) -> Harness:
    """Start the harness and wait until its engine is ready."""
    job = {
        "platform": platform,
        "model_path": str(MODEL),
        "trace_dir": str(work),
        "clock_zero_s": time.monotonic(),
        "request": {
            "weights": "dummy",
            "seed": 0,
            "engine_args": ENGINE_ARGS[platform],
            "workload": {
                "prompt": None,
                "prompt_token_ids": [2, *range(100, 99 + PROMPT_TOKENS)],
                "output_tokens": OUTPUT_TOKENS,
                "max_model_len": 512,
                "gpu_memory_utilization": MEMORY_SHARE,
            },
        },
    }
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [str(python), str(HARNESS / "run.py"), str(work / "job.json")]
    harness = start_harness("harness", command, environment, [], work / "ours.log", {})
    await_event(harness, "ready")
    return harness


def await_event(harness: Harness, event: str) -> dict[str, Any]:
    """The harness's next answer of this event; the bench ends where there is none."""
    while True:
        answer = await_answer(harness, time.monotonic() + PATIENCE_S, lambda: None)
        if answer is None or answer["event"] == "failed":
            sys.exit("\n".join(list(harness.tail)[-60:]) + "\nthe harness ended before its time")
        if answer["event"] == event:
            return answer


def start_theirs(
    platform: str, python: Path, environment: dict[str, str], work: Path
) -> "subprocess.Popen[str]":
    """Start the benchmark and wait until it asks for its first turn."""
    script = work / "theirs.py"
    script.write_text(THEIRS, encoding="utf-8")
    options: dict[str, object] = {
        "model": MODEL, "load-format": "dummy", "max-model-len": 512,
        "gpu-memory-utilization": MEMORY_SHARE, "seed": 0, "batch-size": "BATCH",
        "input-len": PROMPT_TOKENS, "output-len": OUTPUT_TOKENS,
        "num-iters-warmup": WARMUPS, "num-iters": ITERATIONS,
        "output-json": work / "theirs-BATCH.json",
    }  # fmt: skip
    # As in the harness, which leaves it to vLLM; the benchmark's own default is off.
    flags = ["--skip-tokenizer-init", "--disable-detokenize", "--enable-prefix-caching"]
    if platform == "cpu":
        flags += ["--enforce-eager", "--dtype", "bfloat16"]
    flags += [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    with (work / "theirs.log").open("w") as log:
        process = subprocess.Popen(
            [python, script, ",".join(map(str, BATCHES)), *flags],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a group of its own, to be stopped as one
        )
    wait_until_ready(process)
    return process


def wait_until_ready(process: "subprocess.Popen[str]") -> None:
    """Read until the benchmark asks for its turn."""
    said = []
    for line in process.stderr or ():
        if line == "ready\n":
            return
        said.append(line)
    sys.exit("".join(said[-60:]) + "the benchmark ended before its time")


def one_pair(
    platform: str, python: Path, environment: dict[str, str], work: Path, ours_first: bool
) -> dict[str, dict[int, list[float]]]:
    """Timed seconds per generate of both sides, by batch size, from processes of their own."""
    ours: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    with ExitStack() as started:

        def begin_ours() -> Harness:
            harness = start_ours(platform, python, environment, work)
            started.callback(end_at_once, [harness])
            return harness

        def begin_theirs() -> "subprocess.Popen[str]":
            process = start_theirs(platform, python, environment, work)
            started.callback(os.killpg, process.pid, signal.SIGKILL)
            return process

        # One after the other: vLLM refuses to share a device while it boots.
        if ours_first:
            harness, theirs = begin_ours(), begin_theirs()
        else:
            theirs, harness = begin_theirs(), begin_ours()

        def call_ours(batch: int, timed: bool) -> None:
            ask(harness, {"do": "call", "batch": batch, "role": "timed", "round": None})
            seconds = await_event(harness, "call")["call"]["seconds"]
            if timed:
                ours[batch].append(seconds)

        def call_theirs(batch: int, timed: bool) -> None:
            print("go", file=theirs.stdin, flush=True)
            wait_until_ready(theirs)

        turns = [call_ours, call_theirs] if ours_first else [call_theirs, call_ours]
        for batch in BATCHES:
            for number in range(WARMUPS + ITERATIONS):
                for call in turns:
                    call(batch, number >= WARMUPS)
                    time.sleep(SETTLE_S)
    return {
        "ours": ours,
        "theirs": {
            batch: json.loads((work / f"theirs-{batch}.json").read_text("utf-8"))["latencies"]
            for batch in BATCHES
        },
    }


def main() -> None:
    """Run the pairs and write what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--platform", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--vllm-python", default="managed", help="a Python that imports vLLM")
    options = parser.parse_args()
    pairs, platform = options.pairs, options.platform
    cache = cache_directory("auto")
    python = vllm_python(options.vllm_python, "auto", platform)
    environment = measurement_environment(os.environ, cache / "compile" / "bench")
    output = Path(__file__).with_name(f"harness_overhead_{platform}.json")
    rows = []
    for pair in range(pairs):
        with tempfile.TemporaryDirectory() as directory, ExitStack() as locked:
            for path in device_locks(platform, 1):
                locked.enter_context(exclusive(path, "another measurement holds the device"))
            rows.append(one_pair(platform, python, environment, Path(directory), pair % 2 == 0))
        document = {
            "what": "seconds per generate, harness over vllm.benchmarks.latency",
            "machine": describe(platform),
            "commit": commit(),
            "summary": {batch: summary(rows, batch) for batch in BATCHES},
            "seconds": rows,
        }
        write_json(output, document)
        print(f"pair {pair + 1}: {document['summary']}", flush=True)


def summary(
    rows: list[dict[str, dict[int, list[float]]]], batch: int
) -> dict[str, float | int | list[float] | None]:
    """The ratio over all pairs, with its 95% interval from two pairs on, and that of each."""
    logs = [float(np.mean(np.log(r["ours"][batch]) - np.log(r["theirs"][batch]))) for r in rows]
    low = high = None
    if len(logs) > 1:
        interval = stats.t.interval(0.95, len(logs) - 1, np.mean(logs), stats.sem(logs))
        low, high = (float(bound) for bound in np.exp(interval))
    return {
        "ratio": float(np.exp(np.mean(logs))), "low": low, "high": high, "pairs": len(logs),
        "each": [float(ratio) for ratio in np.exp(logs)],
    }  # fmt: skip


if __name__ == "__main__":
    main()
