"""What a user waits for: the report from records that are there, and a lab with nothing to do."""

import shutil
import tempfile
from pathlib import Path

from bench.generated import DATASET, clone_into, configuration, designed
from bench.results import Figure, figure_of_rounds
from bench.timing import Run, alternate, ratios, run
from cudagraph_lab import REPOSITORY

BIN = REPOSITORY / ".venv" / "bin"
ROUNDS = 5
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
            "records": "`make report` from the shipped records, everything made anew",
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
                target=3 if name == "records" else None,
                context=seconds({"imports": runs["imports"], name: runs[name]}),
                if_missed=WHY_REPORT if name == "records" else None,
            )
            for name, what in whats.items()
        ]


WHY_REPORT = (
    "Snakemake itself takes about one such process before its first job, and every job is a "
    "Python process that imports anew what it needs. Fewer and larger steps would change it, at "
    "the price of making everything anew where only a template changed; so would a Snakemake that "
    "runs scripts without a process each."
)


def no_op() -> list[Figure]:
    """`make lab` with nothing to do over a dry-run of a workflow with nothing in it."""
    with tempfile.TemporaryDirectory() as directory:
        clone = clone_into(Path(directory) / "clone")
        empty = Path(directory) / "empty"
        empty.mkdir()
        (empty / "Snakefile").write_text("rule all:\n", encoding="utf-8")
        designed(clone, configuration(), "cpu")
        lab = ["make", "lab", f"ARGS=--config measure=cpu dataset={DATASET}"]
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


def seconds(runs: dict[str, list[Run]]) -> dict[str, float]:
    """Median wall seconds of each side, as context."""
    return {
        f"{name} s": figure_of_rounds(name, "", "s", [r.seconds for r in side]).value
        for name, side in runs.items()
    }
