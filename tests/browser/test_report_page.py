"""The report as a reader meets it: in a browser, on a telephone, without script, on paper."""

import json
import re

import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.figures.catalogue import FIGURES
from cudagraph_lab.ledger.store import read_ledger

SCREENS = {1280: 900, 390: 844}
MENU = ("answer", "sizes", "why", "speculation", "startup", "production", "upgrade", "scores",
        "wrong", "trust", "again", "appendix")  # fmt: skip


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
            .filter((a) => !document.getElementById(decodeURIComponent(a.slice(1)))
                        && !document.getElementById(a.slice(1)))"""
    )


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
        assert page.locator('a[href^="#n"]').count() > 50
        assert dangling(page) == []
        ids = page.evaluate('[...document.querySelectorAll("[id]")].map((e) => e.id)')
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
@pytest.mark.parametrize("width", SCREENS)
def test_a_click_in_the_menu_lands_at_the_heading(open_page, width, script):
    height = SCREENS[width]
    with open_page(width=width, height=height, java_script_enabled=script) as (page, _):
        links = page.locator("nav a")
        assert [link.get_attribute("href") for link in links.all()] == [f"#{id}" for id in MENU]
        for name in MENU:
            page.locator(f'nav a[href="#{name}"]').click()
            top = page.locator(f"#{name} > h2").bounding_box()["y"]
            end = page.locator("body").bounding_box()
            # The last sections may be too short to reach the top.
            at_end = end["y"] + end["height"] <= height + 1
            assert -1 <= top <= (height if at_end else 60), name


@pytest.mark.parametrize("width", SCREENS)
def test_the_first_screen_holds_the_picture_and_the_sentence(open_page, width):
    height = SCREENS[width]
    with open_page(width=width, height=height) as (page, _):
        sentence = page.locator("#answer .words > p").first
        for element in (page.locator("#answer .plot svg"), sentence):
            box = element.bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= height
        assert page.locator("#answer .plot svg").bounding_box()["width"] > 300
        assert re.search(
            r"3\.865× \(3\.788 to 3\.945\)", sentence.inner_text().replace("\u2060", "")
        )
        if width > 1000:
            box = page.locator("#answer .answers").bounding_box()
            assert box["y"] + box["height"] <= height
        words = page.locator("#answer .answers dt").all_inner_texts()
        assert words == ["Know", "Held", "Did not hold", "Set", "Costs", "Larger models"]


def test_the_page_is_short_before_the_appendix_and_small(open_page, report):
    assert report.stat().st_size < 1_500_000
    with open_page(width=1280, height=900) as (page, _):
        assert page.locator("#appendix").bounding_box()["y"] <= 12 * 900
        assert 5 <= page.locator("figure svg").count() <= 7
        # A figure of which nothing was measured is left out.
        assert page.locator("figure svg").count() >= len(FIGURES) - 1


@pytest.mark.parametrize("width", SCREENS)
def test_the_page_never_scrolls_sideways(open_page, width):
    with open_page(width=width) as (page, _):
        page.evaluate(
            """document.querySelectorAll("main > section:not(#appendix) details")
                .forEach((d) => { d.open = true; })"""
        )
        wide, inner = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        assert wide <= inner == width


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
@pytest.mark.parametrize("way", ["hover", "focus"])
def test_a_mark_opens_its_prediction(open_page, script, way):
    with open_page(java_script_enabled=script) as (page, complaints):
        number = page.locator("#answer .num:has(.mark)").first
        note = number.locator(".note")
        assert not note.is_visible()
        getattr(number.locator(".mark"), way)()
        note.wait_for(state="visible")
        assert "predicted" in note.inner_text()
        assert "expect/h100-bundle-b1" in note.inner_text()
        assert complaints == []


def test_a_tap_opens_a_note_inside_the_screen_of_a_phone(open_page):
    with open_page(width=390, height=844, has_touch=True) as (page, _):
        number = page.locator("#answer .num:has(.mark)").first
        number.locator(".mark").tap()
        note = number.locator(".note")
        note.wait_for(state="visible")
        box = note.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_from_a_number_to_its_row_and_to_its_runs(open_page):
    with open_page() as (page, complaints):
        number = page.locator("#answer .num:has(.mark)").first
        row = page.locator('tr[id="n0:ratio/bundle/b1"]')
        assert not row.is_visible()
        number.hover()
        number.locator(".note a").click()
        row.wait_for(state="visible")
        assert 0 < row.bounding_box()["y"] < 800
        assert row.locator("th").first.inner_text() == "ratio/bundle/b1"
        row.get_by_role("link", name="eager", exact=True).click()
        runs = page.locator('tr[id="r0:eager"]')
        assert "'enforce_eager': True}" in runs.inner_text()
        assert "resources/datasets/h100-turns-twelve/runs/eager/rep12.log" in runs.inner_text()
        assert complaints == []


def test_every_number_of_the_ledger_can_be_reached_without_script(open_page, report):
    ledger = read_ledger(report.parents[1] / "ledger.json")
    with open_page(java_script_enabled=False) as (page, _):
        # In the head of its row; of those that nothing was measured of, in one list.
        named = set(page.locator("#appendix tbody th, #appendix code").all_text_contents())
        assert {str(number.id) for number in ledger.numbers} <= named
        for fold in page.locator("#appendix > details > summary").all():
            fold.click()
        rows = page.locator("#appendix tr[id^=n]")
        assert rows.count() > 1000
        assert rows.first.is_visible()
        assert rows.last.is_visible()


def test_without_script_all_is_there(open_page):
    with open_page(java_script_enabled=False) as (page, complaints):
        assert all(figure.is_visible() for figure in page.locator("figure svg").all())
        assert page.locator(".scores details").count() > 20
        family = page.locator(".scores details").first
        assert not family.locator("li").first.is_visible()
        family.locator("summary").click()
        assert "predicted" in family.locator("li").first.inner_text()
        assert page.locator("button").count() == 0
        assert complaints == []


def test_every_figure_says_its_finding_in_words(open_page):
    with open_page() as (page, _):
        findings = page.locator(".plot").evaluate_all("all => all.map((p) => p.ariaLabel)")
        assert len(findings) == page.locator("figure svg").count() > 4
        assert all(len(finding) > 60 and re.search(r"\d", finding) for finding in findings)


def file_links(page):
    """{address: file} of the files that are links."""
    return dict(
        page.evaluate(
            """() => [...document.querySelectorAll("a > [data-file]")]
                .map((f) => [f.parentElement.href, f.textContent])"""
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SCREENS)
def test_axe_finds_nothing_serious(open_page, axe, scheme, width):
    with open_page(color_scheme=scheme, width=width) as (page, _):
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
            for node in one["nodes"][:3]
        ]
        assert serious == []


def test_axe_would_find_a_pale_word(open_page, axe):
    with open_page() as (page, _):
        page.evaluate(axe)
        page.evaluate('document.querySelector("#answer dd").style.color = "#e5e5e5"')
        found = page.evaluate("axe.run('#answer dd', { runOnly: ['color-contrast'] })")
        assert [one["id"] for one in found["violations"]] == ["color-contrast"]


def test_on_paper_no_row_is_broken_and_the_appendix_is_printed_on_request(open_page):
    with open_page(color_scheme="dark") as (page, _):
        page.emulate_media(media="print")
        kinds = page.evaluate(
            """[...new Set([...document.querySelectorAll("tr, figure, .scores summary")]
                 .map((row) => getComputedStyle(row).breakInside))]"""
        )
        assert kinds == ["avoid"]
        assert not page.locator("nav").is_visible()
        # Dark ink, also for who reads screens in the dark.
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert sum(map(int, re.findall(r"\d+", ink))) < 200, ink
        assert not page.locator("#appendix").is_visible()
        short = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
        assert 4 <= short <= 14
        page.evaluate('document.querySelector("#appendix details").open = true')
        assert page.locator("#appendix").is_visible()
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) > short


def test_the_lock_of_axe_holds_hashes_and_no_address(repository):
    text = (repository / "tests" / "browser" / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert list(packages) == ["node_modules/axe-core"]
    assert packages["node_modules/axe-core"]["integrity"].startswith("sha512-")
    assert "resolved" not in text
    assert "://" not in text
