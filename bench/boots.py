"""Timed observations per minute: the workflow against the way the course lab goes about it.

The lab boots an engine for every cell, one after the other in one process, times the
first `generate` of each, and is done. The workflow boots once per arm, both at the same time,
and lets the arms take turns for as long as config/turns-cpu.yaml says, after calls that warm them
up. Both get the same model, requests, environment and machine here, a CPU, on which the lab's
second arm is compilation alone; both start from an empty compile cache, and keep what they
compiled from boot to boot.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from bench.generated import configuration
from bench.growth import CONFIGURED
from bench.results import Figure
from bench.timing import run
from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.checks import engine_args_of
from cudagraph_lab.config.model import Config
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.engine.environment import cache_directory, exclusive, vllm_python
from cudagraph_lab.measure.guards import (
    compile_cache_directory,
    device_locks,
    measurement_environment,
)

MODEL = REPOSITORY / "resources" / "models" / "facebook--opt-125m"
OURS, THEIRS = "bench-boots-ours", "bench-boots-lab"  # data sets, and so compile caches

# Its protocol, in words of ours: an engine per cell, one call each, nothing before it.
LAB = """
import json, sys, time
from vllm import LLM, SamplingParams

def one_cell(eager, batch, asked):
    llm = LLM(enforce_eager=eager, **asked["engine"])
    prompts = [{"prompt_token_ids": asked["prompt"]}] * batch
    sampling = SamplingParams(temperature=0, ignore_eos=True, detokenize=False, **asked["sampling"])
    begun = time.perf_counter()
    llm.generate(prompts, sampling)
    return time.perf_counter() - begun

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    seconds = [one_cell(eager, b, asked) for b in asked["batches"] for eager in (True, False)]
    open(asked["output"], "w").write(json.dumps(seconds))
"""


TURNS = REPOSITORY / "config" / "turns-cpu.yaml"
# One repeat of the two arms that the lab's way has on a CPU, with half of the memory.
CHANGES: dict[str, Any] = {
    "measure": "cpu",
    "dataset": OURS,
    "repeats": 1,
    "arms": {"eager-again": None},
    "contrasts": {"noise": None},
    "workload": {"gpu_memory_utilization": 0.5},
}


def in_turn() -> Config:
    """The shipped configuration with the arms in turn."""
    turns = yaml.safe_load(TURNS.read_text(encoding="utf-8"))
    shipped = configuration().model_dump()
    workload = shipped["workload"] | turns["workload"] | CHANGES["workload"]
    return parse_config(
        {**shipped, **{key: turns[key] for key in turns if key not in ("arms", "contrasts")}}
        | {"workload": workload}
    )


def boots() -> list[Figure]:
    """One repeat of both, each whole, one after the other."""
    config = in_turn()
    python = vllm_python(config.vllm_python, config.cache_dir, "cpu")  # built before the clock runs
    caches = {
        name: compile_cache_directory(cache_directory("auto"), name) for name in (OURS, THEIRS)
    }
    for cache in caches.values():
        shutil.rmtree(cache, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        ours_s, ours = _ours(home, config)
        lab_s, lab = _lab(home, python, config, caches[THEIRS])
    observations = {"lab": len(lab), "ours": len(ours)}
    rate = {"lab": len(lab) / lab_s * 60, "ours": len(ours) / ours_s * 60}
    share = {"lab": sum(lab) / lab_s, "ours": sum(ours) / ours_s}
    return [
        Figure(
            name="boots/rate",
            what="timed observations per minute, over the lab's own way (a boot and a call each)",
            unit="x",
            value=rate["ours"] / rate["lab"],
            low=None,
            high=None,
            n=1,
            bound="at least",
            target=5,
            context={
                **{f"{side} observations": float(count) for side, count in observations.items()},
                "lab s": lab_s,
                "ours s": ours_s,
                **{f"{side} a minute": value for side, value in rate.items()},
            },
            if_missed=WHY,
        ),
        Figure(
            name="boots/share",
            what="share of the wall time spent inside timed calls, over the lab's own way",
            unit="x",
            value=share["ours"] / share["lab"],
            low=None,
            high=None,
            n=1,
            context={f"{side} %": 100 * value for side, value in share.items()},
        ),
    ]


WHY = (
    "More rounds per boot would raise the rate, but not what is known: only repeats, which are "
    "boots, carry an interval."
)


def _ours(home: Path, config: Config) -> tuple[float, list[float]]:
    """Wall seconds of one repeat of both arms, and the seconds of its timed calls."""
    given = home / "bench.yaml"
    given.write_text(
        json.dumps({**CHANGES, "model": {**config.model.model_dump(), "weights": "dummy"}}),
        encoding="utf-8",
    )  # fmt: skip
    records = [home / "results" / OURS / "runs" / arm / "rep1.json"
               for arm in ("eager", "compiled")]  # fmt: skip
    command = [*CONFIGURED, TURNS, given, "--resources", "gpu=1", "--directory", home, "--"]
    whole = run([*command, *(record.relative_to(home) for record in records)], home)
    calls = [
        call["seconds"]
        for record in records
        for cell in json.loads(record.read_text(encoding="utf-8"))["record"]["cells"]
        for call in cell["calls"]
        if call["role"] == "timed"
    ]
    return whole.seconds, calls


def engine_arguments(config: Config) -> dict[str, Any]:
    """What both ways give to every engine on a CPU, besides `enforce_eager`."""
    asked = engine_args_of(config, "eager", "cpu")
    return {key: value for key, value in asked.items() if key != "enforce_eager"}


def _lab(home: Path, python: Path, config: Config, cache: Path) -> tuple[float, list[float]]:
    """Wall seconds of the lab's way, and the seconds of its calls."""
    workload = config.workload.model_dump()
    script, output = home / "lab.py", home / "lab.json"
    script.write_text(LAB, encoding="utf-8")
    asked = {
        "engine": {
            "model": str(MODEL), "load_format": "dummy", "skip_tokenizer_init": True,
            "max_model_len": workload["max_model_len"],
            "gpu_memory_utilization": workload["gpu_memory_utilization"],
            **engine_arguments(config),
        },
        "prompt": workload["prompt_token_ids"],
        "sampling": {"max_tokens": workload["output_tokens"]},
        "batches": workload["batch_sizes"],
        "output": str(output),
    }  # fmt: skip
    with ExitStack() as locked, (home / "lab.log").open("w+", encoding="utf-8") as log:
        for path in device_locks("cpu", 1):
            locked.enter_context(exclusive(path, "another measurement holds the device"))
        begun = time.perf_counter()
        done = subprocess.run(
            [python, script, json.dumps(asked)],
            env=measurement_environment(os.environ, cache),
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        seconds = time.perf_counter() - begun
        if done.returncode != 0:
            log.seek(0)
            sys.exit(f"the lab's way: ended with {done.returncode}\n{log.read()[-2000:]}")
    return seconds, json.loads(output.read_text(encoding="utf-8"))
