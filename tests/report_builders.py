"""Ledgers to draw and to render, and a reader of the page that comes out."""

import json
import re
from html.parser import HTMLParser

import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.design.datasets import record_files
from cudagraph_lab.design.predictions import read_predictions
from cudagraph_lab.figures.draw import draw_figures, to_svg
from cudagraph_lab.ledger.build import Ledger, Number, build_ledger
from cudagraph_lab.ledger.catalogue import QUANTITIES
from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.ledger.number_format import unit_of
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.verdicts import VERDICTS
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.records.store import read_record
from cudagraph_lab.report.claims import families
from cudagraph_lab.report.page import make_view, render_html, render_markdown
from cudagraph_lab.statistics import LEVEL
from tests.read_dataset import read_dataset

RECORD = REPOSITORY / "resources" / "datasets" / "l4-published" / "runs" / "graphs" / "rep1.json"
CONTRASTS = {
    name: contrast
    for file in ("config", "full", "co-residence", "speculation", "upgrade")
    for name, contrast in yaml.safe_load(
        (REPOSITORY / "config" / f"{file}.yaml").read_text(encoding="utf-8")
    )["contrasts"].items()
    if contrast is not None
}
CELLS = {"td", "th"}
PARTS = ("low", "high", "n")  # of a number, said where it is not the value
VOID = {"meta", "input", "br", "path", "use", "rect"}
BUNDLE = {"bundle": {"numerator": "graphs", "denominator": "eager", "role": "primary"}}


def make_arm(**other):
    fields = {
        "status": "ok", "reason": None, "purpose": "timed", "engine_args": {}, "repeats": 3,
        "resolved": None, "warnings": [],
    }  # fmt: skip
    return fields | other


EAGER = make_arm(engine_args={"enforce_eager": True})


def make_dataset(name="made", **other):
    """A data set of the arms eager and graphs; fields that do not matter are the L4's."""
    environment = read_record(RECORD, "l4-published").environment
    fields = {
        "name": name,
        "title": f"Set {name}",
        "kind": "measured",
        "arms": {"eager": EAGER, "graphs": make_arm()},
        "batch_sizes": [1, 8, 9, 64],
        "contrasts": BUNDLE,
        **{key: [] for key in ("commit", "hosts", "order", "notes", "outputs")},
        **dict.fromkeys(("output_tokens", "max_model_len", "iterations"), 1),
        **dict.fromkeys(("model", "weights", "source"), "x"),
        "files": {},
        "logs": {},
    }
    known = json.loads(environment.model_dump_json())
    for field, facts in Dataset.model_fields.items():
        if facts.is_required():
            fields.setdefault(field, known.get(field))
    return Dataset.model_validate(fields | other)


def shipped_ledger(names, *datasets):
    """The ledger of shipped data sets, each contrast of the configurations under another name."""
    contrasts = {names[name]: contrast for name, contrast in CONTRASTS.items()}
    found = []
    for dataset in datasets:
        home = RECORD.parents[3] / dataset
        description = yaml.safe_load((home / "dataset.yaml").read_text(encoding="utf-8"))
        records = record_files(home / "runs")
        found.append(read_dataset(dataset, records, description, contrasts, {}, {}))
    predictions = read_predictions([REPOSITORY / "config" / "predictions.yaml"])
    settings = Settings(seed=0, restarts_per_day=50, ladder_rungs=2, batch_mix={1: 1, 8: 1})
    return build_ledger(found, predictions, {}, settings, [])


def make_number(number, dataset="made", **other):
    fields = {
        "value": None, "unit": "x", "n": 3, "low": None, "high": None, "method": None,
        "note": None, "missing": None, "predictions": [], "unpredicted": None,
        "files": [],
    }  # fmt: skip
    return Number.model_validate({"id": number, "dataset": dataset} | fields | other)


def make_judged(verdict, name="me/said", **other):
    fields = {
        "source": "somebody", "value": None, "low": 1.0, "high": None, "in_sample": False,
        "post_hoc": False, "settle": None,
    }  # fmt: skip
    return {"id": name, "verdict": verdict} | fields | other


def make_ledger(datasets, numbers, measured=None, absent=()):
    return Ledger(
        schema_version=1, headline="bundle", measured_here=[measured] if measured else [],
        absent=list(absent),
        datasets=datasets, numbers=numbers,
    )  # fmt: skip


def ratio(batch, value, low=None, high=None, n=3, contrast="bundle", **other):
    return make_number(f"ratio/{contrast}/b{batch}", value=value, low=low, high=high, n=n, **other)


