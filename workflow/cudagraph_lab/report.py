"""The report: a ledger becomes a page and, from the same sections, its twin in Markdown.

A number reaches the page through `number` alone, by data set and id. Templates
choose words; they hold no digit of a result. Whatever comes from records or
configuration is escaped, and marked so that a reader of the page's source, or a
test, can tell it from what the templates say.
"""

import html
import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from pydantic import BaseModel, ConfigDict, TypeAdapter

from cudagraph_lab import REPOSITORY, stats
from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger import Judged, Ledger, Number
from cudagraph_lab.observations import Dataset
from cudagraph_lab.verdicts import Verdict

TEMPLATES = REPOSITORY / "report"
VERDICTS: tuple[Verdict, ...] = ("refuted", "inconclusive", "confirmed", "not measured")
SIGNS = {"refuted": "✗", "inconclusive": "?", "confirmed": "✓", "not measured": "–"}
KINDS = {
    "measured": "measured",
    "transcribed": "published, one observation, no interval",
    "simulated": "SIMULATED, not measured",
}
# The level of the ledger's intervals is the default of the function that makes them.
LEVEL = float(inspect.signature(stats.estimate_mean).parameters["level"].default)

# One template each, under report/sections/.
SECTIONS = (
    "answer",
    "board",
    "curve",
    "startup",
    "production",
    "outlook",
    "trust",
    "provenance",
)

Action = Literal["on", "points_on", "off", "cannot_tell", "cpu", "unmeasured", "nothing"]


