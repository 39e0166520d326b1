"""Ids are made and read in the catalogue alone."""

from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.ledger.catalogue import (
    FADE,
    NO_INVERSION,
    POSITION_OF_B8,
    QUANTITIES,
    RATIO,
    THROUGHPUT,
    parse,
)

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)


@given(st.sampled_from(QUANTITIES), st.data())
def test_an_id_is_read_as_what_was_written(quantity, data):
    numbers = st.integers(1, 9999)
    keys = {
        k: data.draw(numbers if k in ("batch", "to", "tp") else NAMES) for k in quantity.key_names
    }
    text = str(quantity(**keys))
    assert str(parse(text)) == text
    if quantity.key_names and "{pair}" not in quantity.template:
        assert dict(parse(text).keys) == keys or parse(text).quantity is not quantity


@pytest.mark.parametrize("name", sorted({name for q in QUANTITIES for name in q.computed_by}))
def test_what_computes_a_quantity_is_a_function_of_the_package(name):
    module, _, function = name.rpartition(".")
    assert callable(getattr(import_module(f"cudagraph_lab.{module}"), function))


def test_keys_are_attributes():
    number = parse("ratio/bundle/b8")
    assert (number.quantity, number.contrast, number.batch, number.arm) == (
        RATIO,
        "bundle",
        8,
        None,
    )


def test_what_is_misspelt_is_refused():
    with pytest.raises(ValueError, match="ratios/bundle"):
        parse("ratios/bundle/b8")
    with pytest.raises(TypeError, match="arm, batch"):
        THROUGHPUT(contrast="bundle", batch=8)


def test_a_check_of_the_measurement_has_a_speed_up_and_no_shape():
    for role in ("a_a", "observer", "piecewise"):
        assert RATIO.is_for(role)
        assert not any(q.is_for(role) for q in (FADE, NO_INVERSION, POSITION_OF_B8))
    of_upgrades = {q for q in QUANTITIES if q.template.startswith("upgrade/")}
    assert len(of_upgrades) == 4
    assert [q for q in QUANTITIES if not q.is_for("primary")] == [
        q for q in QUANTITIES if q in of_upgrades
    ]
    assert not any(q.is_for("upgrade") for q in (FADE, NO_INVERSION, POSITION_OF_B8))
