"""What speculation must yield to pay: from steps of known length to the ledger, page and figure."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.figures.draw import draw_figure
from cudagraph_lab.ledger.build import build_ledger
from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.ledger.quantities.speculation import speculation_results
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.throughputs import read_throughputs
from cudagraph_lab.observations.table import COLUMNS
from tests.report_builders import BUNDLE, make_arm, make_dataset, told, words_of

K = 3
DRAFT = {"speculative_config": {"method": "draft_model", "model": "x", "num_speculative_tokens": K}}
EAGER, GRAPHS = {"enforce_eager": True}, {"enforce_eager": False}
ARMS = {
    "eager": make_arm(engine_args=EAGER),
    "graphs": make_arm(engine_args=GRAPHS),
    "spec-eager": make_arm(engine_args=EAGER | DRAFT),
    "spec-graphs": make_arm(engine_args=GRAPHS | DRAFT),
}
CONTRASTS = {
    **BUNDLE,
    "drafts-eager": {"numerator": "spec-eager", "denominator": "eager", "role": "speculation"},
    "drafts-graphs": {"numerator": "spec-graphs", "denominator": "graphs", "role": "speculation"},
}
STEPS = {"eager": 12.0, "graphs": 6.0, "spec-eager": 36.0, "spec-graphs": 12.0}
SHIFTS = (0.999, 1.0, 1.001)  # of a repeat, which all arms share


def dataset(**fields):
    arms = {name: ARMS[name] for name in fields.pop("arms", ARMS)}
    facts = {"contrasts": CONTRASTS, "batch_sizes": [1, 8], "measured": "in_turn"} | fields
    return make_dataset("drafts", arms=arms, weights="dummy", **facts)


def table(steps, *, noise=0.0, arms=ARMS, batches=(1, 8), profile=None):
    """Seconds of a step: by arm, times the repeat's shift; `noise` parts one arm's repeats."""
    rows = []
    for place, arm in enumerate(arms):
        for batch in batches:
            for repeat, shift in enumerate(SHIFTS, start=1):
                sign = -1 if arm.startswith("spec") else 1
                own = 1 + noise * (repeat - 2) * sign + 1e-4 * (place * repeat % 3)
                step = steps[arm] * shift * own / 1e3
                rows.append((arm, repeat, batch, "timed", 1, "throughput", batch / step))
                rows.append((arm, repeat, batch, "timed", 1, "decode_s_per_step", step))
                if arm.startswith("spec"):
                    rows.append((arm, repeat, batch, "timed", 1, "accepted_share", 0.0))
                    rows.append((arm, repeat, batch, "timed", 1, "draft_replayed_share", 0.0))
                share = float("graphs" in arm)
                rows.append((arm, repeat, batch, "timed", 1, "full_share", share))
            rows += [
                (arm, 1, batch, "profile", 1, quantity, value)
                for quantity, value in (profile or {}).get(arm, {}).items()
            ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"batch": "Int64"})


def found(facts, observed):
    known = read_throughputs(facts, observed, decode_alone=True)
    return {str(result.id): result for result in speculation_results(facts, known)}


def test_a_step_with_drafts_over_one_without_is_what_it_must_yield():
    results = found(dataset(), table(STEPS))
    eager = results["speculation/tokens_to_pay/spec-eager/b8"]
    graphs = results["speculation/tokens_to_pay/spec-graphs/b8"]
    assert eager.value == pytest.approx(3.0, rel=1e-3)
    assert graphs.value == pytest.approx(2.0, rel=1e-3)
    assert graphs.low < graphs.value < graphs.high
    assert set(graphs.arms) == {"graphs", "spec-graphs"}
    over = results["speculation/eager_over_graphs/spec-graphs/b8"]
    assert over.value == pytest.approx(1.5, rel=1e-3)
    claim = results["speculation/graphs_need_less/spec-graphs/b8"]
    assert (claim.value, claim.outcome) == (True, "supported")


@pytest.mark.parametrize(
    ("step", "noise", "holds", "outcome"),
    [
        (12.0, 0.0, True, "supported"),
        (30.0, 0.0, False, "contradicted"),
        (23.9, 0.2, True, "not settled"),
        (24.1, 0.2, False, "not settled"),
    ],
)
def test_beyond_all_drafts_accepted_it_cannot_pay(step, noise, holds, outcome):
    results = found(dataset(), table(STEPS | {"spec-graphs": step}, noise=noise))
    can = results["speculation/can_pay/spec-graphs/b1"]
    assert (can.value, can.outcome) == (holds, outcome)
    assert f"at most {1 + K} tokens" in can.note


@given(st.lists(st.floats(1.0, 100.0), min_size=4, max_size=4))
def test_eager_over_graphs_is_the_quotient_of_both(steps):
    named = dict(zip(ARMS, steps, strict=True))
    results = found(dataset(batch_sizes=[1]), table(named, batches=(1,)))
    needs = [results[f"speculation/tokens_to_pay/{arm}/b1"].value for arm in ARMS if "spec" in arm]
    over = results["speculation/eager_over_graphs/spec-graphs/b1"]
    assert over.value == pytest.approx(needs[0] / needs[1])
    assert results["speculation/graphs_need_less/spec-graphs/b1"].value == (over.value > 1)


def test_an_arm_that_was_not_run_has_no_number_and_the_reason():
    arms = ["eager", "graphs", "spec-graphs"]
    results = found(dataset(arms=arms), table(STEPS, arms=arms))
    lacking = results["speculation/tokens_to_pay/spec-eager/b1"]
    assert (lacking.value, lacking.missing) == (None, "arm 'spec-eager' was not run")
    assert "speculation/tokens_to_pay/spec-graphs/b1" in results
    assert results["speculation/eager_over_graphs/spec-graphs/b1"].value is None


def ledger_of(*pairs):
    settings = Settings(seed=0, restarts_per_day=50, ladder_rungs=2, batch_mix={1: 1, 8: 1})
    return build_ledger(list(pairs), [], {}, settings, [])


PROFILE = {
    "graphs": {"device_busy_s_per_step": 5.5e-3},
    "spec-graphs": {"device_busy_s_per_step": 9e-3, "draft_busy_s_per_step": 3e-3},
}


def test_the_page_says_from_how_many_tokens_it_pays_and_what_was_accepted():
    observed = table(STEPS, noise=0.02, profile=PROFILE)
    html, markdown = told(ledger_of((dataset(), observed)))
    section = html[html.index('<section id="speculation"') :]
    words = words_of(re.sub(r"</section>.*", "</section>", section, flags=re.DOTALL))
    assert "pays once a step brings each request, on average, more than 3.00 tokens (2.7" in words
    assert "in spec-eager and 2.00 tokens (1.8" in words
    assert "Eager needs 1.50" in words
    assert "drafting costs more than it saves" not in words
    assert "spec-graphs: the target replays graphs in 100% of its steps, the draft in 0%" in words
    assert "the draft’s kernels are launched one by one" in words
    assert "spec-eager: the target" not in words
    assert "0% of the draft tokens were accepted; the weights are random" in words
    assert "drafting pays once a step" in markdown


def test_the_page_says_where_no_acceptance_pays():
    html, _ = told(ledger_of((dataset(), table(STEPS | {"spec-eager": 60.0}))))
    assert "even where every draft token is accepted: spec-eager at batch 1" in words_of(html)


def test_a_series_of_speculation_is_in_the_section_and_nowhere_else():
    facts = dataset(series="speculation")
    ledger = ledger_of((facts, table(STEPS, noise=0.02, profile=PROFILE)))
    kinds = {number.id.quantity.template.partition("/")[0] for number in ledger.numbers}
    assert kinds == {"step", "step_ratio", "speculation", "replay", "profile"}
    html, _ = told(ledger)
    assert '<section id="speculation"' in html
    assert "pays once a step brings each request, on average, more than 3.00 tokens" in words_of(
        html
    )


def test_without_such_a_contrast_there_is_no_section():
    facts = dataset(contrasts=BUNDLE)
    html, markdown = told(ledger_of((facts, table(STEPS))))
    assert 'id="speculation"' not in html
    assert "drafting pays" not in markdown


def test_the_bars_are_the_steps_and_what_the_gpu_works_in_them():
    ledger = ledger_of((dataset(), table(STEPS, profile=PROFILE)))
    drawing, figure = draw_figure(make_index(ledger), "speculation")
    first = figure.axes[0]
    bars = [bar for bar in first.patches if isinstance(bar, Rectangle)]
    widths = sorted(round(bar.get_width(), 2) for bar in bars if bar.get_width())
    assert widths == pytest.approx([3.0, 5.5, 6.0, 9.0, 12.0, 12.0, 36.0], rel=0.01)
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == ["eager", "spec-eager", "graphs", "spec-graphs"]
    assert "spec-graphs, batch 1: a step takes 12.0" in drawing.finding
    assert ("drafts", "profile/draft_busy_s_per_step/spec-graphs/b1") in drawing.numbers


def test_speculation_is_a_role_of_a_contrast():
    assert Contrast.model_validate(CONTRASTS["drafts-eager"]).role == "speculation"
