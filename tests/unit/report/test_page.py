"""The report: every digit on it is the ledger's, and its words are no firmer than the data."""

import importlib
import json
import re
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab import REPOSITORY
from cudagraph_lab.design.predictions import read_predictions, registered_hashes
from cudagraph_lab.design.runs import complete_config
from cudagraph_lab.errors import LabError
from cudagraph_lab.figures.draw import draw_figures, to_svg
from cudagraph_lab.ledger.build import Ledger, Number, build_ledger
from cudagraph_lab.ledger.outlook import outlook_numbers
from cudagraph_lab.observations.dataset import Dataset, read_dataset
from cudagraph_lab.observations.validity import Arm
from cudagraph_lab.report.markup import HTML, MARKDOWN, escape_markdown
from cudagraph_lab.report.number_format import digits, plain, written
from cudagraph_lab.report.page import advise, render_html, render_markdown
from cudagraph_lab.report.printing import (
    LEVEL,
    VERDICTS,
    anchor,
    count_verdicts,
    find,
    label,
    make_page,
    print_number,
)
from cudagraph_lab.report.provenance import FORMULAS, formula_of, named_files, shown
from cudagraph_lab.report.tables import SPOKEN_OF_FEW, board

SHIPPED = REPOSITORY / "resources" / "datasets"
FACTORS = {"%": 100.0, "ms": 1e3, "µs": 1e6}
HEADINGS = {f"h{level}" for level in range(1, 7)}
VOID = {"meta", "input", "br", "path", "use", "rect"}


# --- Ledgers to render ----------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    config = complete_config(
        yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    )
    datasets = [
        read_dataset(
            name,
            (SHIPPED / name / "runs").glob("*/rep*.json"),
            yaml.safe_load((SHIPPED / name / "dataset.yaml").read_text(encoding="utf-8")),
            config["contrasts"],
            {},
            {},
        )
        for name in ("h100-opt-125m", "l4-published")
    ]
    registered = {
        dataset.name: registered_hashes(
            SHIPPED / dataset.name / "predictions.registered.json", dataset.first_measured_at
        )
        for dataset, _ in datasets
    }
    return build_ledger(
        datasets,
        read_predictions([REPOSITORY / "config" / "predictions.yaml"]),
        registered,
        config | {"batch_mix": dict.fromkeys(range(1, 65), 1)},
        None,
        outlook_numbers(config["extrapolate"]),
    )


def rendered(ledger):
    drawn = draw_figures(ledger)
    drawings = [drawing for drawing, _ in drawn]
    svgs = {drawing.name: to_svg(figure) for drawing, figure in drawn}
    return render_html(ledger, drawings, svgs), render_markdown(ledger, drawings)


@pytest.fixture(scope="module")
def pages(shipped):
    return rendered(shipped)


def make_dataset(shipped, name="made", arms=("eager", "graphs"), **other):
    """A small data set with the fields of the published one."""
    (published,) = [d for d in shipped.datasets if d.name == "l4-published"]
    fields = json.loads(published.model_dump_json())
    fields |= {"name": name, "title": f"The set {name}", "kind": "measured", "notes": []}
    fields["arms"] = {
        arm: fields["arms"]["eager" if arm == "eager" else "graphs"] | {"repeats": 3}
        for arm in arms
    }
    return Dataset.model_validate(fields | other)


def make_number(number, dataset="made", **other):
    fields = {
        "value": None,
        "unit": "x",
        "n": 3,
        "low": None,
        "high": None,
        "method": None,
        "note": None,
        "missing": None,
        "predictions": [],
        "unpredicted": None,
        "origin": {"rule": "build_ledger", "files": []},
    }
    return Number.model_validate({"id": number, "dataset": dataset} | fields | other)


def make_judged(verdict, name="me/said", **other):
    fields = {
        "source": "somebody",
        "value": None,
        "low": 1.0,
        "high": None,
        "in_sample": False,
        "post_hoc": False,
        "settle": None,
    }
    return {"id": name, "verdict": verdict} | fields | other


def make_ledger(datasets, numbers, measured=None):
    return Ledger(
        schema_version=1,
        headline="bundle",
        measured=measured,
        absent=[],
        datasets=datasets,
        numbers=numbers,
    )


def ratio(batch, value, low=None, high=None, n=3, **other):
    return make_number(f"ratio/bundle/b{batch}", value=value, low=low, high=high, n=n, **other)


