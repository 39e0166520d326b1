"""Predictions: well-formed, about the right data sets, and registered before the measurement."""

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cudagraph_lab.design.predictions import (
    AppliesTo,
    Prediction,
    prediction_files,
    read_predictions,
    register,
    registered_hashes,
)
from cudagraph_lab.errors import LabError

ENTRY = """
  - id: a/one
    number: ratio/graph/b1
    applies_to: {platform: cuda}
    value: 1.5
    low: 1.2
    high: 1.8
    unit: x
    source: a guess
"""


def written(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def prediction(**fields):
    entry = {"id": "a/one", "number": "x", "applies_to": {}, "unit": "x", "source": "a guess"}
    return Prediction.model_validate(entry | {"value": 1.5, "low": 1.2, "high": 1.8} | fields)


def test_the_shipped_predictions_are_read_and_carry_unique_ids():
    predictions = read_predictions(prediction_files(None))
    assert len(predictions) > 30
    assert len({p.id for p in predictions}) == len(predictions)
    # A pattern with brackets would not be recognised as one by those who look for * and ?.
    assert not [p.id for p in predictions if "[" in p.number]


def test_own_predictions_come_after_the_shipped_ones(tmp_path):
    own = str(written(tmp_path, "predictions:" + ENTRY))
    assert read_predictions(prediction_files(own))[-1].id == "a/one"


def test_a_file_that_is_not_there_is_named_with_its_key():
    with pytest.raises(LabError, match=r"config: own_predictions: .*mine/predictions.yaml"):
        prediction_files("mine/predictions.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "just text",
        "predictions: [",
        "predictions: 5",
        "prediction: []",
        "predictions: {a: 1}",
        "predictions: text",
        "a: \x07",
    ],
)
def test_what_is_no_list_of_predictions_ends_in_one_line_with_the_file(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(LabError) as caught:
        read_predictions([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_ends_in_one_line(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(LabError, match=r"own\.yaml"):
        read_predictions([path])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("value: 1.5", "value: 1.9"), "low <= value <= high"),
        (("low: 1.2", "low: 1.6"), "low <= value <= high"),
        (("    low: 1.2\n", ""), "with its bounds"),
        (("high: 1.8", "high: null"), "with its bounds"),
        (("value: 1.5", "value: true"), "no bounds"),
        (("unit: x", "units: x"), "unit"),
        (("{platform: cuda}", "{platfrom: cuda}"), "applies_to.platfrom"),
        (("id: a/one", "id: A One"), "id"),
        (("    source: a guess\n", ""), "source"),
    ],
)
def test_a_malformed_entry_is_named_with_file_and_reason(tmp_path, change, why):
    path = written(tmp_path, "predictions:" + ENTRY.replace(*change))
    with pytest.raises(LabError) as caught:
        read_predictions([path])
    message = str(caught.value)
    assert message.startswith(f"{path}: prediction ")
    assert why in message
    assert "\n" not in message


def test_an_id_occurs_once_over_all_files(tmp_path):
    path = written(tmp_path, "predictions:" + ENTRY + ENTRY)
    with pytest.raises(LabError, match=r"own\.yaml: prediction a/one: this id occurs twice"):
        read_predictions([path])
    shipped = prediction_files(None)[0]
    first = read_predictions([shipped])[0].id
    path = written(tmp_path, "predictions:" + ENTRY.replace("a/one", first))
    with pytest.raises(LabError, match="occurs twice"):
        read_predictions([shipped, path])


def test_a_register_holds_every_hash_and_the_time(tmp_path):
    path = tmp_path / "predictions.registered.json"
    one, two = prediction(), prediction(id="a/two", value=True, low=None, high=None)
    register([one, two], "some-data", path)
    hashes = {"a/one": one.sha256(), "a/two": two.sha256()}
    assert registered_hashes(path, "2999-01-01T00:00:00+00:00") == hashes
    document = json.loads(path.read_text())
    assert document["dataset"] == "some-data"
    assert document["registered_at"].endswith("+00:00")


def test_a_register_made_after_the_first_run_registers_nothing(tmp_path):
    path = tmp_path / "predictions.registered.json"
    register([prediction()], "some-data", path)
    assert registered_hashes(path, "2020-01-01T00:00:00+00:00") == {}
    assert registered_hashes(path, None) == {}  # published data were never measured here


def test_no_register_registers_nothing_and_a_broken_one_is_refused(tmp_path):
    path = tmp_path / "predictions.registered.json"
    assert registered_hashes(path, "2999-01-01T00:00:00+00:00") == {}
    for text in ("", "{", "[]", '{"predictions": 3}', "null"):
        path.write_text(text)
        with pytest.raises(LabError, match=r"predictions\.registered\.json: not a register"):
            registered_hashes(path, "2999-01-01T00:00:00+00:00")


@given(
    st.sampled_from(["number", "value", "low", "high", "unit", "source", "note", "in_sample_for"]),
    st.floats(1.3, 1.7).filter(lambda x: x != 1.5),
)
def test_whatever_changes_the_hash_changes(field, number):
    values = {"value": number, "low": number - 0.2, "high": number + 0.2, "in_sample_for": ["l4"]}
    changed = prediction(**{field: values.get(field, f"other {number}")})
    assume(getattr(changed, field) != getattr(prediction(), field))
    assert changed.sha256() != prediction().sha256()
    assert prediction().sha256() == prediction().sha256()


def test_an_open_bound_is_another_prediction_than_any_finite_one():
    hashes = {prediction(high=high).sha256() for high in (1.8, 1e9, math.inf)}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("to", "speaks"),
    [
        ({}, True),
        ({"platform": "cuda"}, True),
        ({"platform": "cpu"}, False),
        ({"device": "*H100*"}, True),
        ({"device": "*h100*"}, False),  # names are compared as they are written
        ({"device": "*L4*"}, False),
        ({"except_device": "*H100*"}, False),
        ({"except_device": "*A100*"}, True),
        ({"model": "facebook/*"}, True),
        ({"dataset": "l4-*"}, False),
        ({"min_memory_gib": 70}, True),
        ({"min_memory_gib": 79.7}, False),
        ({"max_memory_gib": 69.99}, False),
        ({"min_memory_gib": 79.6, "max_memory_gib": 79.6}, True),
        ({"platform": "cuda", "device": "*L4*"}, False),  # all must fit
    ],
)
def test_which_data_sets_a_prediction_speaks_about(to, speaks):
    about = ("h100-opt-125m", "cuda", "NVIDIA H100 80GB HBM3", "facebook/opt-125m", 79.6)
    assert prediction(applies_to=to).speaks_about(*about) is speaks


def test_of_a_device_of_unknown_memory_nothing_with_a_memory_bound_is_said():
    about = ("d", "cpu", "a processor", "m", None)
    assert prediction(applies_to={}).speaks_about(*about)
    assert not prediction(applies_to={"min_memory_gib": 70}).speaks_about(*about)
    assert not prediction(applies_to={"max_memory_gib": 70}).speaks_about(*about)


def test_the_two_rules_for_small_and_large_devices_leave_no_gap_and_no_overlap():
    full = [
        p
        for p in read_predictions(prediction_files(None))
        if p.number == "capture/shapes/full" and p.id.startswith("vllm/")
    ]
    for device, memory_gib, value in (
        ("NVIDIA L4", 22.0, 35),
        ("NVIDIA H100 80GB HBM3", 79.6, 51),
        ("NVIDIA A100-SXM4-80GB", 79.3, 35),
        ("NVIDIA A100-SXM4-40GB", 39.4, 35),
    ):
        said = [p.value for p in full if p.speaks_about("d", "cuda", device, "m", memory_gib)]
        assert said == [value], device


def test_unknown_keys_of_applies_to_are_refused():
    with pytest.raises(ValueError, match="extra"):
        AppliesTo.model_validate({"gpu": "*"})
