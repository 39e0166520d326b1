"""Which data sets are shipped alone, and which the rule of the others leaves out."""

import re

import pytest

from cudagraph_lab.design import datasets
from cudagraph_lab.design.datasets import pattern_without, shipped_alone
from cudagraph_lab.errors import LabError


def test_what_was_or_will_be_measured_here_is_not_shipped_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = tmp_path / "results" / "h100-turns" / "runs" / "eager" / "rep1.json"
    record.parent.mkdir(parents=True)
    names = ["l4-published", "h100-turns", "mine"]
    # A directory alone is no record.
    assert shipped_alone(names, {}) == names
    record.write_text("{}")
    assert shipped_alone(names, {}) == ["l4-published", "mine"]
    assert shipped_alone(names, {"mine"}) == ["l4-published"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("l4", False),
        ("h100.turns", False),
        ("l4-again", True),  # begins as one of them
        ("h100-turns", True),  # a dot stands for itself
        ("mine", True),
        ("../up", False),
    ],
)
def test_the_pattern_is_of_every_data_set_but_those(name, found):
    pattern = pattern_without(["l4", "h100.turns"])
    path = rf"results/(?P<dataset>{pattern})/observations\.csv"
    assert (re.fullmatch(path, f"results/{name}/observations.csv") is not None) == found


def test_the_pattern_without_names_is_of_every_data_set():
    assert re.fullmatch(pattern_without([]), "l4-published")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notes:\n  - a part: and another\n", r"notes\.0: Input should be a valid string"),
        ("titel: H100\n", r"titel: Extra inputs"),
    ],
)
def test_a_description_that_is_none_is_told_in_one_line(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dataset.yaml").write_text(text)
    with pytest.raises(LabError, match=rf"mine/dataset\.yaml: {said}"):
        datasets.description_of("mine")