# --- Reading the page back ------------------------------------------------------------


class Reader(HTMLParser):
    """Text nodes with the elements around them, and everything a page refers to."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.texts, self.ids, self.links, self.elements = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "data-part" in attributes:
            about = next(a for _, a in reversed(self.stack) if "data-id" in a)
            attributes |= {key: about[key] for key in ("data-dataset", "data-id")}
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
        if tag not in VOID:
            assert self.stack[-1][0] == tag, f"</{tag}> closes {self.stack[-1]}"
            self.stack.pop()

    def handle_data(self, data):
        self.texts.append((data, list(self.stack)))


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.stack
    return reader


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


def parsed(text):
    return float(text.replace(",", "").replace("−", "-").replace("+", ""))


def check_datum(page, attributes, text):
    """What a <data> element says must be the ledger's number, and be rounded, not changed."""
    ledger = page.ledger
    name = attributes.get("data-dataset")
    if "data-id" in attributes:
        source = page.numbers[name, attributes["data-id"]]
        if "data-prediction" in attributes:
            (source,) = [p for p in source.predictions if p.id == attributes["data-prediction"]]
        value = getattr(source, attributes["data-part"])
    elif "data-fact" in attributes:
        value = getattr(page.datasets[name], attributes["data-fact"])
    elif "data-repeats" in attributes:
        value = page.datasets[name].arms[attributes["data-repeats"]].repeats
    elif "data-count" in attributes:
        wanted, *mark = attributes["data-count"].removesuffix(" in-sample").split(" post hoc")
        value = sum(
            judged.verdict == wanted
            and (not attributes["data-count"].endswith("in-sample") or judged.in_sample)
            and (not mark or judged.post_hoc)
            for number in ledger.numbers
            if number.dataset == name and fnmatchcase(number.id, attributes["data-of"])
            for judged in number.predictions
        )
    else:
        value = sum(
            judged.id == attributes["data-missed"]
            and judged.verdict != "not measured"
            and (attributes["data-of"] == "all" or judged.verdict == "refuted")
            for number in ledger.numbers
            if number.dataset == name
            for judged in number.predictions
        )
    if isinstance(value, bool):
        assert attributes["value"] == str(value).lower()
        assert not re.search(r"\d", text)
        return
    assert float(attributes["value"]) == value, attributes
    exact = value * FACTORS.get(attributes.get("data-unit"), 1.0)
    whole, _, decimals = text.partition(".")
    # 1,200 may be rounded to hundreds, 0.50 to hundredths.
    zeros = 0 if decimals or parsed(text) == 0 else len(whole) - len(whole.rstrip("0,"))
    zeros -= whole[len(whole) - zeros :].count(",")
    step = 10.0 ** (zeros - len(decimals))
    assert abs(parsed(text) - exact) <= 0.5 * step * (1 + 1e-9), (text, exact)


def check_exempt(ledger, strings, why, text):
    """Digits outside <data> must stand in a record or the configuration, or be a label."""
    sizes = {str(size) for dataset in ledger.datasets for size in dataset.batch_sizes}
    if why == "batch":
        assert text in sizes
    elif why == "label":
        assert any(label(number.id).startswith(text) for number in ledger.numbers), text
    elif why == "level":
        assert text == f"{LEVEL * 100:g}%"
    elif why == "file":
        assert any(string.endswith(text) for string in strings), text
    else:
        assert why in ("said", "name", "head"), why
        arguments = [str(a.engine_args) for d in ledger.datasets for a in d.arms.values()]
        rest = re.sub(r"\bbatch (\d+)", lambda m: "" if m[1] in sizes else m[0], text)
        assert any(rest.strip() in string for string in [*strings, *arguments]) or all(
            any(part in string for string in strings)
            for part in re.split(r"[:,/] ?| ", rest)
            if re.search(r"\d", part)
        ), text


def stray_digits(ledger, html):
    """Texts with digits that are neither a number of the ledger nor declared to be exempt."""
    found = []
    page = make_page(ledger, HTML)
    strings = list(dict.fromkeys(strings_of(json.loads(ledger.model_dump_json()))))
    exemptions = set()
    for text, around in read(html).texts:
        if not re.search(r"\d", text):
            continue
        tags = [tag for tag, _ in around]
        exempt = [a.get("data-why", "name") for t, a in around if "data-why" in a or t == "code"]
        if tags[-1] == "data":
            check_datum(page, around[-1][1], text)
        elif exempt:
            exemptions.add((exempt[-1], text))
        elif not (HEADINGS | {"time", "style", "script", "svg"}).intersection(tags):
            found.append(text.strip())
    for why, text in exemptions:
        check_exempt(ledger, strings, why, text)
    return found


