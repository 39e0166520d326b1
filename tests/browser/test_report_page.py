"""The report as a reader meets it: in a browser, on a telephone, without script, on paper."""

import json
import re

import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.report.printing import VERDICTS

WIDTHS = (1280, 390)
HEADLINE = '[data-dataset="h100-opt-125m"][data-id="ratio/bundle/b1"] data:not([data-prediction])'


def outside(page):
    """Addresses in the page that are neither inside it nor data nor files beside it."""
    return page.evaluate(
        """() => [...document.querySelectorAll("[href]:not(:has(> [data-file])), [src]")]
            .map((e) => e.getAttribute("href") ?? e.getAttribute("src"))
            .filter((a) => !a.startsWith("#") && !a.startsWith("data:"))"""
    )


def dangling(page):
    """Links inside the page that lead nowhere."""
    return page.evaluate(
        """() => [...document.querySelectorAll('a[href^="#"], use')]
            .map((e) => e.getAttribute("href") ?? e.getAttribute("xlink:href"))
            .filter((a) => !document.getElementById(a.slice(1)))"""
    )


def shown(elements):
    """How many of the elements can be seen."""
    return elements.evaluate_all("all => all.filter((e) => e.checkVisibility()).length")


def test_nothing_goes_wrong_and_nothing_is_fetched(open_page):
    with open_page() as (page, complaints):
        page.mouse.wheel(0, 50_000)
        page.wait_for_load_state("networkidle")
        assert complaints == []
        assert outside(page) == []


def test_an_outside_request_and_a_script_error_would_be_seen(open_page, report, tmp_path):
    spoilt = tmp_path / "spoilt.html"
    added = (
        '<img src="https://example.org/a.png"><script>lacking()</script><a href="#lacking">?</a>'
    )
    spoilt.write_text(report.read_text("utf-8").replace("<main>", "<main>" + added), "utf-8")
    with open_page(spoilt) as (page, complaints):
        page.wait_for_load_state("networkidle")
        assert any(said.startswith("request: https://example.org") for said in complaints)
        assert any("lacking" in said for said in complaints if said.startswith("script:"))
        assert outside(page) == ["https://example.org/a.png"]
        assert dangling(page) == ["#lacking"]


def test_every_link_leads_somewhere(open_page):
    with open_page() as (page, _):
        assert page.locator('a[href^="#verdict:"]').count() > 20
        assert dangling(page) == []
        ids = page.evaluate('[...document.querySelectorAll("[id]")].map((e) => e.id)')
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
def test_from_a_number_to_its_runs_and_to_what_computed_it(open_page, script):
    with open_page(java_script_enabled=script) as (page, complaints):
        row = page.locator('tr:has([id="number:h100-opt-125m:ratio/bundle/b1"])')
        assert not row.is_visible()
        page.locator(f".card {HEADLINE}").first.click()
        row.wait_for(state="visible")
        box = row.bounding_box()
        assert box["y"] + box["height"] > 0
        assert box["y"] < 800
        assert row.locator("code").first.inner_text() == "ratio/bundle/b1"
        row.get_by_role("link", name="ratio/bundle/b1").click()
        formula = page.locator('tr:has([id="formula:ratio/%2A"])')
        assert (
            "estimate_contrast in workflow/cudagraph_lab/statistics/estimates.py"
            in formula.inner_text()
        )
        assert formula.bounding_box()["y"] < 800
        row.get_by_role("link", name="eager", exact=True).click()
        runs = page.locator('tr:has([id="runs:h100-opt-125m:eager"])')
        assert runs.locator("code").all_inner_texts() == [
            "eager",
            "{'enforce_eager': True}",
            "resources/datasets/h100-opt-125m/runs/eager/",
            *(f"rep{k}.{kind}" for kind in ("json", "log") for k in (1, 2, 3)),
        ]
        assert runs.bounding_box()["y"] < 800
        assert complaints == []


def file_links(page):
    """{address: file} of the files that are links."""
    return dict(
        page.evaluate(
            """() => [...document.querySelectorAll("a > [data-file]")]
                .map((f) => [f.parentElement.href, f.dataset.file])"""
        )
    )


def test_files_are_links_only_where_they_lie_beside_the_page(open_page, report, tmp_path):
    with open_page() as (page, _):
        links = file_links(page)
        beside = {f"results/ledger.{kind}" for kind in ("json", "csv")}
        assert set(links.values()) == beside
        assert set(links) == {(report.parents[2] / file).as_uri() for file in beside}
        assert all((report.parents[2] / file).is_file() for file in beside)
    # Written into the repository itself, shipped records and sources lie beside it as well.
    text = report.read_text("utf-8").replace("<html ", "<html data-in-repository ", 1)
    inside = tmp_path / "results" / "report" / "lab_report.html"
    inside.parent.mkdir(parents=True)
    inside.write_text(text, "utf-8")
    with open_page(inside) as (page, _):
        links = file_links(page)
        assert len(links) > 40
        assert "resources/datasets/h100-opt-125m/runs/eager/rep1.log" in links.values()
        assert all(link == (tmp_path / file).as_uri() for link, file in links.items())
        others = {file for file in links.values() if not file.startswith("results/")}
        assert [file for file in others if not (REPOSITORY / file).is_file()] == []
    mailed = tmp_path / "lab_report.html"
    mailed.write_text(text, "utf-8")
    with open_page(mailed) as (page, _):
        assert file_links(page) == {}
        assert page.locator("[data-file]").count() > 40


