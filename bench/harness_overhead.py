"""Does the harness add anything? Its seconds per generate against vLLM's own latency benchmark.

    .venv/bin/python bench/harness_overhead.py --pairs 5
    .venv/bin/python bench/harness_overhead.py --pairs 5 --platform cuda

On a CPU the arm is eager, on a GPU vLLM's default with its graphs: the shorter step shows
more of what surrounds it. A pair is two fresh processes, both booted with the same engine
arguments in the same environment, one driven by the harness, one by
vllm.benchmarks.latency. Their calls alternate, because a machine's speed moves by more in
a minute than what is looked for; the engine whose turn it is not idles. One pair gives one
ratio per batch size; the interval is that of the mean log ratio over pairs (paired t).
Neither side's timed section is touched. Changed around it, on vLLM's side: greedy sampling
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

import numpy as np
from scipy import stats

from cudagraph_lab import REPOSITORY
from cudagraph_lab.engine.environment import cache_directory, exclusive, vllm_python
from cudagraph_lab.files import write_json
from cudagraph_lab.measure.machine import describe
from cudagraph_lab.measure.run import commit, device_locks, measurement_environment

BATCHES = (1, 8)
WARMUPS, ITERATIONS = 2, 6
PROMPT_TOKENS, OUTPUT_TOKENS = 6, 64
SETTLE_S = 1.5  # after a call; vLLM's workers spin for a second before they idle
MEMORY_SHARE = 0.4  # two engines at once
ENGINE_ARGS = {"cpu": {"enforce_eager": True, "dtype": "bfloat16"}, "cuda": {}}
MODEL = REPOSITORY / "resources" / "models" / "facebook--opt-125m"
# Both scripts ask for their turn before every call, warm-ups too: a line out, a line in.
TURN = """
import sys
def turn():
    print("ready", file=sys.__stderr__, flush=True)
    sys.stdin.readline()
"""
OURS = (
    TURN
    + """
if __name__ == "__main__":
    import os
    import run
    measure_call = run.measure_call
    def in_turn(*given):
        turn()
        return measure_call(*given)
    run.measure_call = in_turn
    import conditions
    read_conditions = conditions.read_conditions
    # The other side uses the device too, on purpose.
    conditions.read_conditions = lambda *given: read_conditions(*given) | {"foreign_processes": []}
    code = run.main(*sys.argv[1:])
    turn()
    os._exit(code)
"""
)
THEIRS = (
    TURN
    + """
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
)


def start(
    side: str, platform: str, python: Path, environment: dict[str, str], work: Path
) -> subprocess.Popen:
    """Start one side; it boots, and waits for its turn before its first call."""
    script = work / f"{side}.py"
    script.write_text({"ours": OURS, "theirs": THEIRS}[side], encoding="utf-8")
    command: list[object] = [python, script]
    if side == "ours":
        workload = {
            "prompt": None, "prompt_token_ids": [2, *range(100, 99 + PROMPT_TOKENS)],
            "output_tokens": OUTPUT_TOKENS, "batch_sizes": list(BATCHES), "max_model_len": 512,
            "gpu_memory_utilization": MEMORY_SHARE,
        }  # fmt: skip
        request = {
            "weights": "dummy", "purpose": "timed", "warmups": WARMUPS - 1,
            "iterations": ITERATIONS, "seed": 0, "workload": workload,
            "engine_args": ENGINE_ARGS[platform],
        }  # fmt: skip
        job = {
            "platform": platform, "model_path": str(MODEL), "trace_dir": str(work),
            "request": request,
        }  # fmt: skip
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command += [work / "job.json", work / "ours.json", "1"]
    else:
        options = {
            "model": MODEL, "load-format": "dummy", "max-model-len": 512,
            "gpu-memory-utilization": MEMORY_SHARE, "seed": 0, "batch-size": "BATCH",
            "input-len": PROMPT_TOKENS, "output-len": OUTPUT_TOKENS,
            "num-iters-warmup": WARMUPS, "num-iters": ITERATIONS,
            "output-json": work / "theirs-BATCH.json",
        }  # fmt: skip
        flags = ["--skip-tokenizer-init", "--disable-detokenize"]
        # As in the harness, which leaves it to vLLM; the benchmark's own default is off.
        flags += ["--enable-prefix-caching"]
        if platform == "cpu":
            flags += ["--enforce-eager", "--dtype", "bfloat16"]
        flags += [part for key, value in options.items() for part in (f"--{key}", value)]
        command += [",".join(map(str, BATCHES)), *flags]
    with (work / f"{side}.log").open("w") as log:
        return subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a group of its own, to be stopped as one
        )


def wait_until_ready(process: subprocess.Popen) -> None:
    """Read until the process asks for its turn."""
    said = []
    for line in process.stderr:
        if line == "ready\n":
            return
        said.append(line)
    sys.exit("".join(said[-60:]) + "a side ended before its time")


def one_pair(
    platform: str, python: Path, environment: dict[str, str], work: Path, order: list[str]
) -> dict[str, dict[int, list[float]]]:
    """Timed seconds per generate of both sides, by batch size, from processes of their own."""
    processes: dict[str, subprocess.Popen] = {}
    try:
        for side in order:  # one after the other: vLLM refuses to share a device while it boots
            processes[side] = start(side, platform, python, environment, work)
            wait_until_ready(processes[side])
        for _ in range(len(BATCHES) * (WARMUPS + ITERATIONS)):
            for side in order:
                processes[side].stdin.write("go\n")
                processes[side].stdin.flush()
                wait_until_ready(processes[side])
                time.sleep(SETTLE_S)
    finally:
        for process in processes.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    raw = json.loads((work / "ours.json").read_text(encoding="utf-8"))
    if raw["failure"]:
        sys.exit(f"harness: {raw['failure']['reason']}")
    return {
        "ours": {
            cell["batch"]: [c["seconds"] for c in cell["calls"] if c["role"] == "timed"]
            for cell in raw["cells"]
        },
        "theirs": {
            batch: json.loads((work / f"theirs-{batch}.json").read_text("utf-8"))["latencies"]
            for batch in BATCHES
        },
    }


def main() -> None:
    """Run the pairs and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--platform", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--vllm-python", default="managed", help="a Python that imports vLLM")
    options = parser.parse_args()
    pairs, platform = options.pairs, options.platform
    cache = cache_directory("auto")
    python = vllm_python({"vllm_python": options.vllm_python, "cache_dir": "auto"}, platform)
    environment = measurement_environment(os.environ, cache / "compile" / "bench")
    output = Path(__file__).with_name(f"harness_overhead_{platform}.json")
    rows = []
    for pair in range(pairs):
        order = ["ours", "theirs"] if pair % 2 == 0 else ["theirs", "ours"]
        with tempfile.TemporaryDirectory() as directory, ExitStack() as locked:
            for path in device_locks(platform, 1):
                locked.enter_context(exclusive(path, "another measurement holds the device"))
            rows.append(one_pair(platform, python, environment, Path(directory), order))
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