def rendered(ledger, svg_of=to_svg):
    """(page, Markdown) of a ledger."""
    drawn = draw_figures(ledger)
    drawings = [drawing for drawing, _ in drawn]
    svgs = {drawing.name: svg_of(figure) for drawing, figure in drawn}
    view = make_view(ledger, drawings)
    return render_html(view, drawings, svgs), render_markdown(view)


def told(ledger):
    """The same with empty pictures, for who looks at words: an SVG takes as long as all else."""
    return rendered(ledger, lambda figure: "<svg></svg>")


class Reader(HTMLParser):
    """Text nodes with the elements around them, and everything a page refers to."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.texts, self.ids, self.links, self.elements = [], [], [], [], []

    def end_implied(self, before):
        """HTML implies the ends of cells and rows before what cannot stand inside them."""
        ended = {"td": CELLS, "th": CELLS, "tr": {*CELLS, "tr"}, "tbody": {*CELLS, "tr"}}
        while self.stack and self.stack[-1][0] in ended.get(before, ()):
            self.stack.pop()

    def handle_starttag(self, tag, attrs):
        self.end_implied(tag)
        attributes = dict(attrs)
        if tag == "tr" and re.match(r"n\d+:", attributes.get("id", "")):
            attributes["data-id"] = attributes["id"].partition(":")[2]
        families_around = [a["data-family"] for _, a in self.stack if "data-family" in a]
        if "data-count" in attributes and families_around:
            attributes["data-family"] = families_around[-1]
        counted = {"data-count", "data-fact", "data-repeats"} & attributes.keys()
        if tag == "var" and not counted:
            attributes["part"] = next((p for p in PARTS if p in attributes), "value")
            for key in ("data-dataset", "data-id"):
                attributes[key] = next(a[key] for _, a in reversed(self.stack) if key in a)
            said = [a for _, a in self.stack if "data-prediction" in a]
            if said:
                attributes["data-prediction"] = said[-1]["data-prediction"]
        self.elements.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]
        if tag not in VOID:
            self.stack.append((tag, attributes))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag == "tbody":
            self.end_implied(tag)
        if tag not in VOID:
            assert self.stack[-1][0] == tag, f"</{tag}> closes {self.stack[-1]}"
            self.stack.pop()

    def handle_data(self, data):
        if self.stack and self.stack[-1][0] == "code":
            for _, attributes in self.stack:
                if attributes.get("data-prediction", "named") is None:
                    attributes["data-prediction"] = data
        self.texts.append((data, list(self.stack)))


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.stack
    return reader


def words_of(html):
    """What a reader reads, in one line: no style, script, figure or note."""
    kept = [
        text
        for text, around in read(html).texts
        if not {"style", "script", "svg"}.intersection(tag for tag, _ in around)
        and not any(a.get("class") == "note" for _, a in around)
    ]
    return re.sub(r"\s+", " ", "".join(kept)).replace("\N{WORD JOINER}", "")


def parsed(text):
    return float(text.replace(",", "").replace("−", "-").replace("+", ""))


def _counted(index, attributes):
    """What a count on the page must be, from the ledger anew."""
    what = attributes["data-count"]
    pairs = [(n, p) for n in index.ledger.numbers for p in n.predictions]
    if "data-family" in attributes:
        prefix, template, role = attributes["data-family"].split("|")
        known = {f.key: f for f in families(index)}[attributes["data-family"]]
        assert {p.id.split("/")[0] for _, p in known.pairs} == {prefix}
        assert {n.id.quantity.template for n, _ in known.pairs} == {template}
        assert (known.role or "") == role
        pairs = known.pairs
    if "data-series" in attributes:
        series = {d.name: d.series for d in index.ledger.datasets}
        pairs = [(n, p) for n, p in pairs if series.get(n.dataset) == attributes["data-series"]]
    if "data-arm" in attributes:
        pairs = [(n, p) for n, p in pairs if n.id.arm == attributes["data-arm"]]
    if "data-prediction" in attributes:
        pairs = [(n, p) for n, p in pairs if p.id == attributes["data-prediction"]]
    if attributes.get("data-by") == "claim":
        by_verdict = sorted(pairs, key=lambda pair: -VERDICTS.index(pair[1].verdict))
        pairs = list({(n.dataset, p.id): (n, p) for n, p in by_verdict}.values())
    measured = [(n, p) for n, p in pairs if p.verdict != "not measured"]
    if what == "all":
        return len(pairs)
    if what == "measured":
        return len(measured)
    if what == "post hoc":
        return sum(p.post_hoc for _, p in measured)
    verdict = what.removesuffix(" in-sample")
    assert verdict in VERDICTS
    return sum(
        p.verdict == verdict and (verdict == what or p.in_sample) for _, p in pairs
    )  # fmt: skip


def check_datum(index, attributes, text):
    """What a <var> element says must be the ledger's number, and be rounded, not changed."""
    name = attributes.get("data-dataset")
    if "data-id" in attributes:
        source = index.numbers[name, attributes["data-id"]]
        if "data-prediction" in attributes:
            (source,) = [p for p in source.predictions if p.id == attributes["data-prediction"]]
        value = getattr(source, attributes["part"])
    elif "data-fact" in attributes:
        fact = attributes["data-fact"].split(":")
        value = getattr(index.datasets[name], fact[-1])
        value = len(value) if fact[0] == "len" else value
    elif "data-repeats" in attributes:
        value = index.datasets[name].arms[attributes["data-repeats"]].repeats
    else:
        value = _counted(index, attributes)
    if isinstance(value, bool):
        assert not re.search(r"\d", text)
        return
    counted = "data-id" not in attributes or attributes["part"] == "n"
    exact = value if counted else value * unit_of(index.numbers[name, attributes["data-id"]])[0]
    whole, _, decimals = text.partition(".")
    # 1,200 may be rounded to hundreds, 0.50 to hundredths.
    zeros = 0 if decimals or parsed(text) == 0 else len(whole) - len(whole.rstrip("0,"))
    zeros -= whole[len(whole) - zeros :].count(",")
    step = 10.0 ** (zeros - len(decimals))
    assert abs(parsed(text) - exact) <= 0.5 * step * (1 + 1e-9), (text, exact)


