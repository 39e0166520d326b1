"""Numbers on a page: `print_number` is the one way there, by data set and id.

What templates and tables say of a number, of its predictions and of counts is made
here; it holds no digit of a result itself.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Literal
from urllib.parse import quote

from markupsafe import Markup

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import Judged, Ledger, Number
from cudagraph_lab.ledger.verdicts import Verdict
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Form
from cudagraph_lab.report.number_format import suffix, trimmed, unit_of, written
from cudagraph_lab.statistics import LEVEL

VERDICTS: tuple[Verdict, ...] = ("refuted", "inconclusive", "confirmed", "not measured")


@dataclass(frozen=True)
class Page:
    """What the functions that templates call know of: the ledger, and the format."""

    ledger: Ledger
    numbers: Mapping[tuple[str, str], Number]
    datasets: Mapping[str, Dataset]
    arm_of_file: Mapping[str, tuple[str, str]]  # record to (data set, arm)
    form: Form


def make_page(ledger: Ledger, form: Form) -> Page:
    """The ledger, indexed. Raises LabError where an id occurs twice in a data set."""
    numbers: dict[tuple[str, str], Number] = {}
    for number in ledger.numbers:
        key = (number.dataset, str(number.id))
        if key in numbers:
            raise LabError(f"ledger: {number.dataset} has two numbers {number.id!s}; rebuild it")
        numbers[key] = number
    arm_of_file = {
        file: (dataset.name, arm)
        for dataset in ledger.datasets
        for arm, files in dataset.files.items()
        for file in files
    }
    return Page(ledger, numbers, {d.name: d for d in ledger.datasets}, arm_of_file, form)


def anchor(*parts: str) -> str:
    """A name for a place on the page: different for different parts, whatever stands in them."""
    return ":".join(quote(part, safe="/._-") for part in parts)


def find(page: Page, dataset: str, number: str) -> Number | None:
    """A number of the ledger, or None where the ledger does not speak of it."""
    return page.numbers.get((dataset, str(number)))


def matching(page: Page, dataset: str, pattern: str, measured: bool = True) -> list[Number]:
    """The numbers of a data set whose id matches a shell pattern; with a value, if `measured`."""
    return [
        number
        for (name, _), number in page.numbers.items()
        if name == dataset
        and fnmatchcase(str(number.id), pattern)
        and (has_value(number) or not measured)
    ]


def _part(page: Page, number: Number, part: str, text: str, prediction: str = "") -> Markup:
    """One part of a number (value, low, high, n) as printed; `_about` says which number it is."""
    judged = next((p for p in number.predictions if p.id == prediction), None)
    source = number if judged is None else judged
    value = getattr(source, part)
    attributes = {
        "value": str(value).lower() if isinstance(value, bool) else repr(value),
        "data-part": part,
    }
    factor, unit = unit_of(number)
    if factor != 1 and part != "n":
        attributes["data-unit"] = unit
    if prediction:
        attributes["data-prediction"] = prediction
    return page.form.datum(text, attributes)


def _about(page: Page, number: Number, parts: Markup) -> Markup:
    return page.form.about(number.dataset, str(number.id), parts)


def n_of(page: Page, number: Number, in_row: bool = False) -> Markup:
    """How many repeats or observations a number rests on."""
    printed = _part(page, number, "n", str(number.n))
    return printed if in_row else _about(page, number, printed)


def value_of(page: Page, number: Number, repeats: bool = False, in_row: bool = False) -> Markup:
    """Value, unit and interval of a number, its repeats if asked; a reason without a value.

    The value leads to where all is said of it: its runs, its method, its formula; `in_row`
    says that it stands there, in a row that is about this number.
    """
    if not has_value(number):
        return Markup("{} ({})").format(
            page.form.escape("not measured"),
            page.form.exempt(number.missing or "no reason recorded", "said"),
        )
    if in_row:
        return _interval(page, number, repeats, lambda text: text)
    anchored = partial(page.form.link, anchor("number", number.dataset, str(number.id)))
    return _about(page, number, _interval(page, number, repeats, anchored))


def _interval(
    page: Page, number: Number, repeats: bool, linked: Callable[[Markup], Markup]
) -> Markup:
    form = page.form
    if number.value is None and number.low is not None and number.high is not None:
        factor, unit = unit_of(number)
        ends = [
            _part(page, number, part, trimmed(end * factor))
            for part, end in (("low", number.low), ("high", number.high))
        ]
        return linked(Markup(" to ").join(ends) + _follow(page, "", unit))
    value, low, high = written(number)
    printed = _part(page, number, "value", value)
    if isinstance(number.value, bool):
        return linked(printed)
    printed = linked(printed + _follow(page, value, unit_of(number)[1]))
    if low is None or high is None:
        return printed
    kind = form.escape("range ") if (number.method or "").startswith("range") else Markup()
    ends = [_part(page, number, part, end) for part, end in (("low", low), ("high", high))]
    counted = Markup(", n = {}").format(_part(page, number, "n", str(number.n)))
    return Markup("{} ({}{}{})").format(
        printed, kind, Markup(" to ").join(ends), counted if repeats else ""
    )


def predicted(page: Page, number: Number, prediction: Judged) -> Markup:
    """A prediction's value and bounds, in the unit of its number."""
    return _about(page, number, _bounds(page, number, prediction))


