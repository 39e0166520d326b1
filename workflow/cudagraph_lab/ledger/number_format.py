"""How a number is written: its digits from its interval, its unit, and its claims in words.

Plain text only; `cudagraph_lab.report.numbers` puts it on a page.
"""

import math

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import MODEL_ERROR


def unit_of(number: Number) -> tuple[float, str]:
    """(factor, unit) in which a number is written: shares as %, short times as ms or µs."""
    if number.unit in ("relative", "share"):
        return 100.0, "%"
    if number.unit == "x":
        return 1.0, "×"
    if number.unit == "s":
        known = [number.value, *(p.value or p.high for p in number.predictions)]
        size = abs(next((float(value) for value in known if value is not None), 1.0))
        if 0 < size < 1e-4:
            return 1e6, "µs"
        if 0 < size < 0.1:
            return 1e3, "ms"
    return 1.0, "µs" if number.unit == "us" else number.unit


def places_of(value: float, low: float | None, high: float | None, significant: int = 4) -> int:
    """Decimal places worth printing; negative ones round to tens and more.

    Two significant digits of the interval's half-width, yet at least one of the value;
    without an interval as many significant digits of the value as are given.
    """
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    if low is None or high is None or not high > low:
        return significant - 1 - magnitude
    return max(1 - math.floor(math.log10((high - low) / 2)), -magnitude)


def digits(value: float, places: int, signed: bool = False) -> str:
    """`value` rounded to decimal places, with thousands separated and a true minus sign."""
    rounded = round(value, places) + 0.0  # no minus zero
    text = f"{rounded:{'+' if signed else ''},.{max(places, 0)}f}"
    return text.replace("-", "−")


def trimmed(value: float, signed: bool = False, significant: int = 4) -> str:
    """So many significant digits at most, without trailing zeros."""
    text = digits(value, places_of(value, None, None, significant), signed)
    return text.rstrip("0").rstrip(".") if "." in text else text


def written(number: Number) -> tuple[str, str | None, str | None]:
    """(value, low, high) as they are printed, in the unit of `unit_of`; None without interval.

    Raises LabError for a number that has no value: nothing is printed in its place.
    """
    if number.value is None:
        raise LabError(f"{number.dataset}: {number.id} has no value; print its reason instead")
    if isinstance(number.value, bool):
        return claim_in_words(number), None, None
    factor, _ = unit_of(number)
    signed = number.id.quantity == MODEL_ERROR
    value = number.value * factor
    if number.low is None or number.high is None or not number.high > number.low:
        return trimmed(value, signed, _significant(number)), None, None
    low, high = number.low * factor, number.high * factor
    places = places_of(value, low, high)
    if low > 0 and high / low > 10:  # no decimal place suits both ends
        return _two_significant(value), _two_significant(low), _two_significant(high)
    return digits(value, places, signed), digits(low, places, signed), digits(high, places, signed)


def _significant(number: Number) -> int:
    """Digits for a number without an interval: fewer where it is computed from noisy ones."""
    if number.unit == "relative":
        return 2
    whole = number.value is not None and float(number.value).is_integer()
    return 4 if whole or number.n == 1 else 3


def _two_significant(value: float) -> str:
    return digits(value, 1 - math.floor(math.log10(value)))


def suffix(text: str, unit: str) -> str:
    """A unit as it follows its value: spaced as it wants to be, in the singular after 1."""
    if unit in ("%", "×"):
        return unit
    if text == "1" and len(unit) > 3 and unit.isalpha():
        unit = {"passes": "pass", "launches": "launch"}.get(unit, unit.removesuffix("s"))
    return f"\N{NO-BREAK SPACE}{unit}"


def plain(number: Number) -> str:
    """A number in one line of plain text, for alternative texts: value, unit, interval."""
    if number.value is None:
        if number.low is None or number.high is None:
            return "not measured"
        factor, unit = unit_of(number)
        return (
            f"{trimmed(number.low * factor)} to {trimmed(number.high * factor)}{suffix('', unit)}"
        )
    value, low, high = written(number)
    if isinstance(number.value, bool):
        return value
    text = value + suffix(value, unit_of(number)[1])
    if low is not None:
        return f"{text} ({low} to {high})"
    return f"{text} (single observation)" if number.n == 1 else text


def claim_in_words(number: Number) -> str:
    """Whether a claim holds, as firmly as its verdicts and its repeats allow."""
    holds = bool(number.value)
    if number.n == 1:
        return f"{'holds' if holds else 'does not hold'} for single observations"
    settled = [p for p in number.predictions if p.verdict in ("confirmed", "refuted")]
    if settled:
        outcome = bool(settled[0].value) == (settled[0].verdict == "confirmed")
        return "holds" if outcome else "does not hold"
    return f"{'holds' if holds else 'does not hold'} for the point estimates, not settled"