class Drawing(BaseModel):
    """What is said of a figure: its finding in words, and the numbers that it shows.

    A column's heading and a row's are lists of words; a cell is (data set, id of a
    number) or None where the figure shows nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    alt: str
    columns: list[list[str]]
    rows: list[tuple[list[str], list[tuple[str, str] | None]]]


@dataclass(frozen=True)
class Form:
    """How the leaves of a page are written in one format."""

    escape: Callable[[str], Markup]
    datum: Callable[[str, Mapping[str, str]], Markup]  # a printed number and where it is from
    exempt: Callable[[str, str], Markup]  # text of a record or the configuration, and its nature
    code: Callable[[str], Markup]
    time: Callable[[str], Markup]
    chip: Callable[[str, str, str], Markup]  # verdict, anchor, aside
    strong: Callable[[Markup], Markup]
    target: Callable[[str, Markup], Markup]  # anchor, what it holds


@dataclass(frozen=True)
class Page:
    """What the functions that templates call know of: the ledger, and the format."""

    ledger: Ledger
    numbers: Mapping[tuple[str, str], Number]
    datasets: Mapping[str, Dataset]
    form: Form


@dataclass(frozen=True)
class Table:
    """A table ready to be laid out; notes are what holds for several of its numbers."""

    columns: list[Markup]
    rows: list[list[Markup]]
    notes: list[Markup]
    single: bool = False  # whether every number in it is one observation


@dataclass(frozen=True)
class Advice:
    """What to set, and the batch sizes that decide it."""

    action: Action
    batches: list[int]


# --- How a number is written ----------------------------------------------------------


def unit_of(number: Number) -> tuple[float, str]:
    """(factor, unit) in which a number is written: shares as %, short times as ms or µs."""
    if number.unit in ("relative", "share"):
        return 100.0, "%"
    if number.unit == "x":
        return 1.0, "×"
    if number.unit == "s":
        known = [number.value, *(p.value or p.high for p in number.predictions)]
        size = abs(next((float(value) for value in known if value is not None), 1.0))
        if 0 < size < 1e-4:
            return 1e6, "µs"
        if 0 < size < 0.1:
            return 1e3, "ms"
    return 1.0, number.unit


def places_of(value: float, low: float | None, high: float | None, significant: int = 4) -> int:
    """Decimal places worth printing; negative ones round to tens and more.

    Two significant digits of the interval's half-width, yet at least one of the value;
    without an interval as many significant digits of the value as are given.
    """
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    if low is None or high is None or not high > low:
        return significant - 1 - magnitude
    return max(1 - math.floor(math.log10((high - low) / 2)), -magnitude)


def digits(value: float, places: int, signed: bool = False) -> str:
    """`value` rounded to decimal places, with thousands separated and a true minus sign."""
    rounded = round(value, places) + 0.0  # no minus zero
    text = f"{rounded:{'+' if signed else ''},.{max(places, 0)}f}"
    return text.replace("-", "−")


def trimmed(value: float, signed: bool = False, significant: int = 4) -> str:
    """So many significant digits at most, without trailing zeros."""
    text = digits(value, places_of(value, None, None, significant), signed)
    return text.rstrip("0").rstrip(".") if "." in text else text


def written(number: Number) -> tuple[str, str | None, str | None]:
    """(value, low, high) as they are printed, in the unit of `unit_of`; None without interval.

    Raises LabError for a number that has no value: nothing is printed in its place.
    """
    if number.value is None:
        raise LabError(f"{number.dataset}: {number.id} has no value; print its reason instead")
    if isinstance(number.value, bool):
        return claim_in_words(number), None, None
    factor, _ = unit_of(number)
    signed = number.id.startswith("model/") and "/error/" in number.id
    value = number.value * factor
    if number.low is None or number.high is None or not number.high > number.low:
        return trimmed(value, signed, _significant(number)), None, None
    low, high = number.low * factor, number.high * factor
    places = places_of(value, low, high)
    if low > 0 and high / low > 10:  # no decimal place suits both ends
        return _two_significant(value), _two_significant(low), _two_significant(high)
    return digits(value, places, signed), digits(low, places, signed), digits(high, places, signed)


def _significant(number: Number) -> int:
    """Digits for a number without an interval: fewer where it is computed from noisy ones."""
    if number.unit == "relative":
        return 2
    whole = number.value is not None and float(number.value).is_integer()
    return 4 if whole or number.n == 1 else 3


def _two_significant(value: float) -> str:
    return digits(value, 1 - math.floor(math.log10(value)))


def suffix(text: str, unit: str) -> str:
    """A unit as it follows its value: spaced as it wants to be, in the singular after 1."""
    if unit in ("%", "×"):
        return unit
    if text == "1" and len(unit) > 3 and unit.isalpha():
        unit = {"passes": "pass", "launches": "launch"}.get(unit, unit.removesuffix("s"))
    return f"\N{NO-BREAK SPACE}{unit}"


def plain(number: Number) -> str:
    """A number in one line of plain text, for alternative texts: value, unit, interval."""
    if number.value is None:
        if number.low is None or number.high is None:
            return "not measured"
        factor, unit = unit_of(number)
        return (
            f"{trimmed(number.low * factor)} to {trimmed(number.high * factor)}{suffix('', unit)}"
        )
    value, low, high = written(number)
    if isinstance(number.value, bool):
        return value
    text = value + suffix(value, unit_of(number)[1])
    if low is not None:
        return f"{text} ({low} to {high})"
    return f"{text} (single observation)" if number.n == 1 else text


def claim_in_words(number: Number) -> str:
    """Whether a claim holds, as firmly as its verdicts and its repeats allow."""
    holds = bool(number.value)
    if number.n == 1:
        return f"{'holds' if holds else 'does not hold'} for single observations"
    settled = [p for p in number.predictions if p.verdict in ("confirmed", "refuted")]
    if settled:
        outcome = bool(settled[0].value) == (settled[0].verdict == "confirmed")
        return "holds" if outcome else "does not hold"
    return f"{'holds' if holds else 'does not hold'} for the point estimates, not settled"


# --- Leaves: HTML and Markdown --------------------------------------------------------


def clean(text: str) -> str:
    """One line without control characters."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text))


def _html_datum(text: str, attributes: Mapping[str, str]) -> Markup:
    pairs = Markup(" ").join(Markup('{}="{}"').format(k, v) for k, v in attributes.items())
    return Markup("<data {}>{}</data>").format(pairs, text)


