"""Which starts are warm and which are cold: boots of both kinds are never mixed."""

import pandas as pd
import pytest

from cudagraph_lab.observations.compile_cache import first_starts
from cudagraph_lab.records.store import read_record
from tests.read_dataset import read_dataset


def boots(table, cache):
    rows = table[(table["role"] == "startup") & (table["quantity"] == f"boot_{cache}_s")]
    return {(row.arm, row.repeat) for row in rows.itertuples(index=False)}


def table_of(runs):
    return read_dataset(runs.parent.name, runs.glob("*/rep*.json"), {}, {}, {}, {})[1]


def test_boots_of_the_h100_by_what_they_found(shipped):
    table = table_of(shipped / "h100-opt-125m" / "runs")
    assert boots(table, "cold") == {("startup-cold", 1), ("startup-cold", 2)}
    warm = boots(table, "warm")
    # vLLM's log says that these compiled, in a cache that other arms had filled in part.
    assert not warm & {("compiled", 1), ("startup-4-sizes", 1), ("startup-16-sizes", 1)}
    assert {("compiled", 2), ("compiled", 3), ("graphs", 1), ("eager", 1)} <= warm
    # The first process of all found nothing.
    assert ("graphs-profile", 1) not in warm


def test_the_first_process_on_each_machine_found_an_empty_cache(shipped):
    table = table_of(shipped / "h200-opt-125m" / "runs")
    warm = boots(table, "warm")
    # Without graphs and without compilation: 39 s, where its other boots took 8 to 10.
    assert ("eager-again", 1) not in warm
    assert {("eager-again", k) for k in (2, 3, 4, 5)} <= warm
    assert ("startup-16-sizes", 1) not in warm  # the first on the second device
    assert boots(table, "cold") == set()


@pytest.mark.parametrize(("measured", "expected"), [("apart", 1), ("in_turn", 0)])
def test_engines_that_boot_side_by_side_have_no_boots(small_record, measured, expected):
    startup = {
        "spans": [{"name": "boot", "start_s": 0.0, "seconds": 9.0}],
        "compile_seconds": None,
        "compile_cache_was": None,
        "log": None,
        "capture": None,
        "kv_cache_tokens": None,
        "available_kv_cache_bytes": None,
        "model_bytes": None,
    }

    def edit(body):
        body["request"]["measured"] = measured

    for repeat, minute in ((1, 10), (2, 11)):
        time = f"2026-05-04T10:{minute}:00+00:00"
        path = small_record(edit, repeat=repeat, startup=startup, measured_at=time)
    table = table_of(path.parents[1])
    assert isinstance(table, pd.DataFrame)
    assert len(boots(table, "warm")) == expected


def test_of_arms_that_booted_in_sequence_the_first_found_the_cache_empty(small_record):
    def edit(body):
        body["request"] |= {
            "order": ["graphs", "eager"], "measured": "in_turn", "boots": "in_sequence"
        }  # fmt: skip

    records = [
        read_record(
            small_record(
                edit, arm=arm, repeat=repeat, measured_at=f"2026-05-04T10:0{repeat}:00+00:00"
            )
        )
        for repeat in (2, 1)
        for arm in ("eager", "graphs")
    ]
    assert first_starts(records) == {("graphs", 1)}
