"""Marking up: what is said of a number is text that stands for itself, on the page and beside."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.report.markup import (
    Code,
    Exempt,
    anchor,
    escape_markdown,
    html,
    join,
    plain,
    say,
)
from cudagraph_lab.report.page import make_view, render_html
from cudagraph_lab.report.sections.appendix import _files, shown
from tests.report_builders import make_ledger, read


@given(st.text(), st.text())
def test_any_text_stays_text_on_the_page(one, other):
    marked = str(html(say("a {x} b {y}", x=Exempt(one), y=Code(other))))
    assert [tag for tag, _ in read(marked).elements if tag not in ("span", "code")] == []


@given(st.text())
def test_markdown_text_cannot_leave_its_cell(text):
    escaped = escape_markdown(text)
    assert not re.search(r"[<>\n]", escaped)
    assert not re.search(r"(?<!\\)(\\\\)*[|`*]", escaped)


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_places_on_the_page_differ_where_their_names_do(one, other):
    assert (anchor(*one) == anchor(*other)) == (one == other)
    assert not re.search(r"[\s\"<>]", anchor(*one))


def test_lines_are_enumerated():
    assert plain(join([("a",), ("b",), ("c",)])) == "a, b and c"
    assert plain(join([("a",)])) == "a"
    assert join([]) == ()


def test_a_sentence_that_lacks_a_piece_is_a_mistake():
    with pytest.raises(KeyError):
        say("{lacking} is said", other="x")


def test_of_many_files_the_ends_of_each_row_are_named():
    files = [f"results/a/runs/x/rep{k}.json" for k in (*range(1, 12), 14)]
    assert plain(_files(files)) == (
        "`results/a/runs/x/rep1.json` to `results/a/runs/x/rep11.json`, "
        "`results/a/runs/x/rep14.json`"
    )
    assert plain(_files(files[:2])).count("rep") == 2


def test_files_are_named_without_the_machine(tmp_path):
    where = tmp_path / "home" / "results" / "set" / "runs" / "arm" / "rep1.json"
    assert shown(str(where)) == "results/set/runs/arm/rep1.json"


def test_a_figure_that_was_not_drawn_is_one_line():
    from cudagraph_lab.figures.catalogue import FIGURES, Drawing

    drawings = [Drawing(name=name, title="?", finding="", numbers=[]) for name in FIGURES]
    with pytest.raises(LabError, match=f"no SVG for figure {next(iter(FIGURES))}"):
        render_html(make_view(make_ledger([], []), drawings), drawings, {})
