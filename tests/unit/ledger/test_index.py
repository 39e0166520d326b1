"""The index: numbers are found by quantity and role, whatever a user called things."""

import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.catalogue import RATIO, SPREAD_BETWEEN
from cudagraph_lab.ledger.index import (
    find,
    having,
    make_index,
    ratios,
    short_device,
    short_title,
    with_quantity,
)
from tests.report_builders import make_dataset, make_ledger, make_number, ratio


def test_an_id_occurs_once():
    with pytest.raises(LabError, match="two numbers ratio/bundle/b1"):
        make_index(make_ledger([], [ratio(1, 2.0), ratio(1, 3.0)]))


def test_numbers_are_found_by_id_quantity_and_role():
    numbers = [
        ratio(8, 1.5), ratio(1, 2.0), ratio(1, 1.0, contrast="other"),
        make_number("ratio/bundle/b64", missing="not run", n=0),
        make_number("spread/between/eager/b1", value=0.1, unit="relative"),
    ]  # fmt: skip
    index = make_index(make_ledger([make_dataset()], numbers))
    assert find(index, "made", RATIO(contrast="bundle", batch=8)).value == 1.5
    assert find(index, "made", RATIO(contrast="bundle", batch=9)) is None
    assert [n.value for n in with_quantity(index, "made", SPREAD_BETWEEN)] == [0.1]
    assert list(ratios(index, "made", "primary")) == [1, 8]
    assert [d.name for d in having(index, "primary")] == ["made"]
    assert having(index, "a_a") == []


@pytest.mark.parametrize(
    ("device", "platform", "short"),
    [
        ("NVIDIA H100 80GB HBM3", "cuda", "H100"),
        ("NVIDIA A100-SXM4-80GB", "cuda", "A100"),
        ("AMD EPYC, 2 cores", "cpu", "CPU"),
        ("", "cuda", "made"),
        ("X" * 50, "cuda", "X" * 21 + "…"),
    ],
)
def test_a_device_goes_by_its_short_name(device, platform, short):
    assert short_device(make_dataset(device=device, platform=platform)) == short


def test_titles_tell_data_sets_apart():
    datasets = [
        make_dataset("one", device="NVIDIA L4"),
        make_dataset("two", device="NVIDIA L4"),
        make_dataset("three", device="NVIDIA L4", model="a/b"),
    ]
    index = make_index(make_ledger(datasets, []))
    assert [short_title(index, d) for d in datasets] == ["Set one", "Set two", "L4, b"]
    pair = make_dataset("pair", device="NVIDIA L4", model="a/b", tensor_parallel_size=2)
    index = make_index(make_ledger([*datasets, pair], []))
    assert [short_title(index, d) for d in (datasets[2], pair)] == ["L4, b", "2 x L4, b"]
