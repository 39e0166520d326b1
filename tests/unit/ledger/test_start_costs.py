"""What graphs cost at a start, from made-up boots; break-even and the loss of a day follow."""

import math

import pandas as pd
import pytest

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.quantities.costs import break_even_results, tax_results
from cudagraph_lab.ledger.quantities.savings import launch_cost, read_savings, saving_results
from cudagraph_lab.ledger.quantities.start_costs import read_start_costs, start_results
from cudagraph_lab.ledger.throughputs import read_throughputs
from cudagraph_lab.models.launch import Profile
from cudagraph_lab.observations.table import COLUMNS
from tests.report_builders import EAGER, make_arm, make_dataset

HEADLINE = Contrast(numerator="graphs", denominator="eager", role="primary")
SPREAD = (0.99, 1.0, 1.01)
COLD = make_arm(purpose="startup")
EAGER_COLD = make_arm(purpose="startup", engine_args={"enforce_eager": True})


def startup(arm, quantity, values):
    return [(arm, k, None, "startup", 1, quantity, v) for k, v in enumerate(values, start=1)]


def steps(arm, seconds, spread=SPREAD):
    rows = []
    for repeat, factor in enumerate(spread, start=1):
        step = seconds * factor
        rows.append((arm, repeat, 1, "timed", 1, "throughput", 1 / step))
        rows.append((arm, repeat, 1, "timed", 1, "decode_s_per_step", step))
    return rows


BOOTS = [
    *startup("eager", "boot_warm_s", [10 * f for f in SPREAD]),
    *startup("graphs", "boot_warm_s", [16 * f for f in SPREAD]),
    *startup("graphs", "capture_seconds", [3 * f for f in SPREAD]),
]
STEPS = [*steps("eager", 0.005), *steps("graphs", 0.002)]


def numbers(rows, arms=None, **fields):
    arms = {"eager": EAGER, "graphs": make_arm()} if arms is None else arms
    dataset = make_dataset(arms=arms, batch_sizes=[1], **fields)
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"batch": "Int64"})
    known = read_throughputs(dataset, table)
    savings = read_savings(dataset, HEADLINE, known, 1)
    starts = read_start_costs(dataset, HEADLINE, table, 1)
    results = [
        *start_results(starts),
        *tax_results(dataset, HEADLINE, {}, starts, 60),
        *saving_results(dataset, HEADLINE, savings),
        *break_even_results(dataset, HEADLINE, starts, savings),
    ]
    if 1 in savings:
        results.append(launch_cost(savings[1], Profile(100, 0.0, 0.0)))
    return {str(result.id): result for result in results}


def test_a_warm_start_costs_its_boot_minus_the_eager_boot():
    found = numbers(BOOTS + STEPS)
    cost = found["start_cost/warm"]
    assert cost.value == pytest.approx(6, rel=1e-3)
    assert cost.low < 6 < cost.high
    assert (cost.n, cost.note) == (3, None)
    assert found["start_cost/warm/capture_share"].value == pytest.approx(0.5, rel=1e-3)
    assert found["deploy/tax_min_per_day/warm"].value == pytest.approx(6, rel=1e-3)
    assert found["break_even/steps/warm/b1"].value == pytest.approx(2000, rel=1e-3)
    assert found["break_even/seconds/warm/b1"].value == pytest.approx(4, rel=1e-3)
    steps = found["break_even/steps/warm/b1"]
    assert steps.low < 2000 < steps.high
    assert found["launches/us_per_launch/b1"].value == pytest.approx(30, rel=1e-3)
    assert found["launches/us_per_launch/b1"].low < 30 < found["launches/us_per_launch/b1"].high
    assert "start of graphs with an empty compile cache" in found["start_cost/cold"].missing


def test_equal_arms_enter_the_cost_and_the_saving():
    more = [
        *startup("eager-again", "boot_warm_s", [10 * math.e] * 3),
        *steps("eager-again", 0.005 * math.e),
    ]
    arms = {"eager": EAGER, "eager-again": EAGER, "graphs": make_arm()}
    found = numbers(BOOTS + STEPS + more, arms)
    middle = math.sqrt(math.e)  # between the two arms, on logs
    assert found["start_cost/warm"].value == pytest.approx(16 - 10 * middle, rel=1e-3)
    assert found["saved_ms_per_step/b1"].value == pytest.approx(5 * middle - 2, rel=1e-3)


