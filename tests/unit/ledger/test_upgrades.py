"""What an upgrade changes, from made-up runs of known truth."""

import pandas as pd
import pytest

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.dataset_results import dataset_results
from cudagraph_lab.ledger.quantities.upgrades import upgrade_results
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.throughputs import alike, read_throughputs
from cudagraph_lab.observations.table import COLUMNS
from tests.report_builders import make_arm, make_dataset

OLD, NEW = {"vllm": "0.22.1"}, {"vllm": "0.26.0"}
GIVEN = {"kv_cache_memory_bytes": 2}
ARMS = {
    "graphs": make_arm(engine_args=GIVEN, **OLD),
    "graphs-new": make_arm(engine_args=GIVEN, **NEW),
    "start": make_arm(purpose="startup", engine_args={"kv_cache_memory_bytes": None}, **OLD),
    "start-new": make_arm(purpose="startup", engine_args={"kv_cache_memory_bytes": None}, **NEW),
}
UPGRADE = {"up": Contrast(numerator="graphs-new", denominator="graphs", role="upgrade")}
TRUTH = {"span_boot_s": 0.5, "span_capture_s": 2.0, "capture_gib": 1.25, "kv_cache_tokens": 1.0}


def timed(arm, factor):
    return [
        (arm, repeat, batch, "timed", call, quantity, value * factor * shared * wobble)
        for repeat, shared in ((1, 1.0), (2, 1.3), (3, 0.8))
        for call, wobble in ((1, 0.999), (2, 1.001))
        for batch in (1, 8)
        for quantity, value in (("throughput", 100.0), ("first_token_s", 0.01))
    ]


def started(arm, factors):
    return [
        (arm, repeat, None, "startup", 1, quantity, 10.0 * factor * shared)
        for repeat, shared in ((1, 1.0), (2, 1.01))
        for quantity, factor in factors.items()
    ]


def results(rows, arms=ARMS, contrasts=UPGRADE, **fields):
    fields = {"measured": "in_turn", "batch_sizes": [1, 8]} | fields
    dataset = make_dataset(arms=arms, contrasts=contrasts, **fields)
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"batch": "Int64"})
    known = read_throughputs(dataset, table)
    return {
        str(r.id): r for name in contrasts for r in upgrade_results(dataset, name, table, known)
    }


TIMED = [*timed("graphs", 1.0), *timed("graphs-new", 1.1)]
SETTINGS = Settings(seed=1, restarts_per_day=1.0, ladder_rungs=3, batch_mix={1: 1})
STARTED = [*started("start", dict.fromkeys(TRUTH, 1.0)), *started("start-new", TRUTH)]


def test_the_newer_version_stands_over_the_older_in_first_token_start_and_memory():
    found = results([*TIMED, *STARTED])
    assert {name: round(number.value, 6) for name, number in found.items()} == {
        "upgrade/first_token/up/b1": 1.1,
        "upgrade/first_token/up/b8": 1.1,
        "upgrade/startup/boot/up": 0.5,
        "upgrade/startup/capture/up": 2.0,
        "upgrade/capture_gib/up": 1.25,
        "upgrade/kv_tokens/up": 1.0,
    }
    assert found["upgrade/startup/boot/up"].arms == ["start-new", "start"]
    # What a repeat does to both arms alike cancels.
    first = found["upgrade/first_token/up/b1"]
    assert (first.exact, first.low) == (True, None) or first.high - first.low < 0.01


def test_without_a_start_alone_the_start_up_is_missing_with_what_to_add():
    found = results(TIMED)
    assert "graphs-new" in found["upgrade/startup/boot/up"].missing
    assert "arm of purpose startup" in found["upgrade/startup/boot/up"].missing


def test_a_cache_whose_size_was_given_says_nothing_of_its_tokens():
    arms = {name: arm | {"engine_args": GIVEN} for name, arm in ARMS.items()}
    missing = results([*TIMED, *STARTED], arms)["upgrade/kv_tokens/up"].missing
    assert missing.endswith("the size of the KV cache was given")


@pytest.mark.parametrize("role", ["primary", "a_a", "other"])
def test_only_a_contrast_of_versions_is_an_upgrade(role):
    contrast = UPGRADE["up"].model_copy(update={"role": role})
    assert results([*TIMED, *STARTED], contrasts={"up": contrast}) == {}


def test_arms_of_two_versions_or_with_other_variables_never_count_as_one():
    arms = {
        "a": make_arm(**OLD),
        "again": make_arm(**OLD),
        "new": make_arm(**NEW),
        "other": make_arm(env={"VLLM_USE_V2_MODEL_RUNNER": "1"}, **OLD),
    }
    dataset = make_dataset(arms=arms, contrasts={}, batch_sizes=[1])
    measured = {arm: {1: {1: 0.0}} for arm in arms}
    assert alike(dataset, "a", measured) == ["a", "again"]
    assert alike(dataset, "new", measured) == ["new"]


def test_of_a_series_of_upgrades_only_what_two_versions_are_asked_is_computed():
    dataset = make_dataset(
        arms=ARMS, contrasts=UPGRADE, measured="in_turn", batch_sizes=[1, 8], series="upgrade"
    )
    table = pd.DataFrame([*TIMED, *STARTED], columns=COLUMNS).astype({"batch": "Int64"})
    kinds = {
        result.id.quantity.template.partition("/")[0]
        for result in dataset_results(dataset, table, SETTINGS)
    }
    assert kinds == {"ratio", "upgrade"}
