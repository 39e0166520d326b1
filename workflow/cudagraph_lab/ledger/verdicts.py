"""The one rule by which a measured number meets a prediction of it.

*confirmed*: the measured interval lies inside the predicted bounds. *refuted*: the
two do not meet. *inconclusive*: anything else, with what would settle it. A count
that is the same in every repeat, and a single observation, have no interval and
are compared by their value alone; n tells which it was. Any other value without an
interval is inconclusive. *not measured*: no value.
"""

from typing import Literal, NamedTuple

Verdict = Literal["confirmed", "refuted", "inconclusive", "not measured"]


class Wording(NamedTuple):
    """How the page shows a verdict: its sign and its words."""

    sign: str
    words: str


# From what a reader must see first to what says least. The colours are in report/style.css,
# under `style_name`.
WORDINGS: dict[Verdict, Wording] = {
    "refuted": Wording("✗", "refuted"),
    "inconclusive": Wording("?", "not settled"),
    "confirmed": Wording("✓", "confirmed"),
    "not measured": Wording("–", "not measured"),
}
VERDICTS: tuple[Verdict, ...] = tuple(WORDINGS)


WEAK_FACTOR = 1.5  # high over low of bounds that are easily met


def is_weak(verdict: Verdict, low: float | None, high: float | None) -> bool:
    """Whether a confirmation says little, because the predicted bounds were wide."""
    if verdict != "confirmed" or low is None or high is None:
        return False
    return low <= 0 < high or (low > 0 and high / low > WEAK_FACTOR)


def style_name(verdict: Verdict) -> str:
    """The verdict as a class of the style sheet."""
    return verdict.replace(" ", "-")


def judge(
    value: float | bool | None,
    low: float | None,
    high: float | None,
    predicted_low: float,
    predicted_high: float,
) -> Verdict:
    """Verdict on a measured `value` with interval (low, high), both None where there is none."""
    if value is None:
        return "not measured"
    if low is None or high is None:
        low = high = float(value)
    if predicted_low <= low and high <= predicted_high:
        return "confirmed"
    if high < predicted_low or low > predicted_high:
        return "refuted"
    return "inconclusive"


def judge_claim(outcome: str, single: bool, points_agree: bool, predicted: bool) -> Verdict:
    """Verdict on a claim that holds or does not, from the outcome of its looks.

    A single observation can show the order of its points and no more.
    """
    if single:
        return "confirmed" if points_agree == predicted else "refuted"
    if outcome == "not settled":
        return "inconclusive"
    return "confirmed" if (outcome == "supported") == predicted else "refuted"