def _html_chip(verdict: str, anchor: str, aside: str) -> Markup:
    name = verdict.replace(" ", "-")
    inside = Markup('<span aria-hidden="true">{}</span> {}').format(SIGNS[verdict], verdict)
    if aside:
        inside += Markup(' <span class="aside">({})</span>').format(aside)
    if not anchor:
        return Markup('<span class="chip {}">{}</span>').format(name, inside)
    return Markup('<a class="chip {}" href="#{}">{}</a>').format(name, anchor, inside)


HTML = Form(
    escape=lambda text: escape(clean(text)),
    datum=_html_datum,
    exempt=lambda text, why: Markup('<span class="exempt" data-why="{}">{}</span>').format(
        why, clean(text)
    ),
    code=lambda text: Markup('<code class="exempt" data-why="name">{}</code>').format(clean(text)),
    time=lambda text: Markup('<time datetime="{0}">{1}</time>').format(
        text, text.replace("T", " ").removesuffix("+00:00") + " UTC"
    ),
    chip=_html_chip,
    strong=lambda text: Markup("<strong>{}</strong>").format(text),
    target=lambda anchor, text: Markup('<span id="{}">{}</span>').format(anchor, text),
)


def escape_markdown(text: str) -> Markup:
    """Text that stands for itself in Markdown, also in a table's cell."""
    text = html.escape(clean(text), quote=False)
    text = re.sub(r"([\\|`*\[\]~])", r"\\\1", text)
    # An underscore inside a word is an underscore; elsewhere it begins emphasis.
    return Markup(re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text))  # noqa: S704


def _markdown_code(text: str) -> Markup:
    inside = clean(text).replace("`", "'").replace("|", "\\|")
    return Markup(f"`{inside}`")  # noqa: S704


MARKDOWN = Form(
    escape=escape_markdown,
    datum=lambda text, attributes: escape_markdown(text),
    exempt=lambda text, why: escape_markdown(text),
    code=_markdown_code,
    time=lambda text: escape_markdown(text.replace("T", " ").removesuffix("+00:00") + " UTC"),
    chip=lambda verdict, anchor, aside: Markup("{} {}{}").format(
        SIGNS[verdict], verdict, escape_markdown(f" ({aside})") if aside else ""
    ),
    strong=lambda text: Markup("**{}**").format(text),
    target=lambda anchor, text: text,
)


# --- What templates call --------------------------------------------------------------


def find(page: Page, dataset: str, number: str) -> Number | None:
    """A number of the ledger, or None where the ledger does not speak of it."""
    return page.numbers.get((dataset, number))


def matching(page: Page, dataset: str, pattern: str, measured: bool = True) -> list[Number]:
    """The numbers of a data set whose id matches a shell pattern; with a value, if `measured`."""
    return [
        number
        for (name, _), number in page.numbers.items()
        if name == dataset
        and fnmatchcase(number.id, pattern)
        and (has_value(number) or not measured)
    ]


def _datum(page: Page, number: Number, part: str, text: str, prediction: str = "") -> Markup:
    judged = next((p for p in number.predictions if p.id == prediction), None)
    source = number if judged is None else judged
    value = getattr(source, part)
    attributes = {
        "value": str(value).lower() if isinstance(value, bool) else repr(value),
        "data-dataset": number.dataset,
        "data-id": number.id,
        "data-part": part,
        "data-unit": "" if part == "n" else unit_of(number)[1],
    }
    if prediction:
        attributes["data-prediction"] = prediction
    return page.form.datum(text, attributes)


