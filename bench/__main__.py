"""`python -m bench [PART ...]`: run parts, say what moved, write results and page."""

import argparse
import time

from bench import boots, first_use, growth, waiting
from bench.results import Part, compare, now_utc, read_results, shown, write_results
from cudagraph_lab.measure.guards import commit
from cudagraph_lab.measure.machine import describe

PARTS = {
    "report": waiting.report,
    "no-op": waiting.no_op,
    "mistakes": waiting.mistakes,
    "growth": growth.growth,
    "targets": growth.targets,
    "setup": first_use.setup,
    "boots": boots.boots,
    "tests": first_use.tests,
}
DEFAULT = [name for name in PARTS if name != "tests"]


def main() -> None:
    """Run the parts asked for; the stored figures of the others stay."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="What the project costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parts = parser.parse_args().parts or DEFAULT
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; parts are {', '.join(PARTS)}")
    machine = {key: value for key, value in describe("cpu").items() if key in ("cpu", "cores")}
    stored = read_results()
    measured: dict[str, Part] = {}
    for name in parts:
        begun = time.perf_counter()
        figures = PARTS[name]()
        measured[name] = Part(
            command=f"make bench ARGS={name}",
            commit=commit() or "unknown",
            date=now_utc(),
            machine=machine,
            seconds=time.perf_counter() - begun,
            figures=figures,
        )
        for figure in figures:
            verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
            print(f"{figure.name}: {shown(figure.value, figure.unit)} {verdict}", flush=True)
    for line in compare(stored, measured):
        print(line)
    merged = {**stored.parts, **measured}
    write_results(stored.model_copy(update={"parts": {n: merged[n] for n in PARTS if n in merged}}))


if __name__ == "__main__":
    main()