def _bounds(page: Page, number: Number, prediction: Judged) -> Markup:
    if isinstance(prediction.value, bool):
        words = "holds" if prediction.value else "does not hold"
        return _part(page, number, "value", words, prediction.id)
    factor, unit = unit_of(number)

    def part(name: str) -> Markup:
        raw = getattr(prediction, name) * factor
        return _part(page, number, name, trimmed(raw), prediction.id)

    low, high = prediction.low, prediction.high
    one = prediction.value if prediction.value is not None else low
    follows = _follow(page, trimmed(one * factor) if one is not None else "", unit)
    if low is not None and low == high:
        return Markup("{}{}").format(part("low"), follows)
    if prediction.value is not None and low is not None and high is not None:
        return Markup("{}{} ({} to {})").format(part("value"), follows, part("low"), part("high"))
    if low is not None and high is not None:
        return Markup("{} to {}{}").format(part("low"), part("high"), _follow(page, "", unit))
    if low is not None:
        return Markup("at least {}{}").format(part("low"), follows)
    return Markup("at most {}{}").format(part("high"), _follow(page, "", unit))


def _follow(page: Page, text: str, unit: str) -> Markup:
    """`suffix` on the page; a unit may come from a user's predictions."""
    gap = Markup("\N{NO-BREAK SPACE}") if suffix(text, unit) != unit else Markup()
    return gap + page.form.escape(suffix(text, unit).strip())


def anchor_of(number: Number, prediction: Judged) -> str:
    """Where the verdict board holds a prediction of a number."""
    return anchor("verdict", number.dataset, prediction.id, str(number.id))


def chips(page: Page, number: Number) -> Markup:
    """The verdicts on a number, each linked to its place on the board, with what weakens it."""
    several = len(number.predictions) > 1
    found = []
    for prediction in number.predictions:
        aside = [prediction.id.split("/")[0]] if several else []
        if prediction.verdict != "not measured" and (prediction.in_sample or prediction.post_hoc):
            aside.append("in-sample" if prediction.in_sample else "post hoc")
        anchor = anchor_of(number, prediction)
        found.append(page.form.chip(prediction.verdict, anchor, ", ".join(aside)))
    return Markup(" ").join(found)


def print_number(
    page: Page, dataset: str, number: str, form: Literal["prose", "cell"] = "prose"
) -> Markup:
    """The one way to the page: value, interval, verdicts linked to their predictions.

    In prose a number without a prediction says so; in a cell the table's notes do.
    Raises LabError where the ledger has no such number.
    """
    found = find(page, dataset, number)
    if found is None:
        raise LabError(f"report: the ledger has no number {number!r} of {dataset!r}")
    text = value_of(page, found, repeats=form == "prose")
    if is_single(found) and form == "prose":
        text += Markup(", single observation")
    if found.predictions:
        return Markup("{} {}").format(text, chips(page, found))
    if form == "cell":
        return text
    return Markup("{} ({})").format(text, page.form.escape("no prediction registered"))


def is_single(number: Number) -> bool:
    """Whether a number is one observation; a claim says so in its own words."""
    return number.n == 1 and number.value is not None and not isinstance(number.value, bool)