def value_of(page: Page, number: Number, repeats: bool = False) -> Markup:
    """Value, unit and interval of a number, its repeats if asked; a reason without a value."""
    form = page.form
    if number.value is None and number.low is not None and number.high is not None:
        factor, unit = unit_of(number)
        ends = [
            _datum(page, number, part, trimmed(end * factor))
            for part, end in (("low", number.low), ("high", number.high))
        ]
        return Markup("{}{}").format(Markup(" to ").join(ends), _follow(page, "", unit))
    if number.value is None:
        return Markup("{} ({})").format(
            form.escape("not measured"), form.exempt(number.missing or "no reason recorded", "said")
        )
    value, low, high = written(number)
    printed = _datum(page, number, "value", value)
    if isinstance(number.value, bool):
        return printed
    printed = Markup("{}{}").format(printed, _follow(page, value, unit_of(number)[1]))
    if low is None or high is None:
        return printed
    kind = form.escape("range ") if (number.method or "").startswith("range") else Markup()
    ends = [_datum(page, number, part, end) for part, end in (("low", low), ("high", high))]
    counted = Markup(", n = {}").format(_datum(page, number, "n", str(number.n)))
    return Markup("{} ({}{}{})").format(
        printed, kind, Markup(" to ").join(ends), counted if repeats else ""
    )


def predicted(page: Page, number: Number, prediction: Judged) -> Markup:
    """A prediction's value and bounds, in the unit of its number."""
    if isinstance(prediction.value, bool):
        words = "holds" if prediction.value else "does not hold"
        return _datum(page, number, "value", words, prediction.id)
    factor, unit = unit_of(number)

    def part(name: str) -> Markup:
        raw = getattr(prediction, name) * factor
        return _datum(page, number, name, trimmed(raw), prediction.id)

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
    return "v-" + re.sub(r"[^a-zA-Z0-9]+", "-", f"{number.dataset}-{prediction.id}-{number.id}")


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


def count_verdicts(page: Page, dataset: str) -> Counter[str]:
    """How many predictions of a data set ended in each verdict; `X in-sample` counts apart."""
    counted: Counter[str] = Counter()
    for number in matching(page, dataset, "*", measured=False):
        for prediction in number.predictions:
            counted[prediction.verdict] += 1
            if prediction.in_sample:
                counted[f"{prediction.verdict} in-sample"] += 1
            if prediction.post_hoc:
                counted[f"{prediction.verdict} post hoc"] += 1
    return counted


def tally(page: Page, dataset: str, what: str) -> Markup:
    """One of `count_verdicts`, printed."""
    value = count_verdicts(page, dataset)[what]
    return page.form.datum(
        str(value), {"value": str(value), "data-dataset": dataset, "data-count": what}
    )


def table_of_verdicts(page: Page) -> Table:
    """How many predictions ended how, per data set, and how many of those prove less."""
    columns = [page.form.escape(word) for word in ("", *VERDICTS)]
    rows = []
    for dataset in page.ledger.datasets:
        counted = count_verdicts(page, dataset.name)
        row = [page.form.exempt(dataset.title, "said")]
        for verdict in VERDICTS:
            text = tally(page, dataset.name, verdict)
            weaker = [
                Markup("{} {}").format(tally(page, dataset.name, f"{verdict} {mark}"), mark)
                for mark in ("in-sample", "post hoc")
                if counted[f"{verdict} {mark}"] and verdict != "not measured"
            ]
            row.append(Markup("{}, of which {}").format(text, in_words(weaker)) if weaker else text)
        rows.append(row)
    return Table(columns, rows, [])


def refuted(page: Page, dataset: str) -> list[Markup]:
    """The refuted predictions of a data set, each once; several numbers missed are counted."""
    pairs = [
        (prediction, number)
        for number in matching(page, dataset, "*")
        for prediction in number.predictions
    ]
    missed = [(p, number) for p, number in pairs if p.verdict == "refuted"]
    items = []
    for name in dict.fromkeys(p.id for p, _ in missed):
        which = [(p, number) for p, number in missed if p.id == name]
        prediction, number = which[0]
        if len(which) == 1:
            what, outcome = label(number.id), value_of(page, number)
        else:
            what = label(number.id.rsplit("/", 2)[0])
            counts = {
                "refuted": len(which),
                "all": sum(p.id == name and p.verdict != "not measured" for p, _ in pairs),
            }
            printed = [
                page.form.datum(
                    str(size),
                    {
                        "value": str(size),
                        "data-dataset": dataset,
                        "data-missed": name,
                        "data-part": part,
                    },
                )
                for part, size in counts.items()
            ]
            outcome = Markup("missed by {} of {} numbers").format(*printed)
        items.append(
            Markup("{} ({}): predicted {}, {}").format(
                page.form.exempt(what, "label"),
                page.form.code(name),
                predicted(page, number, prediction),
                outcome if len(which) > 1 else Markup("measured {}").format(outcome),
            )
        )
    return items


