"""What a user waits for: the report, a lab with nothing to do, and to be told of a mistake."""

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from bench.generated import DATASET, clone_into, configuration, designed
from bench.results import Figure, figure_of_rounds
from bench.timing import Run, alternate, ratios, run
from cudagraph_lab import REPOSITORY
from tests.badconfig import bad_configuration

BIN = REPOSITORY / ".venv" / "bin"
ROUNDS = 5
MISTAKES = 40
SNAKEMAKE: list[str | Path] = [BIN / "snakemake", "--cores", "1"]
SNAKEMAKE += ["--snakefile", REPOSITORY / "Snakefile"]
# What a process costs that has the same libraries and does nothing with them.
IMPORTS = [BIN / "python", "-c", "import snakemake, pandas, seaborn, jinja2"]


def report() -> list[Figure]:
    """`make report` over a process that imports what it needs and does nothing."""
    with tempfile.TemporaryDirectory() as directory:
        clone = clone_into(Path(directory))

        def make(stale: str) -> Run:
            shutil.rmtree(clone / stale, ignore_errors=True)
            (clone / stale).unlink(missing_ok=True)
            return run(["make", "report"], clone)

        runs = alternate(
            {
                "imports": lambda: run(IMPORTS, clone),
                "records": lambda: make("results"),
                "observations": lambda: make("results/ledger.json"),
                "nothing": lambda: make("results/none"),
            },
            ROUNDS,
        )
        whats = {
            "records": "`make report` from the shipped records, everything made anew but their "
            "tables, which are kept",
            "observations": "`make report` where the records are tabulated: ledger, figures, page",
            "nothing": "`make report` with nothing to do",
        }
        return [
            figure_of_rounds(
                f"report/{name}",
                f"{what}, over a Python process that imports snakemake, pandas, seaborn and "
                "jinja2 and does nothing",
                "x",
                ratios(runs[name], runs["imports"]),
                bound="at most" if name == "records" else None,
                target=4 if name == "records" else None,
                context=seconds({"imports": runs["imports"], name: runs[name]}),
                if_missed=WHY_REPORT if name == "records" else None,
            )
            for name, what in whats.items()
        ]


WHY_REPORT = (
    "Snakemake itself takes about one such process before its first job; after that every job is a "
    "process that imports anew what it needs, and judging, drawing and writing the page take their "
    "time as well. Fewer and larger steps would spare imports, at the price of making everything "
    "anew where only a template changed."
)


def no_op() -> list[Figure]:
    """`make lab` with nothing to do over a dry-run of a workflow with nothing in it."""
    with tempfile.TemporaryDirectory() as directory:
        clone = clone_into(Path(directory) / "clone")
        empty = Path(directory) / "empty"
        empty.mkdir()
        (empty / "Snakefile").write_text("rule all:\n", encoding="utf-8")
        designed(clone, configuration(), "cpu")
        # The simulated records are of arms that run apart.
        lab = ["make", "lab", f"ARGS=--config measure=cpu order=apart dataset={DATASET}"]
        runs = alternate(
            {
                "empty": lambda: run([BIN / "snakemake", "-n"], empty),
                "lab": lambda: run(lab, clone),
            },
            ROUNDS,
        )
    return [
        figure_of_rounds(
            "no-op/lab",
            "`make lab` with nothing to do, over `snakemake -n` on an empty workflow",
            "x",
            ratios(runs["lab"], runs["empty"]),
            bound="at most",
            target=2,
            context=seconds(runs),
        )
    ]


def mistakes() -> list[Figure]:
    """How long it takes to be told of a mistake in the configuration, each drawn at random."""
    rng = random.Random(0)  # noqa: S311 - not for secrets
    waited = []
    with tempfile.TemporaryDirectory() as directory:
        mine = Path(directory) / "mine.yaml"
        for _ in range(MISTAKES):
            config, named = bad_configuration(rng)
            mine.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
            command = [*SNAKEMAKE, "--configfile", mine, "--directory", directory, "--dry-run"]
            begun = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            waited.append(time.perf_counter() - begun)
            said = done.stdout + done.stderr
            lines = [line for line in said.splitlines() if line.startswith("config: ")]
            told = done.returncode != 0 and "Traceback" not in said
            if not told or len(lines) != 1 or named not in lines[0]:
                sys.exit(f"a mistake at {named!r} did not end in one line that names it:\n{said}")
    return [
        Figure(
            name="mistakes/told",
            what="until `snakemake -n` has refused a bad configuration in one line: the slowest, "
            "in brackets all",
            unit="s",
            value=max(waited),
            low=min(waited),
            high=max(waited),
            n=len(waited),
            bound="at most",
            target=5,
            context={"median s": statistics.median(waited)},
        )
    ]


def seconds(runs: dict[str, list[Run]]) -> dict[str, float]:
    """Median wall seconds of each side, as context."""
    return {
        f"{name} s": figure_of_rounds(name, "", "s", [r.seconds for r in side]).value
        for name, side in runs.items()
    }
