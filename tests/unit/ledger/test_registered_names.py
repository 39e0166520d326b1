"""Renaming contrasts changes no verdict: predictions go by the registered name of the role."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.config.contrast import Contrast, Role
from cudagraph_lab.ledger.catalogue import NO_INVERSION, RATIO, STEP_RATIO
from cudagraph_lab.ledger.registered_names import named_here, predicted_as, registered_name
from tests.report_builders import CONTRASTS, shipped_ledger

NAMES = sorted(CONTRASTS)


def numbers_of(names):
    """The numbers of a shipped data set by id, each contrast under another name."""
    return {number.id: number for number in shipped_ledger(names, "h100-factorial").numbers}


def test_renaming_every_contrast_changes_no_number_and_no_verdict():
    # Each contrast takes the name of the next, the worst renaming for whoever goes by names.
    names = dict(zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True))
    before, after = numbers_of({name: name for name in NAMES}), numbers_of(names)
    renamed = {
        number.replace(contrast=names[number.contrast]) if number.contrast else number: found
        for number, found in before.items()
    }
    assert renamed.keys() == after.keys()
    assert any(found.predictions for number, found in after.items() if number.contrast)
    for number, found in renamed.items():
        fields = json.loads(found.model_dump_json(exclude={"id"}))
        assert fields == json.loads(after[number].model_dump_json(exclude={"id"})), str(number)


@pytest.mark.parametrize(
    ("role", "name"), [("primary", "bundle"), ("a_a", "noise"), ("graph", "graph"), ("other", None)]
)
def test_a_role_has_the_name_that_predictions_were_registered_with(role, name):
    assert registered_name(role) == name


def test_a_users_own_name_counts_beside_the_registered_one():
    contrasts = {"switch": Contrast(numerator="graphs", denominator="eager", role="primary")}
    number = RATIO(contrast="switch", batch=8)
    assert predicted_as(number, contrasts) == ["ratio/switch/b8", "ratio/bundle/b8"]


def test_a_name_taken_from_another_role_does_not_count():
    contrasts = {
        "bundle": Contrast(numerator="eager-again", denominator="eager", role="a_a"),
        "switch": Contrast(numerator="graphs", denominator="eager", role="primary"),
    }
    assert predicted_as(RATIO(contrast="bundle", batch=8), contrasts) == ["ratio/noise/b8"]


@given(
    role=st.sampled_from([role for role in get_args(Role) if role != "other"]),
    name=st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True),
)
def test_a_predicted_number_is_found_under_the_name_that_it_has_here(role, name):
    contrasts = {name: Contrast(numerator="a", denominator="b", role=role)}
    for number in (NO_INVERSION(contrast=name), STEP_RATIO(contrast=name, batch=1)):
        registered = number.replace(contrast=registered_name(role))
        assert named_here(registered, contrasts) == number
        assert str(registered) in predicted_as(number, contrasts)
