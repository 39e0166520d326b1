"""The strip of raw calls: a dot for each of the arms that are compared, and only for those."""

import re

import pytest

from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.report.strip import DENOMINATOR, TWIN, strip, strip_arms, strip_words
from tests.report_builders import (
    BUNDLE,
    EAGER,
    make_arm,
    make_dataset,
    make_ledger,
    ratio,
    rendered,
)

NUMERATOR = "var(--blue)"  # the first device's colour
CALLS = {
    "eager": [(0.0, 100.0), (60.0, 110.0), (120.0, 105.0)],
    "eager-again": [(1.0, 101.0)],
    "graphs": [(2.0, 400.0), (61.0, 400.0)],
    "profile": [(3.0, 1.0)],
}
ARMS = {"eager": EAGER, "eager-again": EAGER, "graphs": make_arm(), "profile": make_arm()}
NOISE = {"noise": {"numerator": "eager-again", "denominator": "eager", "role": "a_a"}}


def made(**other):
    dataset = make_dataset(**{"arms": ARMS, "contrasts": BUNDLE | NOISE, "calls": CALLS} | other)
    return dataset, make_ledger([dataset], [ratio(1, 4.0, 3.8, 4.2)])


def dots(svg):
    """By colour, the places of the dots."""
    drawn = re.findall(r'<path class="dots" stroke="([^"]+)" d="([^"]+)"/>', svg)
    return {
        colour: [tuple(map(int, place)) for place in re.findall(r"M(\d+) (\d+)h0", path)]
        for colour, path in drawn
    }


def test_each_call_of_the_compared_arms_is_a_dot_at_its_time_and_speed():
    dataset, ledger = made()
    arms = strip_arms(make_index(ledger), dataset, "primary")
    assert arms == {"eager-again": TWIN, "eager": DENOMINATOR, "graphs": NUMERATOR}
    found = dots(strip(dataset, arms))
    assert {colour: len(places) for colour, places in found.items()} == {
        TWIN: 1, DENOMINATOR: 3, NUMERATOR: 2,
    }  # fmt: skip
    (first, _), (middle, _), (last, _) = found[DENOMINATOR]
    assert abs(middle - (first + last) / 2) <= 1
    heights = [y for _, y in found[DENOMINATOR]]
    assert heights[0] > heights[2] > heights[1]  # 100, 105 and 110 tokens a second
    assert {y for _, y in found[NUMERATOR]} == {min(y for all_ in found.values() for _, y in all_)}


def test_the_strip_is_on_the_page_and_in_words_in_its_twin():
    dataset, ledger = made()
    page, markdown = rendered(ledger)
    assert page.count('<path class="dots"') == 3
    index = make_index(ledger)
    words = strip_words(index, dataset, strip_arms(index, dataset, "primary"))
    assert "3 of eager from 100 to 110 tokens a second" in words
    assert f'aria-label="{words}"' in page
    assert "3 of eager from 100 to 110 tokens a second" in markdown


@pytest.mark.parametrize("calls", [{}, {"eager": CALLS["eager"]}])
def test_without_the_time_of_calls_of_both_sides_there_is_no_strip(calls):
    _, ledger = made(calls=calls)
    assert "dots" not in re.sub(r"<style>.*?</style>", "", rendered(ledger)[0], flags=re.DOTALL)


def test_one_call_and_one_speed_are_drawn_all_the_same():
    dataset, ledger = made(calls={"eager": [(0.0, 5.0)], "graphs": [(0.0, 5.0)]})
    found = dots(strip(dataset, strip_arms(make_index(ledger), dataset, "primary")))
    assert [len(places) for places in found.values()] == [1, 1]