def unfold(page):
    """Open what is folded away on the board, as a reader does."""
    for summary in page.locator("[data-verdict] summary").all():
        summary.click()


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_filter_hides_a_verdict_and_shows_it_again(open_page, verdict):
    with open_page() as (page, _):
        rows = page.locator(f'[data-verdict="{verdict}"] tbody tr')
        others = page.locator(f'[data-verdict]:not([data-verdict="{verdict}"]) tbody tr')
        box = page.get_by_label(verdict, exact=True)
        unfold(page)
        assert rows.count() > 0
        box.uncheck()
        assert shown(rows) == 0
        assert shown(others) == others.count() > 0
        box.check()
        assert shown(rows) == rows.count()


def test_a_link_to_a_hidden_verdict_shows_it(open_page):
    with open_page() as (page, _):
        page.get_by_label("confirmed", exact=True).uncheck()
        link = page.locator('.card a.chip.confirmed[href^="#verdict:"]').first
        target = page.locator(f'[id="{link.get_attribute("href")[1:]}"]')
        assert not target.is_visible()
        link.click()
        target.wait_for(state="visible")
        assert page.get_by_label("confirmed", exact=True).is_checked()


def test_without_script_all_is_shown_but_the_filter(open_page):
    with open_page(java_script_enabled=False) as (page, complaints):
        rows = page.locator("[data-verdict] tbody tr")
        assert 50 < shown(rows) < rows.count()
        unfold(page)
        assert shown(rows) == rows.count()
        assert page.locator("#filter").count() == 1
        assert not page.locator("#filter").is_visible()
        assert all(figure.is_visible() for figure in page.locator("figure svg").all())
        assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways_and_figures_have_a_size(open_page, width):
    with open_page(width=width) as (page, _):
        page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true; })')
        wide, inner = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        assert wide <= inner == width
        figures = page.locator("figure svg").all()
        assert len(figures) == 6
        for figure in figures:
            box = figure.bounding_box()
            assert box["width"] >= 300
            assert box["height"] >= 100
            assert figure.locator("path, use").count() > 10


def test_the_first_screen_says_how_much_how_firmly_and_what_to_set(open_page):
    with open_page(width=1280, height=800) as (page, _):
        card = page.locator(".card").first
        parts = [
            card.locator(f'{HEADLINE}[data-part="{p}"]').first for p in ("value", "low", "high")
        ]
        counts = [
            card.locator(f'.trust data[data-count="{verdict}"][data-of="*"]')
            for verdict in VERDICTS
        ]
        for element in (
            *parts,
            *counts,
            card.locator('.trust a[href="#trust"]'),
            card.locator(".advice"),
        ):
            box = element.bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 800, element
        assert "Leave graphs on" in card.locator(".advice").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page, axe, scheme):
    with open_page(color_scheme=scheme) as (page, _):
        # The longest tables repeat the cells of the others.
        page.evaluate(
            """document.querySelectorAll("details").forEach((d) => {
                 d.open = d.querySelectorAll("tr").length < 60; })"""
        )
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert len(found["passes"]) > 15
        serious = [
            f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"][:3]
        ]
        assert serious == []


def test_axe_would_find_a_pale_word(open_page, axe):
    with open_page() as (page, _):
        page.evaluate(axe)
        page.evaluate('document.querySelector(".advice").style.color = "#e5e5e5"')
        found = page.evaluate("axe.run('.advice', { runOnly: ['color-contrast'] })")
        assert [one["id"] for one in found["violations"]] == ["color-contrast"]


def test_on_paper_no_row_is_broken_and_the_filter_is_gone(open_page):
    with open_page(color_scheme="dark") as (page, _):
        page.emulate_media(media="print")
        kinds = page.evaluate(
            """[...new Set([...document.querySelectorAll("tr")]
                 .map((row) => getComputedStyle(row).breakInside))]"""
        )
        assert kinds == ["avoid"]
        assert not page.locator("#filter").is_visible()
        # Dark ink, also for who reads screens in the dark.
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert sum(map(int, re.findall(r"\d+", ink))) < 200, ink
        for size in ("A4", "Letter"):
            paper = page.pdf(format=size, print_background=True)
            assert paper.startswith(b"%PDF-")
            assert len(re.findall(rb"/Type\s*/Page\b", paper)) > 5


def test_the_lock_of_axe_holds_hashes_and_no_address(repository):
    text = (repository / "tests" / "browser" / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert list(packages) == ["node_modules/axe-core"]
    assert packages["node_modules/axe-core"]["integrity"].startswith("sha512-")
    assert "resolved" not in text
    assert "://" not in text