# --- The page of the shipped data -----------------------------------------------------


def test_every_digit_on_the_page_is_the_ledgers(shipped, pages):
    assert stray_digits(shipped, pages[0]) == []


def test_a_typed_digit_or_a_changed_number_would_be_found(shipped, pages):
    typed = pages[0].replace("Nothing was measured here.", "Speed-ups reach 2.5 here.")
    assert stray_digits(shipped, typed) == ["Speed-ups reach 2.5 here."]
    shown = re.search(r'<data value="([^"]+)"[^>]*data-part="value"[^>]*>', pages[0])
    with pytest.raises(AssertionError):
        stray_digits(shipped, pages[0].replace(f'value="{shown[1]}"', 'value="7.77"', 1))
    with pytest.raises(AssertionError):
        stray_digits(shipped, pages[0].replace(">2.523</data>", ">2.8</data>", 1))
    declared = pages[0].replace("Lab report", '<span data-why="said">97531</span>')
    with pytest.raises(AssertionError):
        stray_digits(shipped, declared)


def test_numbers_are_printed_with_their_interval_wherever_they_have_one(shipped, pages):
    printed = {"value": 0, "low": 0, "high": 0}
    known = {(n.dataset, n.id): n for n in shipped.numbers}
    for tag, attributes in read(pages[0]).elements:
        if tag == "data" and "data-id" in attributes and "data-prediction" not in attributes:
            number = known[attributes["data-dataset"], attributes["data-id"]]
            if number.value is not None and number.low is not None and number.high > number.low:
                part = attributes["data-part"]
                printed[part] = printed.get(part, 0) + 1
    assert printed["value"] == printed["low"] == printed["high"] > 500


def test_every_number_and_every_prediction_is_on_the_page(shipped, pages):
    reader = read(pages[0])
    names = {text for text, around in reader.texts if around and around[-1][0] == "code"}
    assert {number.id for number in shipped.numbers} <= names
    judged = {(n.dataset, n.id, p.id) for n in shipped.numbers for p in n.predictions}
    printed = {
        (a.get("data-dataset"), a.get("data-id"), a.get("data-prediction"))
        for tag, a in reader.elements
        if tag == "data"
    }
    assert judged <= printed


def test_the_page_stands_alone_and_its_links_lead_somewhere(pages):
    reader = read(pages[0])
    assert len(pages[0].encode()) < 3_000_000
    assert len(reader.ids) == len(set(reader.ids))
    assert {link.removeprefix("#") for link in reader.links} <= set(reader.ids)
    assert "://" not in pages[0].replace("</script>", "")
    assert str(REPOSITORY) not in pages[0] + pages[1]


def test_every_table_says_what_it_holds(pages):
    elements = [tag for tag, _ in read(pages[0]).elements]
    assert elements.count("table") == elements.count("caption") > 10
    scopes = [a.get("scope") for tag, a in read(pages[0]).elements if tag == "th"]
    assert set(scopes) == {"col", "row"}
    for table in re.findall(r"<table>.*?</table>", pages[0], re.DOTALL):
        widths = {len(re.findall("<t[hd][ >]", row)) for row in table.split("<tr")[1:]}
        assert len(widths) == 1, table[:300]


def test_refuted_stands_first_on_the_board_and_not_measured_last(shipped, pages):
    groups = [a["data-verdict"] for _, a in read(pages[0]).elements if "data-verdict" in a]
    assert groups == list(VERDICTS)
    assert (
        sum(
            sum(count_verdicts(make_page(shipped, HTML), d.name)[v] for v in VERDICTS)
            for d in shipped.datasets
        )
        > 100
    )


def test_what_the_shipped_data_say_is_said(pages):
    text = re.sub(r"\s+", " ", "".join(text for text, _ in read(pages[0]).texts))
    assert "Nothing was measured here." in text
    assert "published, one observation, no interval" in text
    assert "in-sample" in text
    # Both sources of the number of shapes, on the data set that each of them fits.
    assert re.search(r"The piecewise pass here agrees with: vLLM .*contradicts: lab 05", text)
    assert re.search(r"The piecewise pass here agrees with: lab 05.*contradicts: vLLM", text)
    assert re.search(r"On L4, as published the additive model predicts batch 64 too high", text)
    assert re.search(r"On H100, measured the additive model .* cannot tell from none", text)