def board(page: Page) -> list[tuple[Verdict, Table]]:
    """Every prediction beside its number: a table per verdict, in the order of VERDICTS."""
    form = page.form
    columns = ("number", "data set", "measured", "n", "predicted", "by", "remarks")
    said: set[tuple[str, str]] = set()

    def by(prediction: Judged, verdict: str) -> Markup:
        """Who predicted it; why only where it is said for the first time."""
        name = form.code(prediction.id)
        if (verdict, prediction.id) in said:
            return name
        said.add((verdict, prediction.id))
        return Markup("{}: {}").format(name, form.exempt(prediction.source, "said"))

    pairs = [(number, p) for number in page.ledger.numbers for p in number.predictions]
    # A pattern that speaks of many numbers comes after those that speak of one.
    spoken = Counter((number.dataset, p.id) for number, p in pairs)
    pairs.sort(
        key=lambda pair: (
            VERDICTS.index(pair[1].verdict),
            spoken[pair[0].dataset, pair[1].id] > 1,
        )
    )
    tables = []
    for verdict, members in groupby(pairs, lambda pair: pair[1].verdict):
        rows = [
            [
                form.target(anchor_of(number, p), form.exempt(label(number.id), "label")),
                form.exempt(title_of(page, number.dataset), "said"),
                value_of(page, number) if has_value(number) else form.escape("–"),
                _datum(page, number, "n", str(number.n)) if number.n else form.escape("–"),
                predicted(page, number, p),
                by(p, verdict),
                marks(page, number, p),
            ]
            for number, p in members
        ]
        tables.append((verdict, Table([form.escape(c) for c in columns], rows, [])))
    return tables


def has_value(number: Number) -> bool:
    """Whether a number has a value or, as an extrapolation has, a bracket."""
    return number.value is not None or number.low is not None


def title_of(page: Page, dataset: str) -> str:
    """The title of a data set; the name itself of numbers that belong to none."""
    return page.datasets[dataset].title if dataset in page.datasets else dataset


def all_numbers(page: Page, dataset: str) -> Table:
    """Every number of a data set with its method and the records it was made from."""
    form = page.form
    columns = ("id", "value", "n", "method and remarks", "verdicts", "made from")
    rows = []
    for number in matching(page, dataset, "*", measured=False):
        remarks = [form.exempt(text, "said") for text in (number.method, number.note) if text]
        runs = [run for _, names in runs_of(number.origin.files) for run in names]
        verdicts = chips(page, number) or form.exempt(number.unpredicted or "", "said")
        rows.append(
            [
                form.code(number.id),
                value_of(page, number),
                _datum(page, number, "n", str(number.n)),
                Markup("; ").join(remarks),
                verdicts,
                form.exempt(" ".join(runs), "runs"),
            ]
        )
    return Table([form.escape(column) for column in columns], rows, [])


def marks(page: Page, number: Number, prediction: Judged) -> Markup:
    """What weakens a verdict, or what would settle it."""
    said = []
    if prediction.in_sample:
        said.append(page.form.escape("in-sample"))
    if prediction.post_hoc:
        said.append(page.form.escape("post hoc"))
    if number.n == 1 and number.value is not None:
        said.append(page.form.escape("single observation"))
    if prediction.settle:
        said.append(
            Markup("{} {}").format(
                page.form.escape("to settle:"), page.form.exempt(prediction.settle, "said")
            )
        )
    if number.missing and not has_value(number):
        said.append(page.form.exempt(number.missing, "said"))
    return Markup("; ").join(said)


