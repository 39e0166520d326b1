"""How a number is written: the digits that its interval allows, its unit, its claim."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.number_format import digits, plain, written
from tests.report_builders import make_judged, make_number, parsed


@pytest.mark.parametrize(
    ("verdict", "n", "value", "said"),
    [
        ("confirmed", 3, True, "holds"),
        ("refuted", 3, False, "does not hold"),
        ("refuted", 3, True, "does not hold"),
        ("inconclusive", 3, False, "does not hold for the point estimates, not settled"),
        ("confirmed", 1, True, "holds for single observations"),
    ],
)
def test_a_claim_is_said_as_firmly_as_it_was_settled(verdict, n, value, said):
    number = make_number(
        "shape/fade/bundle",
        value=value,
        unit="holds",
        n=n,
        predictions=[make_judged(verdict, value=True, low=None)],
    )
    assert plain(number) == said


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"value": 4.609, "low": 3.287, "high": 6.464}, "4.6× (3.3 to 6.5)"),
        ({"value": 2.5233, "n": 1}, "2.523× (single observation)"),
        (
            {"value": 11220.0, "low": 6832.0, "high": 18440.0, "unit": "tok/s"},
            "11,200 tok/s (6,800 to 18,400)",
        ),
        (
            {"value": 0.0020153, "low": 0.001424, "high": 0.002852, "unit": "s"},
            "2.02 ms (1.42 to 2.85)",
        ),
        ({"value": 16.07, "low": 0.4852, "high": 532.1, "unit": "s"}, "16 s (0.49 to 530)"),
        ({"value": 0.16, "unit": "relative"}, "16%"),
        ({"value": 51.0, "unit": "shapes"}, "51 shapes"),
        ({"value": 1.0, "unit": "passes"}, "1 pass"),
        ({"value": 1.0, "unit": "launches"}, "1 launch"),
        ({"value": 0.0, "unit": "passes"}, "0 passes"),
        ({"value": 0.0000474, "unit": "s", "n": 1}, "47.4 µs (single observation)"),
        ({"value": 2.0, "low": 2.0, "high": 2.0}, "2×"),
        ({"value": None, "missing": "not run"}, "not measured"),
        ({"value": None, "low": 1.0, "high": 1.469, "missing": "a bracket"}, "1 to 1.469×"),
    ],
)
def test_digits_are_those_that_the_interval_allows(fields, expected):
    assert (
        plain(make_number("ratio/bundle/b1", **fields)).replace("\N{NO-BREAK SPACE}", " ")
        == expected
    )


def test_a_number_without_a_value_is_not_written():
    with pytest.raises(LabError, match="ratio/bundle/b1 has no value"):
        written(make_number("ratio/bundle/b1"))


positive = st.floats(1e-6, 1e9)


@given(value=positive, down=st.floats(0.1, 0.999), up=st.floats(1.001, 9.0))
def test_rounding_keeps_the_order_and_loses_little(value, down, up):
    number = make_number(
        "ratio/bundle/b1", value=value, low=value * down, high=value * up, unit="tok/s"
    )
    shown = [parsed(text) for text in written(number)]
    assert shown[1] <= shown[0] <= shown[2]
    half_width = value * (up - down) / 2
    for printed, exact in zip(shown, (value, value * down, value * up), strict=True):
        # Half a step of two significant digits of the half-width, or two of its own.
        assert abs(printed - exact) <= max(0.051 * half_width, 0.051 * exact)


@given(value=positive)
def test_without_an_interval_four_digits_at_most(value):
    text = plain(make_number("ratio/bundle/b1", value=value, unit="tok/s", n=1)).split(
        "\N{NO-BREAK SPACE}"
    )[0]
    assert len(re.sub(r"[,.]", "", text).strip("0")) <= 4
    assert parsed(text) == pytest.approx(value, rel=5e-4)


def test_a_sign_is_a_sign():
    assert digits(-0.0004, 2) == "0.00"
    assert digits(-12.34, 1) == "−12.3"
    error = make_number("model/additive/error/b8", value=0.158, unit="relative", n=1)
    assert plain(error).startswith("+16%")
