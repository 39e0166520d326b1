"""Data sets that a user may really have: hostile names, only failures, nothing, a single cell."""

import json
import re

import pytest
import yaml

from cudagraph_lab.files import write_json

HOSTILE = (
    """<script>window.harmed = 1</script><img src=x onerror="window.harmed = 2"> '"`&amp; ü 名"""
)
SPOILT = ("device", "driver", "cpu", "torch", "lock", "commit", "host")


@pytest.fixture(scope="module")
def odd(tmp_path_factory, run_snakemake, shipped, checksum_of):
    """The report of four such data sets, all made of the published run."""
    directory = tmp_path_factory.mktemp("odd")
    runs = shipped / "l4-published" / "runs"

    def write(dataset, arm, edit, **fields):
        published = json.loads((runs / arm / "rep1.json").read_text("utf-8"))["record"]
        body = published | {"dataset": dataset} | fields
        edit(body)
        path = directory / "results" / dataset / "runs" / arm / "rep1.json"
        path.parent.mkdir(parents=True)
        write_json(path, {"sha256": checksum_of(body), "record": body})

    def spoil(body):
        body["source"] = HOSTILE
        body["request"]["model"] = HOSTILE
        body["request"]["engine_args"] |= {"quantization": HOSTILE}
        body["environment"] |= dict.fromkeys(SPOILT, HOSTILE)

    def fail(body):
        body["cells"], body["startup"], body["resolved"] = [], None, None
        body["failure"] = {"kind": "out_of_memory", "reason": HOSTILE, "log_tail": [HOSTILE]}

    def keep_one_cell(body):
        body["cells"] = body["cells"][:1]
        body["request"]["workload"]["batch_sizes"] = [1]

    for arm in ("eager", "graphs"):
        write("hostile", arm, spoil)
        write("failed", arm, fail, status="failed")
        write("single", arm, keep_one_cell)
        write("empty", arm, lambda body: body.update(cells=[], startup=None))
    own = {
        "predictions": [
            {
                "id": "own/hostile",
                "number": "ratio/bundle/b1",
                "applies_to": {"dataset": "hostile"},
                "value": None,
                "low": 1.0,
                "high": 2.0,
                "unit": "x",
                "source": HOSTILE,
            }
        ],
    }
    (directory / "own.yaml").write_text(yaml.safe_dump(own, allow_unicode=True), encoding="utf-8")
    done = run_snakemake(
        "results/report/lab_report.html",
        "--config",
        "measure=none",
        "compare=[hostile,failed,single,empty,nowhere]",
        "own_predictions=own.yaml",
        directory=directory,
    )
    assert done.returncode == 0, done.stdout
    assert "config: compare: there is no data set 'nowhere'; the report goes on" in done.stdout
    return directory / "results" / "report" / "lab_report.html"


def test_hostile_names_are_read_and_not_run(open_page, odd):
    for width in (1280, 390):
        with open_page(odd, width=width) as (page, complaints):
            page.wait_for_load_state("networkidle")
            assert complaints == []
            assert page.evaluate("window.harmed") is None
            assert page.locator("img").count() == 0
            assert page.locator("script").count() == 1
            assert "<script>window.harmed = 1</script>" in page.locator("#trust").inner_text()
            wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
            assert wide <= 0


def test_each_data_set_says_what_it_lacks(open_page, odd):
    with open_page(odd) as (page, _):
        text = re.sub(r"\s+", " ", page.locator("main").inner_text())
        assert "NaN" not in text
        assert "None" not in text
        advice = page.locator("#production").inner_text()
        assert "no arm has a number that counts" in advice
        assert "single observations point to leaving graphs on" in advice
        assert "failed, repeat 1 failed (out_of_memory): <script>" in text
        assert "nothing here is sure" in page.locator("#answer").inner_text()
        assert "Leave graphs on." not in text


def test_a_data_set_that_is_missing_is_named_and_the_others_are_there(open_page, odd):
    with open_page(odd) as (page, _):
        answer = re.sub(r"\s+", " ", page.locator("#answer").inner_text())
        assert "There is no data set nowhere, though compare asks for it" in answer
        # Four, the outlook, and what computes each kind of number.
        assert page.locator("#appendix > details").count() == 6
    twin = odd.with_suffix(".md").read_text("utf-8")
    assert "There is no data set `nowhere`, though `compare` asks for it" in twin


@pytest.mark.parametrize("compare", ["compare=[]", "compare=[nowhere]"])
def test_without_any_data_set_the_page_says_so(open_page, tmp_path, run_snakemake, compare):
    done = run_snakemake(
        "results/report/lab_report.html",
        "--config", "measure=none", compare,
        directory=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    with open_page(tmp_path / "results" / "report" / "lab_report.html") as (page, complaints):
        page.wait_for_load_state("networkidle")
        assert complaints == []
        answer = page.locator("#answer").inner_text()
        assert "There is no data set in this report." in answer
        assert ("There is no data set nowhere" in answer) == (compare != "compare=[]")
        assert "Leave graphs on" not in page.locator("body").inner_text()
        assert page.locator("figure").count() <= 1  # the brackets of the extrapolation