def grid(
    page: Page,
    dataset: str,
    rows: Sequence[int | str],
    columns: Sequence[tuple[str, str]],
    corner: str,
) -> Table | None:
    """A table of numbers: a row per batch size or arm, a column per (heading, pattern of ids).

    `{}` in a pattern stands for the row, `b8` for a batch size of 8. Rows and columns
    that the ledger does not speak of are left out; None where nothing is left.
    """
    keys = {row: f"b{row}" if isinstance(row, int) else row for row in rows}
    cells = {
        (row, pattern): find(page, dataset, pattern.format(key))
        for row, key in keys.items()
        for _, pattern in columns
    }
    kept_columns = [c for c in columns if any(cells[row, c[1]] is not None for row in rows)]
    kept_rows = [row for row in rows if any(cells[row, c[1]] is not None for c in kept_columns)]
    if not kept_columns or not kept_rows:
        return None
    kept = [number for number in cells.values() if number is not None]
    body = [
        [
            batch(page, row) if isinstance(row, int) else page.form.code(row),
            *(
                _cell(page, cells[row, pattern], mark=not _all_single(kept))
                for _, pattern in kept_columns
            ),
        ]
        for row in kept_rows
    ]
    heads = [page.form.escape(corner), *(page.form.exempt(c, "head") for c, _ in kept_columns)]
    return Table(heads, body, _notes(page, kept), _all_single(kept))


def _all_single(numbers: Sequence[Number]) -> bool:
    known = [number for number in numbers if number.value is not None]
    return bool(known) and all(is_single(number) for number in known)


def _cell(page: Page, number: Number | None, mark: bool = True) -> Markup:
    if number is None:
        return page.form.escape("–")
    if not has_value(number):
        # The verdict says it already where there is one; the reason is in the notes.
        return chips(page, number) or page.form.escape("not measured")
    text = print_number(page, number.dataset, number.id, "cell")
    return (
        Markup("{} {}").format(text, page.form.escape("single"))
        if mark and is_single(number)
        else text
    )


def _notes(page: Page, numbers: Sequence[Number]) -> list[Markup]:
    """What the cells of a table leave out: repeats and method, reasons, missing predictions."""
    form = page.form
    notes = []
    ranged = [n for n in numbers if n.low is not None]
    if ranged:
        sizes = {number.n: number for number in sorted(ranged, key=lambda n: n.n)}
        printed = in_words([_datum(page, n, "n", str(size)) for size, n in sizes.items()])
        methods = in_words([form.exempt(m, "said") for m in {n.method or "": 0 for n in ranged}])
        notes.append(
            Markup("In brackets: {} intervals over {} repeats ({}).").format(
                level(page), printed, methods
            )
        )
    if any(is_single(number) for number in numbers) and not _all_single(numbers):
        notes.append(form.escape("“single” is one observation; it has no interval."))
    reasons = dict.fromkeys(n.missing for n in numbers if n.missing and not has_value(n))
    if reasons:
        notes.append(
            Markup("Not measured: {}.").format(
                Markup("; ").join(form.exempt(r, "said") for r in reasons)
            )
        )
    for number in numbers:
        if number.note and "in-sample" in number.note:
            notes.append(
                Markup("{}: {}.").format(
                    form.exempt(label(number.id), "label"), form.exempt(number.note, "said")
                )
            )
    bare = [n for n in numbers if not n.predictions and n.value is not None]
    why = dict.fromkeys(n.unpredicted for n in bare if n.unpredicted)
    if bare:
        notes.append(
            Markup("Numbers without a verdict: {}.").format(
                Markup("; ").join(form.exempt(reason, "said") for reason in why)
            )
        )
    return notes


def figure_table(page: Page, drawing: Drawing) -> Table:
    """The numbers that a figure shows."""
    cells = [
        [find(page, *cell) if cell is not None else None for cell in row] for _, row in drawing.rows
    ]
    heads = [
        page.form.escape(""),
        *(
            Markup(", ").join(page.form.exempt(word, "head") for word in words)
            for words in drawing.columns
        ),
    ]
    kept = [number for row in cells for number in row if number is not None]
    rows = [
        [
            Markup(", ").join(page.form.exempt(word, "head") for word in words),
            *(_cell(page, number, mark=not _all_single(kept)) for number in row),
        ]
        for (words, _), row in zip(drawing.rows, cells, strict=True)
    ]
    return Table(heads, rows, _notes(page, kept), _all_single(kept))


