"""Several nodes and devices in one data set: a factor, reported; several models: refused."""

import math

import pytest
import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.errors import LabError
from cudagraph_lab.figures.draw import draw_figures
from cudagraph_lab.ledger.build import build_ledger
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.report.page import make_view, render_markdown
from tests.read_dataset import read_dataset

CONFIG = parse_config(
    yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
)
SETTINGS = Settings(seed=CONFIG.seed, restarts_per_day=50, ladder_rungs=2, batch_mix={1: 1})
CONTRASTS = {"bundle": {"numerator": "graphs", "denominator": "eager", "role": "primary"}}


@pytest.fixture
def measured(small_record):
    """Write a repeat that ran on a node, with the seconds of its one timed call."""

    def write(arm, repeat, host, seconds=0.5, device_id=None, device="a processor"):
        def edit(body):
            body["environment"] |= {"host": host, "device_id": device_id, "device": device}
            body["request"]["engine_args"] = {"enforce_eager": arm == "eager"}
            for cell in body["cells"]:
                cell["calls"][1]["seconds"] = seconds

        return small_record(edit, arm=arm, repeat=repeat).parent.parent

    return write


def ledger(runs):
    found = read_dataset("small", runs.glob("*/rep*.json"), {}, CONTRASTS, {}, {})
    built = build_ledger([found], [], {}, SETTINGS, [])
    return found[0], {str(number.id): number for number in built.numbers}


def test_the_spread_between_nodes_is_what_they_differ_beyond_their_repeats(measured):
    for repeat, (host, seconds) in enumerate([("a", 0.5), ("a", 0.5), ("b", 0.55), ("b", 0.55)], 1):
        runs = measured("eager", repeat, host, seconds)
    dataset, numbers = ledger(runs)
    assert dataset.nodes == {"a": {"eager": [1, 2]}, "b": {"eager": [3, 4]}}
    # Two means that differ by log 1.1 are one log 1.1 / sqrt 2 of standard deviation.
    variance = math.log(1.1) ** 2 / 2
    number = numbers["spread/nodes/eager/b1"]
    assert number.value == pytest.approx(math.sqrt(math.exp(variance) - 1), rel=1e-12)
    assert (number.n, number.unit, number.low) == (2, "relative", None)
    assert len(number.files) == 4


def test_the_report_shows_it_where_trust_is_asked_for_and_only_there(measured):
    for repeat, host in enumerate("aabb", 1):
        runs = measured("eager", repeat, host, 0.5 if host == "a" else 0.6)
    assert "between nodes" in page(runs)
    for repeat in range(1, 5):
        runs = measured("eager", repeat, "a")
    assert "between nodes" not in page(runs)


def page(runs):
    found = read_dataset("small", runs.glob("*/rep*.json"), {}, CONTRASTS, {}, {})
    ledger = build_ledger([found], [], {}, SETTINGS, [])
    return render_markdown(make_view(ledger, [drawing for drawing, _ in draw_figures(ledger)]))


def test_nodes_that_differ_less_than_repeats_do_have_no_spread_of_their_own(measured):
    for repeat, (host, seconds) in enumerate([("a", 0.5), ("a", 0.6), ("b", 0.6), ("b", 0.5)], 1):
        runs = measured("eager", repeat, host, seconds)
    number = ledger(runs)[1]["spread/nodes/eager/b4"]
    assert number.value == 0
    assert "set to 0" in number.note


def test_two_devices_of_one_machine_are_two_nodes(measured):
    for repeat, device_id in enumerate(["one", "two", "two"], 1):
        runs = measured("eager", repeat, "a", device_id=device_id)
    dataset, numbers = ledger(runs)
    assert dataset.nodes == {"a/one": {"eager": [1]}, "a/two": {"eager": [2, 3]}}
    assert dataset.hosts == ["a"]
    assert numbers["spread/nodes/eager/b1"].value == 0


def test_where_it_cannot_be_told_the_reason_stands(measured):
    for repeat, host in enumerate("ab", 1):
        measured("eager", repeat, host)
    runs = measured("graphs", 1, "a")
    _, numbers = ledger(runs)
    alone = numbers["spread/nodes/eager/b1"]
    assert (alone.value, alone.n) == (None, 0)
    assert "cannot be told apart" in alone.missing
    assert numbers["spread/nodes/graphs/b1"].missing == "measured on fewer than two nodes"


def test_one_node_is_no_factor(measured):
    for repeat in (1, 2):
        runs = measured("eager", repeat, "a", device_id="one")
    assert not [name for name in ledger(runs)[1] if name.startswith("spread/nodes/")]


def test_arms_that_never_met_on_a_node_are_said_to_be_apart(measured):
    measured("eager", 1, "a")
    runs = measured("graphs", 1, "b")
    (note,) = ledger(runs)[0].notes
    assert note.startswith("bundle: graphs and eager never ran on the same node")
    measured("eager", 2, "b")
    (note,) = ledger(runs)[0].notes
    assert note.startswith("bundle: some repeats of graphs and eager ran on different nodes, so ")
    measured("graphs", 2, "a")
    assert ledger(runs)[0].notes == []


def test_records_that_name_no_host_are_no_node(measured):
    measured("eager", 1, None)
    runs = measured("graphs", 1, None)
    dataset, numbers = ledger(runs)
    assert dataset.nodes == {}
    assert dataset.notes == []
    assert not [name for name in numbers if name.startswith("spread/nodes/")]


def test_nodes_of_two_models_are_not_one_data_set(measured):
    measured("eager", 1, "a", device="NVIDIA L4")
    runs = measured("eager", 2, "b", device="NVIDIA A10")
    with pytest.raises(LabError, match=r"rep2\.json: environment\.device is 'NVIDIA A10', but "):
        ledger(runs)
