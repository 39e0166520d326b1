"""Where the time goes before the first number, and in the tests: context, no targets."""

import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from bench.generated import clone_into
from bench.results import Figure, figure_of_rounds
from bench.timing import run
from cudagraph_lab import REPOSITORY


def setup() -> list[Figure]:
    """`make setup` from an empty clone: nothing but what the package caches of the user hold."""
    with tempfile.TemporaryDirectory() as directory:
        clone = clone_into(Path(directory))
        (clone / ".venv").unlink()
        whole = run(["make", "setup"], clone)
        size = sum(p.stat().st_size for p in (clone / ".venv").rglob("*") if p.is_file())
    return [
        figure_of_rounds(
            "setup/venv",
            "`make setup` from an empty clone",
            "s",
            [whole.seconds],
            context={"processor s": whole.cpu_s, ".venv MB": size / 1e6},
        )
    ]


def tests() -> list[Figure]:
    """`make test`, by file; not among the parts that `make bench` runs, for it takes long."""
    with tempfile.TemporaryDirectory() as directory:
        said = Path(directory) / "said.xml"
        # Here, since some tests make clones of their own, which takes a repository.
        whole = run(["make", "test", f"ARGS=-q --junitxml={said}"], REPOSITORY)
        spent: Counter[str] = Counter()
        for case in ElementTree.parse(said).iter("testcase"):  # noqa: S314 - ours
            spent[".".join(case.attrib["classname"].split(".")[1:3])] += float(case.attrib["time"])
    return [
        figure_of_rounds(
            "tests/all",
            "`make test`, and the files that take most of it",
            "s",
            [whole.seconds],
            context={f"{name} s": value for name, value in spent.most_common(8)},
        )
    ]
