"""Many numbers or predictions in one cell: the smallest and the largest of them."""

from collections.abc import Sequence

from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.number_format import suffix, trimmed, unit_of
from cudagraph_lab.report.markup import About, Exempt, Line, Predicted, join, say
from cudagraph_lab.report.numbers import datum, point, value


def extent(pairs: Sequence[tuple[Number, Judged]]) -> Line:
    """The lowest and the highest end of predictions that differ, each of its own number."""
    if any(isinstance(p.value, bool) for _, p in pairs):
        return ("holds or not, by data set",)
    units = {unit_of(number) for number, _ in pairs}

    def end(part: str, pair: tuple[Number, Judged]) -> Line:
        number, judged = pair
        factor, unit = unit_of(number)
        text = trimmed(getattr(judged, part) * factor)
        digits: Line = (datum(number, part, text, judged),)
        if part == "high" or len(units) > 1:
            digits += (Exempt(suffix(text, unit)),)
        return (About(number.dataset, str(number.id), (Predicted(judged.id, digits),)),)

    lows = [pair for pair in pairs if pair[1].low is not None]
    highs = [pair for pair in pairs if pair[1].high is not None]
    said: list[Line] = []
    if lows:
        said.append(end("low", min(lows, key=lambda pair: float(pair[1].low or 0))))
    if highs:
        said.append(end("high", max(highs, key=lambda pair: float(pair[1].high or 0))))
    return say("{ends}, by number", ends=join(said, " to "))


def span(numbers: Sequence[Number]) -> Line:
    """The one value, or the smallest and the largest, each of its own number."""
    if len({n.value for n in numbers}) == 1:
        return value(numbers[0]) if len(numbers) == 1 else point(numbers[0])
    if any(isinstance(n.value, bool) for n in numbers):
        return ("holds in some, not in others",)
    low = min(numbers, key=lambda n: float(n.value or 0))
    high = max(numbers, key=lambda n: float(n.value or 0))
    return say("{a} to {b}", a=point(low, unit=unit_of(low) != unit_of(high)), b=point(high))