def test_a_cold_start_without_a_cold_eager_one_is_a_bound():
    cold = [
        *startup("startup-cold", "boot_cold_s", [55, 59]),
        *startup("startup-cold", "capture_seconds", [3, 4]),
    ]
    arms = {"eager": EAGER, "graphs": make_arm(), "startup-cold": COLD}
    found = numbers(BOOTS + STEPS + cold, arms)
    cost = found["start_cost/cold"]
    assert cost.value == pytest.approx(math.sqrt(55 * 59) - 10, rel=1e-3)
    assert cost.n == 2
    assert cost.note.startswith("at most: eager was not started with an empty cache")
    assert "at most" in found["break_even/steps/cold/b1"].note
    assert "at most" in found["start_cost/cold/capture_share"].missing
    # The warm cost is not touched by it.
    assert found["start_cost/warm"].value == pytest.approx(6, rel=1e-3)

    arms["eager-cold"] = EAGER_COLD
    both = [*cold, *startup("eager-cold", "boot_cold_s", [38, 40])]
    cost = numbers(BOOTS + STEPS + both, arms)["start_cost/cold"]
    assert cost.value == pytest.approx(math.sqrt(55 * 59) - math.sqrt(38 * 40), rel=1e-3)
    assert cost.note is None


def test_arms_in_turn_have_a_cost_only_by_starts_of_their_own():
    turns = {"kv_cache_memory_bytes": 1}
    arms = {
        "eager": make_arm(engine_args={"enforce_eager": True, **turns}),
        "graphs": make_arm(engine_args=turns),
    }
    found = numbers(STEPS, arms, measured="in_turn")
    for name in ("start_cost/warm", "deploy/tax_min_per_day/cold", "break_even/steps/warm/b1"):
        assert "booted side by side" in found[name].missing
    assert found["saved_ms_per_step/b1"].value == pytest.approx(3, rel=1e-3)

    arms |= {"boot-eager": EAGER_COLD, "boot-graphs": COLD}
    own = [
        *startup("boot-eager", "boot_warm_s", [9, 10]),
        *startup("boot-graphs", "boot_warm_s", [15, 16]),
    ]
    cost = numbers(STEPS + own, arms, measured="in_turn")["start_cost/warm"]
    assert cost.value == pytest.approx(math.sqrt(240) - math.sqrt(90), rel=1e-3)


def test_what_has_no_interval_says_why():
    one_boot = [
        *startup("eager", "boot_warm_s", [10]),
        *startup("graphs", "boot_warm_s", [16]),
    ]
    steps_of_one = [*steps("eager", 0.005, [1.0]), *steps("graphs", 0.002, [1.0])]
    found = numbers(one_boot + steps_of_one)
    cost, paid = found["start_cost/warm"], found["break_even/steps/warm/b1"]
    assert (cost.value, cost.low, cost.high, cost.n) == (pytest.approx(6), None, None, 1)
    assert (paid.value, paid.low) == (pytest.approx(2000), None)
    assert "no interval" in paid.note
    assert found["launches/us_per_launch/b1"].low is None
    unknown = numbers(steps_of_one)["start_cost/warm"]
    assert unknown.missing == "the seconds of the boots are not known"


@pytest.mark.parametrize(
    ("boot", "step", "reason"),
    [
        (9, 0.002, "a start with graphs took no longer than one without"),
        (16, 0.006, "the graph arm saves nothing per step at batch 1"),
        (16, 0.00499, "what a step saves does not differ from 0 by more than its interval"),
    ],
)
def test_where_nothing_is_paid_back_there_is_no_break_even(boot, step, reason):
    rows = [
        *startup("eager", "boot_warm_s", [10 * f for f in SPREAD]),
        *startup("graphs", "boot_warm_s", [boot * f for f in SPREAD]),
    ]
    # The spreads of the two steps run against each other, so that their difference has one.
    found = numbers(rows + steps("eager", 0.005) + steps("graphs", step, SPREAD[::-1]))
    assert found["break_even/steps/warm/b1"].missing == reason


def test_a_break_even_does_not_begin_before_the_start():
    rows = [
        *startup("eager", "boot_warm_s", [8, 10, 12]),
        *startup("graphs", "boot_warm_s", [9, 12, 14]),
    ]
    found = numbers(rows + STEPS)
    assert found["start_cost/warm"].low < 0 < found["start_cost/warm"].value
    assert found["break_even/steps/warm/b1"].low == 0