def test_markdown_says_the_same_in_tables_that_hold_together(shipped, pages):
    page = make_page(shipped, HTML)
    for dataset, number in (("l4-published", "ratio/bundle/b1"), ("h100-opt-125m", "capture/gib")):
        value, _, _ = written(find(page, dataset, number))
        assert value in pages[1]
    assert_tables_hold_together(pages[1])
    assert "<data" not in pages[1]
    assert "&#" not in pages[1]  # apostrophes are for reading
    assert "</" not in pages[1]


def assert_tables_hold_together(markdown):
    widths = [
        len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        for line in markdown.splitlines()
    ]
    assert max(widths) > 2
    assert all(a == b for a, b in pairwise(widths) if a and b)


# --- From a number to where it comes from ---------------------------------------------


def rows_by_id(html):
    """{id of a row: its text, the ids that it leads to, the files that it names}."""
    found = {}
    for row in re.findall(r"<tr[ >].*?</tr>", html, re.DOTALL):
        place = re.search(r'<th scope="row"><span id="([^"]+)"', row)
        if place:
            links = re.findall(r'href="#([^"]+)"', row)
            files = re.findall(r'data-file="([^"]+)"', row)
            found[place[1]] = (re.sub("<[^>]*>", " ", row), links, files)
    return found


def test_every_number_leads_to_its_row_and_from_there_to_its_runs_and_formula(shipped, pages):
    rows = rows_by_id(pages[0])
    led = 0
    for number in shipped.numbers:
        text, links, files = rows[anchor("number", number.dataset, number.id)]
        assert number.id in text
        if number.value is not None:
            formula = anchor("formula", formula_of(number.id))
            assert formula in links, number.id
            assert all(file.endswith(".py") for file in rows[formula][2])
        named = [f for link in links if link.startswith("runs:") for f in rows[link][2]] + files
        missing = set(number.origin.files) - set(named)
        assert not missing, (number.id, missing)
        if number.dataset != "outlook" and number.value is not None:
            assert number.origin.files or number.id.startswith("ladder/"), number.id
        led += bool(number.origin.files)
    assert led > 400


def test_every_printed_value_is_a_link_to_the_row_of_that_number(pages):
    printed = 0
    for text, around in read(pages[0]).texts:
        tag, attributes = around[-1] if around else ("", {})
        if tag != "data" or attributes.get("data-part") != "value":
            continue
        if "data-prediction" in attributes:
            continue
        links = [a["href"] for t, a in around if t == "a"]
        target = "#" + anchor("number", attributes["data-dataset"], attributes["data-id"])
        if links:
            assert links == [target], text
            printed += 1
        else:  # the row itself
            assert ("details", {}) in around
    assert printed > 500


def test_the_files_and_functions_that_the_page_names_exist(shipped, pages):
    files = {a["data-file"] for _, a in read(pages[0]).elements if "data-file" in a}
    ours = {file for file in files if not file.startswith("results/")}
    assert {"workflow/rules/runs.smk", "workflow/cudagraph_lab/statistics/estimates.py"} <= ours
    assert "resources/datasets/h100-opt-125m/runs/eager/rep1.log" in ours
    assert not [file for file in ours if not (REPOSITORY / file).is_file()]
    assert files - ours == {"results/ledger.json", "results/ledger.csv"}
    used = {formula_of(number.id) for number in shipped.numbers}
    # Those of arms that no shipped data set has.
    assert {pattern for pattern, _ in FORMULAS} - used == {"attribution/interaction/*"}


def test_every_formula_names_a_function_where_it_is_defined():
    for module, function in {tuple(n.rsplit(".", 1)) for _, names in FORMULAS for n in names}:
        found = getattr(importlib.import_module(f"cudagraph_lab.{module}"), function)
        assert found.__module__ == f"cudagraph_lab.{module}"


def test_the_runs_of_a_speed_up_name_each_record_and_log(shipped, pages):
    number = find(make_page(shipped, HTML), "h100-opt-125m", "ratio/bundle/b1")
    place = anchor("number", number.dataset, number.id)
    _, links, _ = rows_by_id(pages[0])[place]
    assert "runs:h100-opt-125m:eager" in links
    assert "runs:h100-opt-125m:graphs" in links
    _, _, files = rows_by_id(pages[0])["runs:h100-opt-125m:eager"]
    stem = "resources/datasets/h100-opt-125m/runs/eager/rep"
    assert files == [f"{stem}{k}.{kind}" for kind in ("json", "log") for k in (1, 2, 3)]