def strings_of(value):
    if isinstance(value, str):
        yield re.sub(r"\s+", " ", value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings_of(key)
            yield from strings_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_of(inner)


def check_exempt(index, strings, why, text):
    """Digits outside <var> must stand in a record or the configuration, or be a label."""
    ledger = index.ledger
    if why == "batch":
        sizes = {s for d in ledger.datasets for s in d.batch_sizes}
        sizes |= {number.id.batch for number in ledger.numbers}
        assert int(text) in sizes
    elif why == "label":
        labels = [quantity.label for quantity in QUANTITIES]
        assert text in [*labels, *(str(n.id) for n in ledger.numbers)], text
    elif why == "claim":
        known = [*families(index)]
        assert any(text in (f.subject, f"{f.subject} ({f.speaker})") for f in known), text
    elif why == "level":
        assert text in (f"{LEVEL * 100:g}%", "50%", "90%")  # intervals; bounds of forecasts
    elif why == "key":
        keys = [str(v) for n in ledger.numbers for _, v in n.id.keys]
        allowed = {*keys, *(k.upper() for k in keys), *(a for d in ledger.datasets for a in d.arms)}
        assert text in allowed or set(re.split(r",? ", text)) <= allowed, text
    else:
        assert why in ("said", "code"), why
        arguments = [str(a.engine_args) for d in ledger.datasets for a in d.arms.values()]
        # A name that is cut where it is long ends in an ellipsis.
        start = text.strip().split("…")[0]
        ranks = {dataset.tensor_parallel_size for dataset in ledger.datasets}
        if (several := re.match(r"(\d+) x ", start)) and int(several[1]) in ranks:
            start = start[several.end() :]
        pieces = [p for p in re.split(r"[:,/] ?| ", start) if re.search(r"\d", p)]
        whole = any(start in string for string in [*strings, *arguments])
        assert whole or all(any(p in string for string in strings) for p in pieces), text


def stray_digits(ledger, html):
    """Texts with digits that are neither a number of the ledger nor declared to be exempt."""
    found = []
    index = make_index(ledger)
    strings = list(dict.fromkeys(strings_of(json.loads(ledger.model_dump_json()))))
    exemptions = set()
    for text, around in read(html).texts:
        if not re.search(r"\d", text):
            continue
        tags = [tag for tag, _ in around]
        exempt = [a["data-why"] or "said" for _, a in around if "data-why" in a]
        if tags[-1] == "var":
            check_datum(index, around[-1][1], text)
        elif exempt:
            exemptions.add((exempt[-1], text))
        elif "code" in tags and "pre" not in tags and not any("data-file" in a for _, a in around):
            exemptions.add(("code", text))
        elif tags[-1] == "th" and text == around[-2][1].get("data-id"):
            pass
        elif not {"time", "style", "script", "svg", "code"}.intersection(tags):
            found.append(text.strip())
    for why, text in exemptions:
        check_exempt(index, strings, why, text)
    return found
