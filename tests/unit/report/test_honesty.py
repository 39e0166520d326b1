"""The page of the shipped data: every digit is the ledger's, and all of the ledger is there."""

import json
import re
from itertools import pairwise

import pytest
import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.predictions import read_predictions, registered_hashes
from cudagraph_lab.ledger.build import Ledger, build_ledger
from cudagraph_lab.ledger.extrapolations import outlook_numbers
from cudagraph_lab.ledger.index import has_value, make_index
from cudagraph_lab.ledger.settings import Settings
from tests.read_dataset import read_dataset
from tests.report_builders import read, rendered, stray_digits, words_of

SHIPPED = REPOSITORY / "resources" / "datasets"


@pytest.fixture(scope="module")
def shipped():
    config = parse_config(
        yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    )
    datasets = [
        read_dataset(
            name,
            (SHIPPED / name / "runs").glob("*/rep*.json"),
            yaml.safe_load((SHIPPED / name / "dataset.yaml").read_text(encoding="utf-8")),
            {key: contrast.model_dump() for key, contrast in config.contrasts.items()},
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
        Settings(
            seed=config.seed,
            restarts_per_day=config.restarts_per_day,
            ladder_rungs=config.ladder_rungs,
            batch_mix=dict.fromkeys(range(1, 65), 1),
        ),
        [],
        outlook_numbers([question.model_dump() for question in config.extrapolate]),
    )


@pytest.fixture(scope="module")
def pages(shipped):
    return rendered(shipped)


def test_every_digit_on_the_page_is_the_ledgers(shipped, pages):
    assert stray_digits(shipped, pages[0]) == []


def test_a_typed_digit_or_a_changed_number_would_be_found(shipped, pages):
    page = pages[0]
    typed = page.replace("One size was measured on ", "Speed-ups reach 2.5 here. ", 1)
    assert typed != page
    assert stray_digits(shipped, typed) == ["Speed-ups reach 2.5 here."]
    spoilt = (
        page.replace(">2.523</var>", ">2.8</var>", 1),
        page.replace("CUDA graphs against eager", '<span data-why="said">97531</span>', 2),
        re.sub(r"(data-count=refuted[^>]*>)\d+", r"\g<1>4711", page, count=1),
    )
    for changed in spoilt:
        assert changed != page
        with pytest.raises(AssertionError):
            stray_digits(shipped, changed)


def test_every_number_and_every_prediction_is_on_the_page(shipped, pages):
    reader = read(pages[0])
    rows = {a["data-id"] for tag, a in reader.elements if tag == "tr" and "data-id" in a}
    assert {str(n.id) for n in shipped.numbers if has_value(n)} == rows
    codes = {text for text, around in reader.texts if around and around[-1][0] == "code"}
    assert {str(n.id) for n in shipped.numbers} <= codes | rows
    printed = {
        (a.get("data-dataset"), a.get("data-id"), a.get("data-prediction"))
        for tag, a in reader.elements
        if tag == "var"
    }
    judged = {(n.dataset, str(n.id), p.id) for n in shipped.numbers for p in n.predictions}
    assert len(judged) > 100
    assert judged <= printed


def test_a_number_of_the_text_has_its_interval_and_opens_its_predictions(shipped, pages):
    index = make_index(shipped)
    notes = re.findall(r'<span class="num".*?<span class="note">(.*?)</a></span></span>', pages[0])
    assert len(notes) > 15
    for note in notes:
        anchor = re.search(r'href="?#n(\d+):([^">]+)', note)
        number = index.numbers[index.groups[int(anchor[1])], anchor[2]]
        assert number.predictions
        assert all(f"<code>{p.id}</code>" in note for p in number.predictions)


def test_a_number_without_a_prediction_leads_to_its_row(shipped, pages):
    index = make_index(shipped)
    links = re.findall(r'<a class=bare href="?#n(\d+):([^">]+)"?>(.*?)</a>', pages[0])
    assert len(links) > 15
    for group, number, said in links:
        found = index.numbers[index.groups[int(group)], number]
        assert not found.predictions
        assert f"data-id={number}>" in said


def test_the_page_stands_alone_and_its_links_lead_somewhere(pages):
    reader = read(pages[0])
    assert len(pages[0].encode()) < 1_500_000
    assert len(reader.ids) == len(set(reader.ids))
    assert {link.removeprefix("#") for link in reader.links} <= set(reader.ids)
    assert "://" not in pages[0].replace("</script>", "")
    assert str(REPOSITORY) not in pages[0] + pages[1]


def test_every_table_says_what_it_holds(pages):
    elements = read(pages[0]).elements
    tags = [tag for tag, _ in elements]
    assert tags.count("table") == tags.count("caption") > 5
    assert {a.get("scope") for tag, a in elements if tag == "th"} == {"col", "row", None}
    for table in re.findall(r"<table.*?</table>", pages[0], re.DOTALL):
        widths = {len(re.findall("<t[hd][ >]", row)) for row in table.split("<tr")[1:]}
        assert len(widths) == 1, table[:300]


def test_the_order_is_answer_effect_cost_scores_trust_and_how_to_repeat(pages):
    sections = [a["id"] for tag, a in read(pages[0]).elements if tag == "section"]
    assert sections == [
        "answer", "sizes", "why", "startup", "production", "scores", "wrong", "trust", "again",
        "appendix",
    ]  # fmt: skip


def test_what_the_shipped_data_say_is_said(pages):
    text = words_of(pages[0])
    assert "CUDA graphs and compilation together make opt-125m decode 4.1× (3.2 to 5.3)" in text
    assert "At every batch size measured the whole 95% interval shows a gain" in text
    assert "One size was measured on H100: opt-125m" in text
    assert "The course lab said that vLLM captures 23 shapes piecewise: measured 51 shapes" in text
    assert "vLLM’s own rules say 51 shapes, which was right." in text
    assert "a step of eager takes 9.4 ms (6.4 to 13.9). The GPU works for" in text
    # False sentences of earlier pages.
    assert "in the rest the host launches" not in text.lower()
    assert "filling up" not in text


def test_the_rows_of_the_scores_add_up_to_the_counts_above_them(shipped, pages):
    section = pages[0].split('<section id="scores"')[1].split("<section")[0]
    rows = section.partition("the folded ones: ")[2]
    total, _, rows = rows.partition(".")
    said = dict(re.findall(r'<var data-count="?(refuted|inconclusive|confirmed)"?>(\d+)', total))
    assert len(said) == 3
    for verdict, sum_said in said.items():
        many = re.findall(rf"<var data-count={verdict}>(\d+)</var>", rows)
        alone = len(re.findall(rf"<summary>(?:(?!</summary>).)*<b class={verdict}>", rows))
        assert sum(map(int, many)) + alone == int(sum_said), verdict


def test_files_are_named_without_the_machine_and_exist(shipped, pages):
    files = set(re.findall(r"<code data-file>([^<]+)<", pages[0]))
    assert len(files) > 20
    lacking = [f for f in files if not f.startswith("results/") and not (REPOSITORY / f).is_file()]
    assert lacking == []


def test_markdown_says_the_same_in_tables_that_hold_together(pages):
    markdown = pages[1]
    assert "4.1× (3.2 to 5.3)" in markdown
    assert "opt-125m decode" in markdown
    assert_tables_hold_together(markdown)
    assert "<var" not in markdown
    assert "&#" not in markdown
    assert "</" not in markdown


def assert_tables_hold_together(markdown):
    widths = [
        len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        for line in markdown.splitlines()
    ]
    assert max(widths) > 2
    assert all(a == b for a, b in pairwise(widths) if a and b)


HOSTILE = '<script>alert("x")</script> | a`b *c* $\\frac$ ü 名 \x07\n| next'


def hostile(ledger):
    """The same ledger with every free text replaced."""
    fields = json.loads(ledger.model_dump_json())
    for dataset in fields["datasets"]:
        dataset |= {"title": HOSTILE, "notes": [HOSTILE], "device": HOSTILE, "source": HOSTILE,
                    "model": HOSTILE, "caveat": HOSTILE}  # fmt: skip
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