def leading_contrast(page: Page, dataset: str) -> str | None:
    """The headline contrast where it has numbers, else the first that has; None without any."""
    names = page.datasets[dataset].contrasts
    ordered = [page.ledger.headline, *(c for c in ("graph", "compile") if c in names), *names]
    return next((c for c in ordered if matching(page, dataset, f"ratio/{c}/b*")), None)


def noisy_batches(page: Page, dataset: str) -> list[int]:
    """Batch sizes at which the interval of an arm against itself leaves out 1."""
    return [
        int(number.id.rsplit("/b", 1)[1])
        for number in matching(page, dataset, "ratio/noise/b*")
        if number.low is not None and number.high is not None and not number.low <= 1 <= number.high
    ]


def advise(page: Page, dataset: str) -> Advice:
    """What to set: derived from the headline's intervals and the verdict on `no inversion`.

    It says no more than they do: `on` needs every interval above 1 and no doubt left by
    the verdict on the whole; a single observation per cell only ever points.
    """
    ratios = {
        int(number.id.rsplit("/b", 1)[1]): number
        for number in matching(page, dataset, f"ratio/{page.ledger.headline}/b*")
    }
    facts = page.datasets[dataset]
    if not ratios:
        if not matching(page, dataset, "*"):
            return Advice("nothing", [])
        return Advice("cpu" if facts.platform == "cpu" else "unmeasured", [])
    below = [size for size, n in ratios.items() if n.high is not None and n.high < 1]
    if below:
        return Advice("off", below)
    if all(number.n == 1 for number in ratios.values()):
        slower = [size for size, n in ratios.items() if float(n.value or 0) <= 1]
        return Advice("cannot_tell", slower) if slower else Advice("points_on", list(ratios))
    open_at = [size for size, n in ratios.items() if n.low is None or n.low <= 1]
    claim = find(page, dataset, f"shape/no_inversion/{page.ledger.headline}")
    doubted = claim is not None and any(
        p.verdict in ("inconclusive", "refuted") for p in claim.predictions
    )
    if open_at or doubted:
        return Advice("cannot_tell", open_at)
    return Advice("on", list(ratios))


def sources_by_verdict(page: Page, dataset: str, number: str, verdict: str) -> list[Markup]:
    """Sources of the predictions of a number that ended in this verdict."""
    found = find(page, dataset, number)
    predictions = found.predictions if found else []
    return [
        Markup("{}{}").format(
            page.form.exempt(p.source, "said"), " (in-sample)" if p.in_sample else ""
        )
        for p in predictions
        if p.verdict == verdict
    ]


