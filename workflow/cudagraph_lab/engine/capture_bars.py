"""The progress bars of graph capture: tqdm's, as terminals, notebooks and logs cut them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Routine = Literal["PIECEWISE", "FULL"]

# tqdm's `desc: 33%|███   | 1/3 [00:00<00:00, 9.81it/s]`, which a terminal cuts off anywhere. What
# may stand between the strokes excludes the words of another bar that broke in. A notebook's bar
# that was saved as text has no strokes: `desc: 100% 35/35 [00:48<00:00, 1.39s/it]`.
_BAR = re.compile(
    r"Capturing CUDA graph(?:s(?: \((?P<label>[^()]{1,60}\)))?|(?P<shapes> shapes)):"
    r"(?:\s*(?P<percent>\d{1,3})%"
    r"(?:(?:\|[^|A-Za-z%:/\[\]]{0,1000}\||(?=\s))\s*"
    r"(?P<done>\d{1,9})/(?P<total>\d{1,9})(?P<timed>\s\[)?|\|)"
    r"|\s*\d{0,3}%?\s*$)",
    re.ASCII,
)
_CUT_IN_LABEL = re.compile(r"Capturing CUDA graphs \((?P<label>[^()]{0,60}\)?)$")
LABELS = (
    "mixed prefill-decode, PIECEWISE)",
    "mixed prefill-decode, FULL)",
    "decode, FULL)",
    "mixed, PIECEWISE)",
    "mixed, FULL)",
    "PIECEWISE)",
    "FULL)",
)
_ROUTINE = re.compile(r"\b(PIECEWISE|FULL)\)$")


@dataclass
class Pass:
    """One pass of capture as its bar shows it: the label as far as seen, the shapes in all."""

    label: str
    shapes: int | None
    line: int
    text: str


def bars_in(text: str) -> Iterator[tuple[str, int | None]]:
    """Yield (label, shapes) of the bars in a text; shapes None where the count may be cut off."""
    for bar in _BAR.finditer(text):
        yield bar["label"] or ("shapes:" if bar["shapes"] else ":"), _total(bar)
    cut = _CUT_IN_LABEL.search(text.rstrip())
    if cut and any(label.startswith(cut["label"]) for label in LABELS):
        yield cut["label"], None


def _total(bar: re.Match[str]) -> int | None:
    if bar["total"] is None:
        return None
    percent, done, total = int(bar["percent"]), int(bar["done"]), int(bar["total"])
    consistent = total > 0 and abs(100 * done / total - percent) <= 0.5
    whole = bar["timed"] is not None or (percent == 100 and done == total)
    return total if consistent and whole else None


def note_pass(passes: list[Pass], label: str, shapes: int | None, line: int, text: str) -> None:
    """Add what a bar shows to the passes seen: a new pass, or more of one that was cut off."""
    for seen in passes:
        # A label cut off by the terminal is the pass whose label begins so.
        if seen.label.startswith(label) or label.startswith(seen.label):
            seen.label = max(seen.label, label, key=len)
            if shapes:
                seen.shapes, seen.line, seen.text = shapes, line, text
            return
    passes.append(Pass(label, shapes, line, text))


def routine_of(label: str) -> Routine | None:
    """The routine that a label names, whole or cut off; None where it names none or both."""
    if whole := _ROUTINE.search(label):
        return "FULL" if whole[1] == "FULL" else "PIECEWISE"
    routines: set[Routine] = {
        "FULL" if known.endswith("FULL)") else "PIECEWISE"
        for known in LABELS
        if known.startswith(label)
    }
    return routines.pop() if len(routines) == 1 else None
