"""What `snakemake --report` makes of the workflow: it opens offline and names its parts."""

import re

import pytest

from cudagraph_lab.figures.catalogue import FIGURES


@pytest.fixture(scope="module")
def overview(report, run_snakemake):
    directory = report.parents[2]
    done = run_snakemake(
        "--report", "overview.html", "--config", "measure=none", directory=directory
    )
    assert done.returncode == 0, done.stdout
    return directory / "overview.html"


@pytest.mark.parametrize(
    ("category", "parts"),
    [
        (
            "Figures",
            list(FIGURES.values()),
        ),
        ("Ledger", ["CSV", "JSON"]),
        ("Report", ["Answer in short", "HTML", "Markdown"]),
    ],
)
def test_it_lists_every_output_under_its_label(open_page, overview, category, parts):
    with open_page(overview) as (page, complaints):
        assert "What do CUDA graphs buy in vLLM?" in page.locator("body").inner_text()
        page.get_by_role("link", name=category, exact=True).click()
        for part in parts:
            page.get_by_text(part, exact=True).wait_for(state="visible")
        # Its own style sheet tells developers in the console where it should come from.
        assert [said for said in complaints if "cdn.tailwindcss.com" not in said] == []


def test_every_caption_says_something_and_belongs_to_a_rule(repository):
    used: set[str] = set()
    for rules in (repository / "workflow" / "rules").glob("*.smk"):
        text = rules.read_text("utf-8")
        names = re.findall(r"captions/([^\"]+)\.rst", text)
        if "{name}" in names:
            names += FIGURES
        used.update(name for name in names if name != "{name}")
    captions = {path.stem: path for path in (repository / "report" / "captions").glob("*.rst")}
    assert used == set(captions)
    assert min(len(path.read_text("utf-8")) for path in captions.values()) > 60
