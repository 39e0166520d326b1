"""How time, memory and page grow with the records, and planning with what is to be measured."""

import json
import math
import shutil
import tempfile
from functools import partial
from pathlib import Path

from bench.generated import DATASET, configuration, designed
from bench.results import Figure, figure_of_rounds
from bench.timing import Run, alternate, run
from bench.waiting import SNAKEMAKE, seconds
from cudagraph_lab import REPOSITORY

FEW, SOME, MANY = 9, 1_002, 10_002  # records, in three arms
ROUNDS = 2
CONFIGURED: list[str | Path] = [*SNAKEMAKE, "--configfile", REPOSITORY / "config" / "config.yaml"]


def growth() -> list[Figure]:
    """Ledger and report from simulated records, 1,002 and 10,002 of them."""
    with tempfile.TemporaryDirectory() as temporary:
        homes = {count: Path(temporary) / str(count) for count in (FEW, SOME, MANY)}
        for count, home in homes.items():
            designed(home, configuration().model_copy(update={"repeats": count // 3}), "cuda")

        def make(home: Path) -> Run:
            for made in ("results/report", "results/figures", ".snakemake"):
                shutil.rmtree(home / made, ignore_errors=True)
            for path in (home / "results").rglob("*.[cj]s*"):
                if "runs" not in path.parts:
                    path.unlink()
            compare = f"compare=[{DATASET}]"
            return run(
                [*CONFIGURED, "--directory", home, "--config", "measure=none", compare], home
            )

        runs = alternate({str(count): partial(make, home) for count, home in homes.items()}, ROUNDS)
        page = homes[MANY] / "results" / "report" / "lab_report.html"
        sizes = {
            path.name: path.stat().st_size / 1e6
            for path in (page, page.with_suffix(".md"), homes[MANY] / "results" / "ledger.json")
        }
    few, some, many = ([r.seconds for r in runs[str(count)]] for count in homes)
    by_size = MANY / SOME
    per_record = [m / s / by_size for m, s in zip(many, some, strict=True)]
    net = [(m - f) / (s - f) / by_size for f, s, m in zip(few, some, many, strict=True)]
    times = seconds({f"{count} records": runs[str(count)] for count in homes})
    return [
        figure_of_rounds(
            "growth/time",
            f"seconds per record from {MANY:,} simulated records over that from {SOME:,}: ledger "
            "and report",
            "x",
            per_record,
            bound="at most",
            target=1.1,
            context={
                **times,
                "exponent of the time in the records ": 1
                + math.log(figure_of_rounds("", "", "x", per_record).value) / math.log(by_size),
            },
        ),
        figure_of_rounds(
            "growth/time-net",
            f"the same without what {FEW} records take, so that what does not grow hides nothing",
            "x",
            net,
            bound="at most",
            target=1.1,
        ),
        figure_of_rounds(
            "growth/memory",
            f"memory of the largest process, {MANY:,} records",
            "MiB",
            [r.peak_mib for r in runs[str(MANY)]],
            bound="at most",
            target=1024,
            context={f"{SOME} records MiB": max(r.peak_mib for r in runs[str(SOME)])},
        ),
        figure_of_rounds(
            "growth/page",
            f"the page, {MANY:,} records",
            "MB",
            [sizes.pop("lab_report.html")],
            bound="at most",
            target=3,
            context={f"{name} MB": size for name, size in sizes.items()},
        ),
    ]


def targets() -> list[Figure]:
    """Parse and plan 1,000 measurements over 10: a dry-run, with nothing measured yet."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        plan = {}
        for count in (10, 1000):
            # A CPU measures two of the three arms.
            path = home / f"{count}.yaml"
            path.write_text(json.dumps({"repeats": count // 2}), encoding="utf-8")
            plan[str(count)] = [
                *CONFIGURED, path, "--directory", home / "empty", "--dry-run", "--quiet", "all",
                "--config", "measure=cpu", f"dataset={DATASET}",
            ]  # fmt: skip
        (home / "empty").mkdir()
        runs = alternate({name: partial(run, command, home) for name, command in plan.items()}, 5)
    return [
        figure_of_rounds(
            "targets/plan",
            "`snakemake -n` for 1,000 measurements over the same for 10: parsing and planning",
            "x",
            [m.seconds / f.seconds for m, f in zip(runs["1000"], runs["10"], strict=True)],
            bound="at most",
            target=5,
            context=seconds(runs),
        )
    ]
