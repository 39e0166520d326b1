"""Where the time goes until a newcomer's first report, and in the tests."""

import json
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from heapq import nlargest
from pathlib import Path

from bench.generated import clone_into, configuration
from bench.results import Figure, figure_of_rounds
from bench.timing import run
from cudagraph_lab import REPOSITORY

DATASET = "bench-first-use"


def setup() -> list[Figure]:
    """From an empty clone to the lab's report on a CPU; only the package caches are filled."""
    with tempfile.TemporaryDirectory() as directory:
        clone = clone_into(Path(directory) / "clone")
        (clone / ".venv").unlink()
        cache = Path(directory) / "cache"
        asked = {
            "measure": "cpu",
            "dataset": DATASET,
            "cache_dir": str(cache),
            "model": {**configuration().model.model_dump(), "weights": "dummy"},
        }
        given = Path(directory) / "bench.yaml"
        given.write_text(json.dumps(asked), encoding="utf-8")
        lab = [".venv/bin/snakemake", "--cores", "1", "--resources", "gpu=1", "--configfile",
               "config/config.yaml", given, "--"]  # fmt: skip
        venv = run(["make", "setup"], clone)
        environment = run([*lab, f"results/{DATASET}/environment.json"], clone)
        measured = run([*lab, "all"], clone)
        sizes = {
            name: size_mb(path) for name, path in ((".venv", clone / ".venv"), ("vLLM", cache))
        }
    steps = [
        ("venv", "`make setup` from an empty clone", venv, {".venv MB": sizes[".venv"]}),
        ("vllm", "then vLLM's environment for a CPU", environment, {"cache MB": sizes["vLLM"]}),
        ("measured", "then what `make lab` measures there, and its report", measured, {}),
    ]
    whole = figure_of_rounds(
        "setup/lab",
        "`make lab` on a CPU, from an empty clone with empty caches of its own to the report",
        "s",
        [sum(step.seconds for _, _, step, _ in steps)],
        bound="at most",
        target=720,
        if_missed="each engine boots in a process of its own, one after the other, in about a "
        "minute on two cores, and a round of calls at batch sizes 1, 8 and 64 takes half a "
        "minute. Fewer repeats or no batch size 64 would be quicker, and would show less.",
    )
    return [whole] + [
        figure_of_rounds(
            f"setup/{name}", what, "s", [step.seconds], context={"processor s": step.cpu_s, **more}
        )
        for name, what, step, more in steps
    ]


def size_mb(directory: Path) -> float:
    """What the files under a directory take, in MB."""
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file()) / 1e6


def tests() -> list[Figure]:
    """`make test`, by file; not among the parts that `make bench` runs, for it takes long."""
    with tempfile.TemporaryDirectory() as directory:
        said = Path(directory) / "said.xml"
        # Here, since some tests make clones of their own, which takes a repository.
        whole = run(["make", "test", f"ARGS=-q --junitxml={said}"], REPOSITORY)
        spent: defaultdict[str, float] = defaultdict(float)
        for case in ElementTree.parse(said).iter("testcase"):  # noqa: S314 - ours
            spent[".".join(case.attrib["classname"].split(".")[1:3])] += float(case.attrib["time"])
    longest = nlargest(8, ((value, name) for name, value in spent.items()))
    return [
        figure_of_rounds(
            "tests/all",
            "`make test`, and the files that take most of it",
            "s",
            [whole.seconds],
            context={f"{name} s": value for value, name in longest},
            bound="at most",
            target=720,
            if_missed="the tests boot vLLM, run Slurm and open a browser, and keep both processors "
            "busy throughout; what waited or was made twice is gone.",
        )
    ]
