"""Numbers, bounds and counts as lines: every digit of a result on the page is written here."""

from collections.abc import Sequence

from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index, has_value
from cudagraph_lab.ledger.number_format import suffix, trimmed, unit_of, written
from cudagraph_lab.ledger.verdicts import VERDICTS, Verdict, is_weak
from cudagraph_lab.report.markup import (
    About,
    Chip,
    Code,
    Datum,
    Exempt,
    Line,
    Link,
    Noted,
    Predicted,
    anchor,
    join,
    say,
)
from cudagraph_lab.statistics import LEVEL


def value(number: Number, about: bool = True) -> Line:
    """A value with its unit and interval; a bracket; or why there is no value."""
    if not has_value(number):
        return say("not measured: {why}", why=Exempt(number.missing or "no reason is given"))
    line = _bracket(number) if number.value is None else _value(number)
    return (About(number.dataset, str(number.id), line),) if about else line


def _value(number: Number) -> Line:
    text, low, high = written(number)
    line: Line = (datum(number, "value", text),)
    if isinstance(number.value, bool):
        return line
    line += (_unit(suffix(text, unit_of(number)[1])),)
    if low is None or high is None:
        return line
    kind = "range " if (number.method or "").startswith("range") else ""
    return (
        *line,
        f" ({kind}",
        datum(number, "low", low),
        " to ",
        datum(number, "high", high),
        ")",
    )


def _bracket(number: Number) -> Line:
    factor, unit = unit_of(number)
    low, high = (
        trimmed(float(end or 0) * factor, significant=3) for end in (number.low, number.high)
    )
    return (
        datum(number, "low", low),
        " to ",
        datum(number, "high", high),
        _unit(suffix("", unit)),
    )


def point(number: Number, unit: bool = True, about: bool = True) -> Line:
    """The value alone, without its interval."""
    text = written(number)[0]
    line: Line = (datum(number, "value", text),)
    if unit and not isinstance(number.value, bool):
        line += (_unit(suffix(text, unit_of(number)[1])),)
    return (About(number.dataset, str(number.id), line),) if about else line


def bounds(number: Number, judged: Judged, about: bool = True) -> Line:
    """What a prediction says, in the unit of its number."""
    line = (Predicted(judged.id, _bounds(number, judged)),)
    return (About(number.dataset, str(number.id), line),) if about else line


def named_bounds(number: Number, judged: Judged, about: bool = True) -> Line:
    """What a prediction says, after its name."""
    line = (Predicted("", (Code(judged.id), ": ", *_bounds(number, judged))),)
    return (About(number.dataset, str(number.id), line),) if about else line


def _bounds(number: Number, judged: Judged) -> Line:
    if isinstance(judged.value, bool):
        words = "holds" if judged.value else "does not hold"
        return (datum(number, "value", words, judged),)
    factor, unit = unit_of(number)

    def part(name: str) -> Datum:
        return datum(number, name, trimmed(getattr(judged, name) * factor), judged)

    low, high = judged.low, judged.high
    after = _unit(suffix("", unit))
    if low is not None and low == high:
        return (part("low"), _unit(suffix(trimmed(low * factor), unit)))
    if low is not None and high is not None:
        return (part("low"), " to ", part("high"), after)
    if low is not None:
        return ("at least ", part("low"), after)
    if high is not None:
        return ("at most ", part("high"), after)
    return ("no bounds",)


def median_and_bounds(number: Number, judged: Judged) -> Line:
    """The median of a forecast with its bounds; its number stands around it."""
    factor, unit = unit_of(number)
    text, low, high = (
        trimmed(float(end or 0) * factor) for end in (judged.value, judged.low, judged.high)
    )
    line: Line = (
        datum(number, "value", text),
        _unit(suffix(text, unit)),
        " (",
        datum(number, "low", low),
        " to ",
        datum(number, "high", high),
        ")",
    )
    return (Predicted(judged.id, line),)


def repeats(number: Number, about: bool = True) -> Line:
    """How many repeats or observations a number rests on."""
    line = (datum(number, "n", str(number.n)),)
    return (About(number.dataset, str(number.id), line),) if about else line


def judgement(number: Number, judged: Judged, about: bool = True) -> Line:
    """A verdict as a sentence: predicted 1.0 to 1.1, measured 1.02 (1.01 to 1.03): confirmed."""
    measured: Line = (", ", *value(number, about))
    if has_value(number):
        measured = say(", measured {value}", value=value(number, about))
    if number.value is None and has_value(number):  # an extrapolation: nobody measured it
        measured = say(", our bracket {value}", value=value(number, about))
    return say(
        "predicted {bounds}{measured}: {verdict}{weak}",
        bounds=bounds(number, judged, about),
        measured=() if judged.verdict == "not measured" else measured,
        verdict=Chip(judged.verdict),
        weak=weakness(number, judged),
    )