def listed(page: Page, dataset: str, wanted: Sequence[tuple[str, str]]) -> list[Markup]:
    """Lines for those of the (id, words) that have a value: words, number, remark."""
    lines = []
    for number, words in wanted:
        found = find(page, dataset, number)
        if found is None or not has_value(found):
            continue
        line = Markup("{}: {}").format(words, print_number(page, dataset, number))
        # How few the repeats are stands in the number already.
        if found.note and "repeats are few" not in found.note:
            line += Markup(" – {}").format(page.form.exempt(found.note, "said"))
        lines.append(line)
    return lines


def prose(page: Page, text: str) -> Markup:
    """Text of a record or the configuration in which backticks enclose names."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return page.form.exempt(text, "said")
    return Markup().join(
        page.form.code(piece) if at % 2 else page.form.exempt(piece, "said")
        for at, piece in enumerate(pieces)
        if piece
    )


def batch(page: Page, size: int) -> Markup:
    """A batch size of a data set, as a label."""
    return page.form.exempt(str(size), "batch")


def batch_list(page: Page, sizes: Sequence[int]) -> Markup:
    """Batch sizes in words: 1, 8 and 64."""
    return in_words([batch(page, size) for size in sizes])


def in_words(items: Sequence[Markup]) -> Markup:
    """Items joined by commas and a last `and`."""
    if len(items) < 2:
        return Markup().join(items)
    return Markup("{} and {}").format(Markup(", ").join(items[:-1]), items[-1])


def label(number: str) -> str:
    """An id in words: `ratio/graph/b8` is the speed-up, graph, batch 8."""
    first = {
        "ratio": "speed-up",
        "step": "decode step",
        "first_token": "first token",
        "first_call": "first call",
        "kv": "KV cache",
    }
    head, *rest = number.split("/")
    words = [first.get(head, head.replace("_", " "))]
    words += [
        f"batch {part[1:]}" if re.fullmatch(r"b\d+", part) else part.replace("_", " ")
        for part in rest
    ]
    return ", ".join(words)


def fact(page: Page, dataset: str, name: str) -> Markup:
    """A count that the data set itself carries, such as `iterations`."""
    value = getattr(page.datasets[dataset], name)
    return page.form.datum(
        trimmed(value), {"value": repr(value), "data-dataset": dataset, "data-fact": name}
    )


def repeats(page: Page, dataset: str, arm: str) -> Markup:
    """How many repeats of an arm there are."""
    value = page.datasets[dataset].arms[arm].repeats
    return page.form.datum(
        str(value), {"value": str(value), "data-dataset": dataset, "data-repeats": arm}
    )


def level(page: Page) -> Markup:
    """The level of the intervals."""
    return page.form.exempt(f"{trimmed(LEVEL * 100)}%", "level")


def count_verdicts(page: Page, dataset: str, pattern: str = "*") -> Counter[str]:
    """How many predictions ended in each verdict, of the numbers of a data set whose id matches.

    `X in-sample` and `X post hoc` count apart as well.
    """
    counted: Counter[str] = Counter()
    for number in matching(page, dataset, pattern, measured=False):
        for prediction in number.predictions:
            counted[prediction.verdict] += 1
            if prediction.in_sample:
                counted[f"{prediction.verdict} in-sample"] += 1
            if prediction.post_hoc:
                counted[f"{prediction.verdict} post hoc"] += 1
    return counted


def tally(page: Page, dataset: str, what: str, pattern: str = "*") -> Markup:
    """One of `count_verdicts`, printed."""
    value = count_verdicts(page, dataset, pattern)[what]
    attributes = {"value": str(value), "data-dataset": dataset, "data-count": what}
    text = page.form.datum(str(value), attributes | {"data-of": pattern})
    verdict = next(verdict for verdict in VERDICTS if what.startswith(verdict))
    return page.form.link(anchor("board", verdict), text) if value else text


def has_value(number: Number) -> bool:
    """Whether a number has a value or, as an extrapolation has, a bracket."""
    return number.value is not None or number.low is not None


def groups(page: Page) -> list[str]:
    """The names that numbers go by: the data sets, then what belongs to none."""
    return list(
        dict.fromkeys([*page.datasets, *(number.dataset for number in page.ledger.numbers)])
    )


def title_of(page: Page, dataset: str) -> str:
    """The title of a data set; the name itself of numbers that belong to none."""
    return page.datasets[dataset].title if dataset in page.datasets else dataset
