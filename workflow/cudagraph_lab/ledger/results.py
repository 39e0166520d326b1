"""A result: what a data set says of one number, before predictions are judged by it."""

import math
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.statistics.cells import read_cell
from cudagraph_lab.statistics.contrasts import Priors, Sample, error_of, estimate_sample
from cudagraph_lab.statistics.means import Estimate, error_of_cell, estimate_cell
from cudagraph_lab.statistics.power import Settling, repeats_to_settle
from cudagraph_lab.statistics.quotients import Quotient
from cudagraph_lab.statistics.uncertainty import Error

# How many more repeats would settle the value against two bounds; None where none can be told.
Settle = Callable[[float, float], Settling | None]


class Result(BaseModel):
    """One number of a data set; its unit is that of its quantity."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    id: NumberId
    value: float | bool | None
    n: int = 0
    low: float | None = None
    high: float | None = None
    method: str | None = None
    note: str | None = None
    missing: str | None = None  # why there is no value
    arms: list[str] = []
    files: list[str] = []  # beside those of the arms: another data set's
    outcome: str | None = None  # of a claim
    exact: bool = False  # a count, or the same value in every repeat: needs no interval
    settle: Settle | None = None
    unpredicted: str | None = None


def absent(number: NumberId, reason: str) -> Result:
    """A number that has no value, with the reason."""
    return Result(id=number, value=None, missing=reason)


def estimated(
    number: NumberId, estimate: Estimate, arms: list[str], settle: Settle | None = None
) -> Result:
    """A number with the interval of an estimate."""
    return Result(id=number, arms=arms, settle=settle, **vars(estimate))


def bounded(
    number: NumberId,
    value: float,
    ends: tuple[float | None, float | None],
    method: str,
    *,
    n: int,
    arms: list[str],
    note: str | None = None,
    unpredicted: str | None = None,
) -> Result:
    """A number with the ends of its interval, by `method`; an interval without ends is none."""
    low, high = ends
    return Result(
        id=number,
        value=value,
        n=n,
        low=low,
        high=high,
        method=None if low is None else method,
        note=note,
        arms=arms,
        unpredicted=unpredicted,
    )


def divided(
    number: NumberId,
    found: Quotient,
    *,
    n: int,
    arms: list[str],
    note: str | None = None,
    least: float = -math.inf,
) -> Result:
    """A quotient with its interval, whose end is at least `least`; else the reason for none."""
    if found.value is None:
        return absent(number, str(found.reason))
    low = None if found.low is None else max(found.low, least)
    said = "; ".join(filter(None, [note, found.reason])) or None
    method = "t draws through the quotient"
    return bounded(number, found.value, (low, found.high), method, n=n, arms=arms, note=said)


def contrasted(number: NumberId, sample: Sample, priors: Priors | None, arms: list[str]) -> Result:
    """A contrast as a ratio, with its interval and what would settle a prediction of it."""
    estimate = estimate_sample(sample, priors)
    return estimated(number, estimate, arms, _settling(sample.log, error_of(sample, priors)))


def mean(number: NumberId, cell: list[list[float]], arms: list[str]) -> Result:
    """The mean over the repeats of a cell, with its interval and what would settle a prediction."""
    known = read_cell(cell, str(number))
    estimate = estimate_cell(known)
    settle = _settling(math.log(estimate.value), error_of_cell(known))
    return estimated(number, estimate, arms, settle)


def _settling(log: float, error: Error | None) -> Settle:
    """How many more repeats would settle it against two bounds, by the present variances."""

    def settle(low: float, high: float) -> Settling | None:
        lower, upper = low if low > 0 else None, high if math.isfinite(high) else None
        if lower is None and upper is None:
            return None
        return repeats_to_settle(log, error, lower, upper)

    return settle


def counted(number: NumberId, cell: list[list[float]], arms: list[str]) -> Result:
    """A count or share that should not vary: its value, and the range where it does."""
    means = [math.fsum(repeat) / len(repeat) for repeat in cell]
    same = max(means) - min(means) < 1e-12
    note = None if same else f"differs between repeats, from {min(means):g} to {max(means):g}"
    ends = (None, None) if same else (min(means), max(means))
    value, method = math.fsum(means) / len(means), "range over repeats"
    result = bounded(number, value, ends, method, n=len(means), arms=arms, note=note)
    result.exact = same
    return result
