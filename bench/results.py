"""What the bench writes: its results as data, what moved since the last ones, and the page."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cudagraph_lab import REPOSITORY
from cudagraph_lab.files import write_atomically

STORED = REPOSITORY / "bench" / "results.json"
PAGE = REPOSITORY / "docs" / "performance.md"


class Result(BaseModel):
    """Base of the results' parts."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Figure(Result):
    """One figure: a ratio or a bound, with its spread over `n` rounds and what it is made of."""

    name: str
    what: str
    unit: str  # x for ratios
    value: float  # median over the rounds
    low: float | None  # smallest and largest of the rounds; None where there is one round
    high: float | None
    n: int
    bound: Literal["at most", "at least"] | None = None
    target: float | None = None
    context: dict[str, float] = {}  # absolute times and sizes, by name and unit
    if_missed: str | None = None  # why the target is missed, and what would change it

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the target; None where there is none."""
        if self.target is None or self.bound is None:
            return None
        return self.value <= self.target if self.bound == "at most" else self.value >= self.target


class Part(Result):
    """The figures of one part, measured together."""

    command: str
    commit: str
    date: str  # ISO 8601, UTC
    machine: dict[str, Any]
    seconds: float
    figures: list[Figure]


class Results(Result):
    """All parts, by name."""

    schema_version: Literal[1] = 1
    parts: dict[str, Part] = {}


def figure_of_rounds(
    name: str, what: str, unit: str, rounds: Sequence[float], **fields: Any
) -> Figure:
    """A figure from one value per round: their median, smallest and largest."""
    several = len(rounds) > 1
    return Figure(
        name=name,
        what=what,
        unit=unit,
        value=median(rounds),
        low=min(rounds) if several else None,
        high=max(rounds) if several else None,
        n=len(rounds),
        **fields,
    )


def read_results(path: Path = STORED) -> Results:
    """The stored results, none where nothing is stored."""
    if not path.exists():
        return Results()
    return Results.model_validate_json(path.read_text(encoding="utf-8"))


def moved(before: Figure, now: Figure) -> str | None:
    """What a figure did since the last results, or None where the two spreads overlap.

    A single value has no spread: whatever it did is said, and that it had none.
    """
    ends = [
        (figure.low, figure.high) if figure.low is not None and figure.high is not None
        else (figure.value, figure.value)
        for figure in (before, now)
    ]  # fmt: skip
    (low_before, high_before), (low, high) = ends
    if low <= high_before and low_before <= high:
        return None
    alone = "" if low_before < high_before or low < high else ", single values without a spread"
    return (
        f"{now.name}: {shown(before.value, before.unit)} to {shown(now.value, now.unit)}, "
        f"{now.value / before.value:.2f} times what it was{alone}"
    )


def compare(before: Results, now: Mapping[str, Part]) -> list[str]:
    """Lines on what moved beyond its spread, and on what cannot be compared."""
    said = []
    for name, part in now.items():
        old = before.parts.get(name)
        if old is None:
            said.append(f"{name}: nothing stored to compare with")
            continue
        if old.machine != part.machine:
            said.append(f"{name}: the stored results are from another machine")
        known = {figure.name: figure for figure in old.figures}
        lines = [moved(known[f.name], f) for f in part.figures if f.name in known]
        said += [line for line in lines if line] or [f"{name}: nothing moved beyond its spread"]
    return said


def write_results(results: Results, path: Path = STORED, page: Path = PAGE) -> None:
    """Write results and page, each whole or not at all."""
    write_atomically(path, json.dumps(results.model_dump(mode="json"), indent=1) + "\n")
    write_atomically(page, markdown(results))


def now_utc() -> str:
    """The time, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def shown(value: float, unit: str) -> str:
    """Three significant digits and the unit; whole numbers from a thousand on."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if unit in ("x", "%"):
        return f"{text}{'×' if unit == 'x' else unit}"
    return f"{text} {unit}"


HEAD = """# Performance

What a user waits for, and how it grows. Written by `make bench` from
[bench/results.json](../bench/results.json); do not edit. Every figure but those marked as context
is a ratio of two things measured in one run, in turn where there are several rounds, or a size, or
how long a mistake takes to be told. Medians unless it says otherwise, with the smallest and the
largest of the rounds in brackets; absolute times belong to the machine.
"""

TAIL = """
`make bench` runs all parts, `make bench ARGS="PART ..."` some; both compare with the stored results
and say what moved beyond its spread.
"""


def markdown(results: Results) -> str:
    """The page: per part its machine, command and figures, then the targets that are missed."""
    lines = [HEAD]
    missed = []
    for name, part in results.parts.items():
        machine = ", ".join(f"{key} {value}" for key, value in part.machine.items())
        lines += [
            f"\n## {name}\n",
            f"`{part.command}` took {part.seconds:.0f} s on {part.date[:10]}, at commit "
            f"{part.commit}; {machine}.",
            "",
            "| | measured | target | | context |",
            "|---|---|---|---|---|",
        ]
        for figure in part.figures:
            spread = ""
            if figure.low is not None and figure.high is not None:
                ends = (shown(end, figure.unit) for end in (figure.low, figure.high))
                spread = f" ({' to '.join(ends)}, n = {figure.n})"
            target = f"{figure.bound} {shown(figure.target, figure.unit)}" if figure.target else ""
            verdict = {True: "met", False: "**missed**", None: "context"}[figure.met]
            context = ", ".join(
                f"{what} {shown(value, unit)}"
                for key, value in figure.context.items()
                for what, _, unit in [key.rpartition(" ")]
            )
            value = shown(figure.value, figure.unit)
            lines.append(f"| {figure.what} | {value}{spread} | {target} | {verdict} | {context} |")
            if figure.met is False:
                missed.append(f"- {figure.what}: {figure.if_missed or 'no reason is known'}")
    if missed:
        lines += ["\n## Missed, and what would change it\n", *missed]
    lines.append(TAIL)
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"