def test_of_many_runs_the_ends_are_named_and_the_page_stays_small(shipped):
    (known,) = [d for d in shipped.datasets if d.name == "h100-opt-125m"]
    files, logs = (
        {
            arm: [f"results/many/runs/{arm}/rep{k}.{kind}" for k in range(1, 1001) if k != 500]
            for arm in known.arms
        }
        for kind in ("json", "log")
    )
    many = known.model_copy(
        update={
            "name": "many",
            "files": files,
            "logs": logs,
            "order": [list(known.arms)] * 1000,
            "arms": {
                arm: facts.model_copy(
                    update={"repeats": 999, "warnings": [f"repeat {k} failed" for k in range(999)]}
                )
                for arm, facts in known.arms.items()
            },
        }
    )
    numbers = [
        n.model_copy(
            update={
                "dataset": "many",
                "origin": n.origin.model_copy(update={"files": files["eager"] + files["graphs"]}),
            }
        )
        for n in shipped.numbers
        if n.dataset == known.name
    ]
    html, markdown = rendered(make_ledger([many], numbers, measured="many"))
    assert sum(map(len, files.values())) > 9_000
    assert len(html.encode()) < 1_500_000
    assert len(markdown.encode()) < 100_000
    _, _, named = rows_by_id(html)["runs:many:eager"]
    stem = "results/many/runs/eager/rep"
    assert named[:4] == [f"{stem}{k}.json" for k in (1, 499, 501, 1000)]
    assert "of the first repeats; the others are in the ledger" in html
    assert "and more; all of them are in" in html


