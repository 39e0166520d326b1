"""The ratio that is watched while arms take turns: by the arithmetic of the ledger."""

import math

import pytest

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.job import job_of
from cudagraph_lab.measure.so_far import earlier_rates, ratio_so_far
from cudagraph_lab.statistics.locations import t_quantile

ARMS = ("graphs", "eager")


def test_within_one_repeat_there_is_no_interval_however_many_rounds():
    said = ratio_so_far(ARMS, {1: [20.0] * 50}, {1: [8.0, 12.5] * 25})
    assert said == "graphs/eager 2.00x, no interval yet"


def test_the_interval_is_that_of_the_repeats_that_both_have():
    logs = {1: math.log(2.0), 2: math.log(2.2), 3: math.log(2.5)}
    numerator = {k: [10 * math.exp(log)] for k, log in logs.items()} | {4: [9.0]}
    said = ratio_so_far(ARMS, numerator, {k: [10.0] for k in logs})
    mean = math.fsum(logs.values()) / 3
    spread = math.sqrt(math.fsum((log - mean) ** 2 for log in logs.values()) / 2 / 3)
    ends = [math.exp(mean + sign * t_quantile(2) * spread) for sign in (-1, 1)]
    assert said == f"graphs/eager {math.exp(mean):.2f}x ({ends[0]:.2f} to {ends[1]:.2f})"


def test_earlier_repeats_are_those_that_are_believed_and_went_well(small_record):
    first = small_record(repeat=1)
    small_record(repeat=2)
    damaged = small_record(repeat=4)
    damaged.write_text(damaged.read_text()[:500])
    found = earlier_rates(first, "small", 4)
    assert found == {2: [8 * 4 / 0.5]}
    assert earlier_rates(first, "small", 2) == {}
    assert earlier_rates(first.with_name("rep3.json"), "small", 1) == {1: [16.0], 2: [16.0]}


@pytest.mark.parametrize(
    ("headline", "arms", "watched"),
    [
        ("bundle", ["compiled", "eager", "graphs"], ("graphs", "eager")),
        ("graph", ["compiled", "eager", "graphs"], ("graphs", "compiled")),
        # On a CPU there are no graphs: the first contrast of what is there.
        ("bundle", ["compiled", "eager"], ("compiled", "eager")),
        ("bundle", ["eager"], None),
    ],
)
def test_the_arms_of_the_headline_are_watched_where_they_are_in_the_job(
    config, headline, arms, watched
):
    plan = Config.model_validate(config | {"headline": headline})
    assert job_of(plan, "cuda", "d", arms, 1).watched == watched
