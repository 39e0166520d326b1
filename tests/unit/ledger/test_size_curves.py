"""The curves over model size: where they fall to a level, and that extrapolate says the same."""

import pytest

from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.extrapolations import extrapolate, pose
from cudagraph_lab.ledger.hosts import read_measured
from cudagraph_lab.ledger.size_curves import QUICK, QUICK_US, crossing, curve_numbers


@pytest.fixture(scope="module")
def numbers() -> dict[str, Number]:
    datasets = [read_measured(name) for name in ("l4-published", "h100-turns", "h200-opt-125m")]
    return {str(number.id): number for number in curve_numbers(datasets)}


def test_a_curve_falls_to_a_level_on_a_straight_line_of_logarithms():
    assert crossing([(1e8, 4.0), (1e10, 1.0)], 2.0) == pytest.approx(1e9)
    assert crossing([(1e10, 1.0), (1e8, 4.0)], 2.0) == pytest.approx(1e9)
    # The last time counts where a curve rises before it falls.
    assert crossing([(1.0, 3.0), (2.0, 1.0), (4.0, 3.0), (16.0, 1.0)], 1.0) == pytest.approx(16.0)
    assert crossing([(1e8, 4.0), (1e10, 2.5)], 2.0) is None
    assert crossing([(1e8, 1.5)], 2.0) is None


def test_extrapolate_gives_the_very_numbers_of_a_curve(numbers):
    asked = {"device": "h200", "model": "llama-70b", "batch": 1, "tp": 2, "dtype": "bf16"}
    note = numbers["curve/h100-turns/h200/llama-70b/tp2/b1"].note
    asked["context"] = int(str(note).split()[0])
    for host, given in (("h100-turns", {"host": "h100-turns"}), (QUICK, {"launch_us": QUICK_US})):
        number = numbers[f"curve/{host}/h200/llama-70b/tp2/b1"]
        said = extrapolate(pose(asked, **given)).ratio
        assert (number.low, number.value, number.high) == pytest.approx(
            (said.low_90, said.median, said.high_90)
        )


def test_a_slow_host_a_second_gpu_and_a_fast_device_move_the_crossing_up(numbers):
    def at(where):
        found = numbers[f"curve_crossing/{where}/b1"]
        return found.value or float("inf")

    assert at("quick/h200/tp1") < at("h100-turns/h200/tp1") < at("h100-turns/h200/tp2")
    assert at("h100-turns/l4/tp1") < at("h100-turns/h200/tp1")


def test_without_a_host_that_can_be_calibrated_there_is_no_curve():
    assert curve_numbers([read_measured("l4-published"), read_measured("cpu-opt-125m")]) == []