@given(st.lists(st.text(min_size=1), min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_places_on_the_page_differ_where_their_names_do(one, other):
    assert (anchor(*one) == anchor(*other)) == (one == other)
    assert re.fullmatch(r"[A-Za-z0-9%:/._~-]+", anchor(*one))


def test_files_are_named_without_the_machine(tmp_path):
    inside = str(REPOSITORY / "resources" / "datasets" / "x" / "runs" / "eager" / "rep1.json")
    outside = str(tmp_path / "results" / "x" / "runs" / "eager" / "rep2.json")
    assert shown(inside) == "resources/datasets/x/runs/eager/rep1.json"
    assert shown(outside) == "results/x/runs/eager/rep2.json"
    assert shown("config/models.yaml") == "config/models.yaml"
    page = make_page(make_ledger([], []), MARKDOWN)
    assert named_files(page, [outside, inside]) == (
        "`results/x/runs/eager/` `rep2.json`; `resources/datasets/x/runs/eager/` `rep1.json`"
    )
    assert named_files(page, []) == "–"


# --- Words follow the data ------------------------------------------------------------


def text_of(ledger):
    html, _ = rendered(ledger)
    assert stray_digits(ledger, html) == []
    return re.sub(
        r"\s+",
        " ",
        "".join(
            text
            for text, around in read(html).texts
            if around and around[-1][0] not in ("style", "script")
        ),
    )


def test_without_any_data_set_there_is_a_report_that_says_so():
    text = text_of(make_ledger([], []))
    assert "There is no data set in this report." in text
    assert "Leave graphs on" not in text


def test_a_data_set_of_failed_arms_says_why_and_advises_nothing(shipped):
    failed = Arm.model_validate(
        json.loads(shipped.datasets[0].arms["eager"].model_dump_json())
        | {"status": "failed", "reason": "repeat 1 failed (oom): out of memory", "repeats": 0}
    )
    dataset = make_dataset(shipped, batch_sizes=[1], contrasts={}).model_copy(
        update={"arms": {"eager": failed}}
    )
    absent = make_number("throughput/eager/b1", unit="tok/s", n=0, missing="out of memory")
    text = text_of(make_ledger([dataset], [absent], measured="made"))
    assert "Measured here:" in text
    assert "Cannot tell here. No arm of this data set has a number that counts" in text
    assert "failed: repeat 1 failed (oom): out of memory" in text


def test_a_single_cell_is_reported_as_what_it_is(shipped):
    dataset = make_dataset(shipped, batch_sizes=[1])
    text = text_of(make_ledger([dataset], [ratio(1, 2.0, n=1)]))
    assert "single observation" in text
    assert "Leave graphs on." not in text
    assert "In brackets" not in text  # no interval is hinted at


def test_on_a_cpu_graphs_are_not_measurable_and_compilation_is(shipped):
    sides = {
        "bundle": {"numerator": "graphs", "denominator": "eager", "note": ""},
        "compile": {"numerator": "compiled", "denominator": "eager", "note": ""},
    }
    dataset = make_dataset(
        shipped, arms=("eager", "compiled"), platform="cpu", batch_sizes=[1], contrasts=sides
    )
    numbers = [
        make_number("ratio/bundle/b1", n=0, missing="CUDA graphs do not exist on a CPU"),
        make_number("ratio/compile/b1", value=1.1, low=1.05, high=1.15),
    ]
    text = text_of(make_ledger([dataset], numbers, measured="made"))
    assert "CUDA graphs do not exist on a CPU, so the graph arms are not measurable" in text
    assert "Graphs: not measurable on a CPU. Instead, compiled over eager: 1.100×" in text
    assert "nothing is captured, and nothing is lost to graphs" in text
    assert "Leave graphs" not in text
    assert "1.100×" in text


def test_simulated_data_are_called_simulated(shipped):
    dataset = make_dataset(shipped, kind="simulated", batch_sizes=[1, 8])
    text = text_of(make_ledger([dataset], [ratio(1, 2.0, 1.8, 2.2), ratio(8, 1.5, 1.3, 1.7)]))
    assert text.count("SIMULATED") >= 1
    assert "simulated and say nothing of real hardware" in text


def test_three_repeats_and_thirty_read_differently_from_one(shipped):
    page = make_page(
        make_ledger(
            [], [ratio(1, 2.0, n=1), ratio(8, 2.0, 1.9, 2.1), ratio(64, 2.0, 1.9, 2.1, 30)]
        ),
        HTML,
    )
    texts = [
        re.sub("<[^>]*>", "", print_number(page, "made", f"ratio/bundle/b{b}")) for b in (1, 8, 64)
    ]
    assert texts == [
        "2×, single observation (no prediction registered)",
        "2.00× (1.90 to 2.10, n = 3) (no prediction registered)",
        "2.00× (1.90 to 2.10, n = 30) (no prediction registered)",
    ]


def advice(shipped, numbers, **other):
    page = make_page(make_ledger([make_dataset(shipped, **other)], numbers), HTML)
    return advise(page, "made")


FACTORIAL = {"graph_compiled": {"numerator": "graphs", "denominator": "only-compiled", "note": ""}}


def test_where_the_headline_was_not_measured_another_that_sets_graphs_against_none_advises(shipped):
    dataset = make_dataset(shipped, arms=("graphs", "only-compiled"), contrasts=FACTORIAL)
    arms = dict(dataset.arms)
    off = {"engine_args": {"compilation_config": {"cudagraph_mode": "NONE"}}}
    arms["only-compiled"] = arms["only-compiled"].model_copy(update=off)
    dataset = dataset.model_copy(update={"arms": arms})
    numbers = [
        make_number(f"ratio/graph_compiled/b{b}", value=2.0, low=1.8, high=2.2) for b in (1, 8)
    ]
    said = advise(make_page(make_ledger([dataset], numbers), HTML), "made")
    assert (said.action, said.contrast) == ("on", "graph_compiled")
    text = text_of(make_ledger([dataset], numbers))
    assert "the whole interval lies above one: graphs is faster than only-compiled" in text
    piecewise = FACTORIAL | {
        "piecewise": {"numerator": "only-compiled", "denominator": "graphs", "note": ""}
    }
    dataset = dataset.model_copy(update={"contrasts": piecewise})
    numbers.append(make_number("ratio/piecewise/b1", value=0.5, low=0.4, high=0.6))
    text = text_of(make_ledger([dataset], numbers))
    assert "Not piecewise alone: only-compiled over graphs is 0.50×" in text


def test_a_card_says_why_and_what_to_mind(shipped):
    dataset = make_dataset(shipped, platform="cuda", batch_sizes=[1], caveat="Its host is `slow`.")
    numbers = [ratio(1, 2.0, 1.8, 2.2)]
    text = text_of(make_ledger([dataset], numbers))
    assert "Mind: Its host is slow." in text
    assert "Not known: no profile of eager was run" in text
    numbers += [
        make_number("step/eager/b1", value=0.009, low=0.008, high=0.010, unit="s"),
        make_number("profile/device_busy_s_per_step/eager/b1", value=0.0006, n=1, unit="s"),
    ]
    text = text_of(make_ledger([dataset], numbers))
    assert (
        "At batch 1 a step of eager takes 9.0 ms (8.0 to 10.0), and the GPU works for 0.6 ms"
        in text
    )


def test_predictions_of_many_numbers_are_folded_away(shipped):
    judged = make_judged("inconclusive", name="one/many", low=0.0, high=0.05)
    many = [
        make_number(f"spread/between/eager/b{b}", value=0.1, unit="relative", predictions=[judged])
        for b in range(1, SPOKEN_OF_FEW + 2)
    ]
    alone = make_judged("inconclusive", name="one/alone", low=1.0, high=1.5)
    numbers = [*many, ratio(1, 2.0, 1.8, 2.2, predictions=[alone])]
    ((_, few, folded),) = board(make_page(make_ledger([make_dataset(shipped)], numbers), HTML))
    assert [len(few.rows), len(folded.rows)] == [1, len(many)]


def claim(verdict):
    return make_number(
        "shape/no_inversion/bundle",
        value=True,
        unit="holds",
        predictions=[make_judged(verdict, value=True, low=None)],
    )


def test_advice_claims_no_more_than_the_intervals(shipped):
    good = [ratio(1, 2.0, 1.8, 2.2), ratio(8, 1.5, 1.2, 1.8)]
    assert advice(shipped, good).action == "on"
    assert advice(shipped, [*good, claim("confirmed")]).action == "on"
    assert advice(shipped, [*good, claim("inconclusive")]).action == "cannot_tell"
    open_at_64 = advice(shipped, [*good, ratio(64, 1.1, 0.9, 1.3)])
    assert (open_at_64.action, open_at_64.batches) == ("cannot_tell", [64])
    slower = advice(shipped, [*good, ratio(64, 0.8, 0.7, 0.9)])
    assert (slower.action, slower.batches) == ("off", [64])
    assert advice(shipped, [ratio(1, 2.0, n=1), ratio(8, 1.1, n=1)]).action == "points_on"
    assert advice(shipped, [ratio(1, 2.0, n=1), ratio(8, 0.9, n=1)]).batches == [8]
    # Repeats without an interval show nothing by themselves.
    assert advice(shipped, [ratio(1, 2.0, n=3)]).action == "cannot_tell"
    assert advice(shipped, []).action == "nothing"
    assert advice(shipped, [claim("confirmed")], platform="cuda").action == "unmeasured"
    assert advice(shipped, [claim("confirmed")], platform="cpu").action == "cpu"


@pytest.mark.parametrize(
    ("verdict", "n", "value", "said"),
    [
        ("confirmed", 3, True, "holds"),
        ("refuted", 3, False, "does not hold"),
        ("refuted", 3, True, "does not hold"),
        ("inconclusive", 3, False, "does not hold for the point estimates, not settled"),
        ("confirmed", 1, True, "holds for single observations"),
    ],
)
def test_a_claim_is_said_as_firmly_as_it_was_settled(verdict, n, value, said):
    number = make_number(
        "shape/fade/bundle",
        value=value,
        unit="holds",
        n=n,
        predictions=[make_judged(verdict, value=True, low=None)],
    )
    assert plain(number) == said


# --- Numbers as they are written ------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"value": 4.609, "low": 3.287, "high": 6.464}, "4.6× (3.3 to 6.5)"),
        ({"value": 2.5233, "n": 1}, "2.523× (single observation)"),
        (
            {"value": 11220.0, "low": 6832.0, "high": 18440.0, "unit": "tok/s"},
            "11,200 tok/s (6,800 to 18,400)",
        ),
        (
            {"value": 0.0020153, "low": 0.001424, "high": 0.002852, "unit": "s"},
            "2.02 ms (1.42 to 2.85)",
        ),
        ({"value": 16.07, "low": 0.4852, "high": 532.1, "unit": "s"}, "16 s (0.49 to 530)"),
        ({"value": 0.16, "unit": "relative"}, "16%"),
        ({"value": 51.0, "unit": "shapes"}, "51 shapes"),
        ({"value": 1.0, "unit": "passes"}, "1 pass"),
        ({"value": 1.0, "unit": "launches"}, "1 launch"),
        ({"value": 0.0, "unit": "passes"}, "0 passes"),
        ({"value": 0.0000474, "unit": "s", "n": 1}, "47.4 µs (single observation)"),
        ({"value": 2.0, "low": 2.0, "high": 2.0}, "2×"),
        ({"value": None, "missing": "not run"}, "not measured"),
        ({"value": None, "low": 1.0, "high": 1.469, "missing": "a bracket"}, "1 to 1.469×"),
    ],
)
def test_digits_are_those_that_the_interval_allows(fields, expected):
    assert (
        plain(make_number("some/number", **fields)).replace("\N{NO-BREAK SPACE}", " ") == expected
    )