def runs_of(files: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Record files as (folder, [arm/repeat]); the folder as seen from the project."""
    found: dict[str, list[str]] = {}
    for file in files:
        path = Path(file)
        folder = path.parent.parent
        if folder.is_absolute():
            inside = folder.is_relative_to(REPOSITORY)
            folder = folder.relative_to(REPOSITORY) if inside else Path(*folder.parts[-3:])
        found.setdefault(str(folder), []).append(f"{path.parent.name}/{path.stem}")
    return list(found.items())


def folders(page: Page, dataset: str) -> list[str]:
    """The folders that the records of a data set lie in."""
    files = [f for n in matching(page, dataset, "*", measured=False) for f in n.origin.files]
    return [folder for folder, _ in runs_of(list(dict.fromkeys(files)))]


# --- Whole pages ----------------------------------------------------------------------


def make_page(ledger: Ledger, form: Form) -> Page:
    """The ledger, indexed. Raises LabError where an id occurs twice in a data set."""
    numbers: dict[tuple[str, str], Number] = {}
    for number in ledger.numbers:
        key = (number.dataset, number.id)
        if key in numbers:
            raise LabError(f"ledger: {number.dataset} has two numbers {number.id}; rebuild it")
        numbers[key] = number
    return Page(ledger, numbers, {d.name: d for d in ledger.datasets}, form)


def _environment(page: Page, ui: str) -> Environment:
    def finalize(value: Any) -> Any:
        """What is not markup yet becomes text that stands for itself in this format."""
        if isinstance(value, Markup) or not isinstance(value, str):
            return value
        return page.form.escape(value)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=finalize if page.form is MARKDOWN else None,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    called_on_page: dict[str, Callable[..., Any]] = {
        "find": find,
        "matching": matching,
        "number": print_number,
        "value_of": value_of,
        "predicted": predicted,
        "chips": chips,
        "batch": batch,
        "batch_list": batch_list,
        "fact": fact,
        "repeats": repeats,
        "level": level,
        "tally": tally,
        "count_verdicts": count_verdicts,
        "table_of_verdicts": table_of_verdicts,
        "refuted": refuted,
        "board": board,
        "marks": marks,
        "all_numbers": all_numbers,
        "title_of": title_of,
        "folders": folders,
        "grid": grid,
        "figure_table": figure_table,
        "leading_contrast": leading_contrast,
        "advise": advise,
        "noisy_batches": noisy_batches,
        "sources_by_verdict": sources_by_verdict,
        "listed": listed,
    }
    environment.globals |= {name: partial(call, page) for name, call in called_on_page.items()}
    environment.globals |= {
        "ledger": page.ledger,
        "sections": SECTIONS,
        "datasets": page.ledger.datasets,
        "by_name": page.datasets,
        "kinds": KINDS,
        "verdicts": VERDICTS,
        "label": label,
        "anchor_of": anchor_of,
        "runs_of": runs_of,
        "in_words": in_words,
        "has_value": has_value,
        "said": lambda text: page.form.exempt(str(text), "said"),
        "labelled": lambda text: page.form.exempt(label(text), "label"),
        "code": page.form.code,
        "when": page.form.time,
        "strong": page.form.strong,
        "chip": page.form.chip,
    }
    environment.filters["one_line"] = lambda text: Markup(" ".join(str(text).split()))  # noqa: S704
    environment.globals["ui"] = environment.get_template(ui).module
    return environment


def read_drawings(path: Path) -> list[Drawing]:
    """What the rule plot_figures says of its figures; raises LabError naming the file."""
    try:
        return TypeAdapter(list[Drawing]).validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(
            f"{path}: no list of figures ({type(error).__name__}); run `make report`"
        ) from None


def inline_svg(svg: str, prefix: str) -> Markup:
    """A figure's SVG for inside a page: no addresses, ids of its own, colours of the page.

    The colours that `lab.mplstyle` gives to ink, paper and grid become the page's, so
    that the figure reads on light and on dark.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    for colour, name in (
        ("#222222", "currentColor"),
        ("#ffffff", "var(--card)"),
        ("#d9d9d9", "var(--rule)"),
    ):
        svg = svg.replace(colour, name)
    return Markup(svg)  # noqa: S704


def render_html(ledger: Ledger, drawings: Sequence[Drawing], svgs: Mapping[str, str]) -> str:
    """The page, whole in one file. `svgs` maps a drawing's name to its SVG.

    Raises LabError where a drawing has no SVG, or speaks of a number the ledger lacks.
    """
    lacking = [drawing.name for drawing in drawings if drawing.name not in svgs]
    if lacking:
        raise LabError(f"report: no SVG for figure {lacking[0]}; run the rule plot_figures")
    environment = _environment(make_page(ledger, HTML), "macros.html.j2")
    return environment.get_template("lab_report.html.j2").render(
        drawings={drawing.name: drawing for drawing in drawings},
        svgs={name: inline_svg(svg, name) for name, svg in svgs.items()},
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704
    )


def render_markdown(ledger: Ledger, drawings: Sequence[Drawing]) -> str:
    """The same report for terminals and pull requests; figures as tables."""
    environment = _environment(make_page(ledger, MARKDOWN), "macros.md.j2")
    text = environment.get_template("lab_report.md.j2").render(
        drawings={drawing.name: drawing for drawing in drawings}, svgs={}
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in text.splitlines())) + "\n"
