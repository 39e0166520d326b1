"""Raw calls as a strip: a dot per call, over the minutes of a measurement.

Drawn here and not by the plotting library, which spends a hundred characters on a dot.
"""

import math
from statistics import median

from markupsafe import Markup

from cudagraph_lab.config.contrast import Role
from cudagraph_lab.figures.colours import ON_THE_PAGE, colour_of
from cudagraph_lab.ledger.index import Index, contrast_of_role, short_title
from cudagraph_lab.ledger.number_format import trimmed
from cudagraph_lab.observations.dataset import Dataset

WIDTH, HEIGHT = 720, 200  # of the drawing; its text is made for half that width
LEFT, RIGHT, TOP, BOTTOM = 92, 560, 12, 166  # of the dots
GAP = 26  # between the baselines of two labels
LABEL = 15  # characters of an arm's name
DENOMINATOR, TWIN = "var(--soft)", "var(--ink)"  # what is compared with has the device's colour


def strip_arms(index: Index, dataset: Dataset, role: Role) -> dict[str, str]:
    """The colours of the contrast's two arms and of the arm that was run against itself.

    Empty where no call of one of the two has a time.
    """
    pair, again = (contrast_of_role(index, dataset.name, one) for one in (role, "a_a"))
    if pair is None:
        return {}
    colour = colour_of(index, dataset)
    own = ON_THE_PAGE.get(colour, colour)
    sides = {pair.denominator: DENOMINATOR, pair.numerator: own}
    if not sides.keys() <= dataset.calls.keys():
        return {}
    twins = [again.numerator, again.denominator] if again else []
    others = {arm: TWIN for arm in twins if arm in dataset.calls}
    return others | sides


def strip_words(index: Index, dataset: Dataset, arms: dict[str, str]) -> str:
    """The strip in words: of each arm the slowest and the fastest call."""
    said = []
    for arm in arms:
        values = [value for _, value in dataset.calls[arm]]
        ends = (trimmed(end, significant=3) for end in (min(values), max(values)))
        said.append(f"{len(values)} of {arm} from {' to '.join(ends)} tokens a second")
    size = min(dataset.batch_sizes)
    return f"Calls at batch {size} on {short_title(index, dataset)}: {'; '.join(said)}."


def strip(dataset: Dataset, arms: dict[str, str]) -> Markup:
    """The strip as SVG: minutes against tokens a second, logarithmic."""
    calls = [call for arm in arms for call in dataset.calls[arm]]
    last = max(at for at, _ in calls) or 1.0
    slowest, fastest = min(value for _, value in calls), max(value for _, value in calls)
    room = math.log(fastest / slowest) or 1.0

    def down(value: float) -> int:
        return round(BOTTOM - (BOTTOM - TOP) * math.log(value / slowest) / room)

    drawn = [_words(RIGHT, HEIGHT - 6, f"{trimmed(last / 60, significant=2)} min", "end")]
    for value in (slowest, fastest):
        drawn.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, down(value), RIGHT))
        drawn.append(
            _words(LEFT - 12, down(value) + 7, f"{trimmed(value, significant=2)}/s", "end")
        )
    for arm, colour in arms.items():
        dots = "".join(
            f"M{round(LEFT + (RIGHT - LEFT) * at / last)} {down(value)}h0"
            for at, value in dataset.calls[arm]
        )
        drawn.append(Markup('<path class="dots" stroke="{}" d="{}"/>').format(colour, dots))
    middles = {arm: down(median(value for _, value in dataset.calls[arm])) + 7 for arm in arms}
    above = HEIGHT + GAP
    for arm in sorted(middles, key=lambda arm: -middles[arm]):  # from the lowest upwards
        above = min(middles[arm], above - GAP)
        name = arm if len(arm) <= LABEL else f"{arm[: LABEL - 1]}…"
        drawn.append(_words(RIGHT + 14, above, name, "start", arms[arm]))
    frame = Markup('<svg viewBox="0 0 {} {}">{}</svg>')
    return frame.format(WIDTH, HEIGHT, Markup("").join(drawn))


def _words(x: int, y: int, words: str, anchor: str, fill: str = "var(--soft)") -> Markup:
    text = Markup('<text x="{}" y="{}" text-anchor="{}" fill="{}">{}</text>')
    return text.format(x, y, anchor, fill, words)