def test_a_missing_number_is_not_printed_and_an_unknown_one_is_a_mistake():
    with pytest.raises(LabError, match="some/number has no value"):
        written(make_number("some/number"))
    page = make_page(make_ledger([], []), HTML)
    with pytest.raises(LabError, match="no number 'ratio/typo/b1'"):
        print_number(page, "made", "ratio/typo/b1")
    twice = make_ledger([], [ratio(1, 2.0), ratio(1, 3.0)])
    with pytest.raises(LabError, match="two numbers ratio/bundle/b1"):
        make_page(twice, HTML)


positive = st.floats(1e-6, 1e9)


@given(value=positive, down=st.floats(0.1, 0.999), up=st.floats(1.001, 9.0))
def test_rounding_keeps_the_order_and_loses_little(value, down, up):
    number = make_number(
        "some/number", value=value, low=value * down, high=value * up, unit="tok/s"
    )
    shown = [parsed(text) for text in written(number)]
    assert shown[1] <= shown[0] <= shown[2]
    half_width = value * (up - down) / 2
    for printed, exact in zip(shown, (value, value * down, value * up), strict=True):
        # Half a step of two significant digits of the half-width, or two of its own.
        assert abs(printed - exact) <= max(0.051 * half_width, 0.051 * exact)


@given(value=positive)
def test_without_an_interval_four_digits_at_most(value):
    text = plain(make_number("some/number", value=value, unit="tok/s", n=1)).split(
        "\N{NO-BREAK SPACE}"
    )[0]
    assert len(re.sub(r"[,.]", "", text).strip("0")) <= 4
    assert parsed(text) == pytest.approx(value, rel=5e-4)