def weakness(number: Number, judged: Judged) -> Line:
    """What makes a verdict worth less, and what would settle one that is open."""
    said: list[Line] = []
    if not isinstance(judged.value, bool) and is_weak(judged.verdict, judged.low, judged.high):
        said.append(("weak",))
    if judged.in_sample:
        said.append(("read from these very data, so no test",))
    elif judged.post_hoc and judged.verdict != "not measured":
        said.append(("registered after the measurement",))
    if number.n == 1 and number.value is not None:
        said.append(("one observation",))
    if judged.settle and judged.settle != "more repeats may not settle it":
        said.append(say("to settle it: {settle}", settle=Exempt(judged.settle)))
    elif judged.settle:
        said.append(("the bounds lie inside the noise; more repeats may not settle it",))
    if judged.verdict == "not measured":
        said.append((Exempt(number.missing or "no reason is given"),))
    return (" (", *join(said, "; "), ")") if said else ()


def noted(index: Index, number: Number, interval: bool = True) -> Line:
    """A number for the flow of the text: value, interval, and a mark that opens the rest.

    A number of which nothing was predicted is a link to its row. `interval` false leaves the
    interval to the row, where it is as wide as to say nothing.
    """
    verdict = worst(number)
    if verdict is None:
        shown = value(number) if interval else point(number)
        return (Link(row_anchor(index, number), shown, quiet=True),)
    note: list[Line] = [
        say(
            "predicted by {b}: {chip}{weak}",
            b=named_bounds(number, p, about=False),
            chip=Chip(p.verdict),
            weak=weakness(number, p),
        )
        for p in number.predictions
    ]
    if number.n:
        n = repeats(number, about=False)
        note.append(say("n = {n}{method}", n=n, method=_method(number)))
    note.append((Link(row_anchor(index, number), ("its row, with its records",)),))
    shown = value(number, about=False) if interval else point(number, about=False)
    # Value and note stand inside one mention of the number: a page has hundreds of them.
    return (About(number.dataset, str(number.id), (Noted(shown, verdict, tuple(note)),)),)


def _method(number: Number) -> Line:
    if number.low is None or number.high is None:
        return (", one observation",) if number.n == 1 else ("",)
    return say(", {level} interval, {method}", level=level(), method=Exempt(number.method or ""))


def worst(number: Number) -> Verdict | None:
    """The verdict that a reader should see first; None where nothing was predicted."""
    verdicts = {p.verdict for p in number.predictions}
    return next((v for v in VERDICTS if v in verdicts), None)


def row_anchor(index: Index, number: Number) -> str:
    """Where the table of all numbers holds a number; short, since there are thousands."""
    return anchor(f"n{index.groups.index(number.dataset)}", str(number.id))


def runs_anchor(index: Index, dataset: str, arm: str) -> str:
    """Where the table of runs holds an arm."""
    return anchor(f"r{index.groups.index(dataset)}", arm)


def label(index: Index, number: Number) -> Line:
    """A number in words: `speed-up, graphs over eager, batch 8`."""
    key = number.id
    words: list[Line] = [(Exempt(key.quantity.label, "label"),)]
    if not key.keys and key.quantity.template == str(number.id) and key.quantity.label == "number":
        words = [(Exempt(str(number.id), "label"),)]
    for name, given in key.keys:
        if name == "batch":
            words.append(say("batch {size}", size=Exempt(str(given), "batch")))
        elif name == "tp":
            words.append(say("{n} GPUs", n=Exempt(str(given), "key")))
        elif name == "contrast":
            words.append(_sides(index, number.dataset, str(given)))
        else:
            words.append((Exempt(str(given), "key"),))
    return join(words, ", ")


def _sides(index: Index, dataset: str, contrast: str) -> Line:
    """The arms that a contrast compares; its name where they are not known."""
    facts = index.datasets.get(dataset)
    sides = facts.contrasts.get(contrast) if facts else None
    if sides is None:
        return (Code(contrast),)
    return say("{a} over {b}", a=Code(sides.numerator), b=Code(sides.denominator))


def count(size: int, what: str, **more: str) -> Datum:
    """A count of verdicts; the attributes say what was counted, so that it can be checked."""
    attributes = {"data-count": what, **{f"data-{key}": text for key, text in more.items()}}
    return Datum(f"{size:,}", tuple(attributes.items()))


def fact(dataset: str, name: str, given: float) -> Datum:
    """A count that the data set itself carries, such as `iterations`."""
    attributes = {"data-dataset": dataset, "data-fact": name}
    return Datum(trimmed(given), tuple(attributes.items()))


def arm_repeats(dataset: str, arm: str, given: int) -> Datum:
    """How many repeats of an arm there are."""
    attributes = {"data-dataset": dataset, "data-repeats": arm}
    return Datum(str(given), tuple(attributes.items()))


def batch(size: int) -> Exempt:
    """A batch size of a data set, as a label."""
    return Exempt(str(size), "batch")


def batches(sizes: Sequence[int]) -> Line:
    """Batch sizes in words: 1, 8 and 64."""
    return join([batch(size) for size in sizes])


def level() -> Exempt:
    """The level of the intervals."""
    return Exempt(f"{trimmed(LEVEL * 100)}%", "level")


def datum(number: Number, part: str, text: str, judged: Judged | None = None) -> Datum:
    """The digits of a part of a number, or of a prediction of it: value, low, high or n."""
    # A datum that says nothing is of the value; the number and the prediction stand around it.
    return Datum(text, () if part == "value" else ((part, ""),))


def _unit(text: str) -> Exempt:
    return Exempt(text)