def test_a_sign_is_a_sign():
    assert digits(-0.0004, 2) == "0.00"
    assert digits(-12.34, 1) == "−12.3"
    error = make_number("model/additive/error/b8", value=0.158, unit="relative", n=1)
    assert plain(error).startswith("+16%")


# --- Hostile names --------------------------------------------------------------------

HOSTILE = '<script>alert("x")</script> | a`b *c* $\\frac$ ü 名 \x07\n| next'


def hostile(ledger):
    """The same ledger with every free text replaced."""
    fields = json.loads(ledger.model_dump_json())
    for dataset in fields["datasets"]:
        dataset |= {"title": HOSTILE, "notes": [HOSTILE], "device": HOSTILE, "source": HOSTILE}
        for arm in dataset["arms"].values():
            arm |= {"warnings": [HOSTILE], "resolved": HOSTILE}
        for sides in dataset["contrasts"].values():
            sides["note"] = HOSTILE
    for number in fields["numbers"]:
        number |= {"note": HOSTILE}
        if number["value"] is None:
            number["missing"] = HOSTILE
        for judged in number["predictions"]:
            judged |= {"source": HOSTILE, "settle": judged["settle"] and HOSTILE}
    return Ledger.model_validate(fields)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_what_records_say_stays_text(shipped):
    html, markdown = rendered(hostile(shipped))
    reader = read(html)
    scripts = [text for text, around in reader.texts if around and around[-1][0] == "script"]
    assert [tag for tag, _ in reader.elements].count("script") == 1
    assert "alert" not in "".join(scripts)
    assert '<script>alert("x")</script>' in "".join(text for text, _ in reader.texts)
    assert "名" in html
    assert "<script" not in markdown
    assert_tables_hold_together(markdown)


@given(st.text())
def test_markdown_text_cannot_leave_its_cell(text):
    escaped = escape_markdown(text)
    assert not re.search(r"[<>\n]", escaped)
    assert not re.search(r"(?<!\\)(\\\\)*[|`*]", escaped)
