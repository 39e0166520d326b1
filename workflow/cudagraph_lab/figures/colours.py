"""The colours of figures and page: a colour is a device, the same wherever it stands.

No plotting library is loaded here, since the page needs the colours as well.
"""

from cudagraph_lab.ledger.index import Index, short_device
from cudagraph_lab.observations.dataset import Dataset

CONTEXT = "#8a8a8a"  # what was not measured here, beside what was
# Told apart also by who does not tell all colours apart; seaborn's palette "colorblind".
COLOURS = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc",
    "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9",
)  # fmt: skip
# What the page makes of them, which is dark on light and light on dark.
ON_THE_PAGE = {
    COLOURS[0]: "var(--blue)",
    COLOURS[1]: "var(--orange)",
    COLOURS[2]: "var(--green)",
}


def colour_of(index: Index, dataset: Dataset) -> str:
    """The colour of a device, the same in every figure; grey for context and for a CPU."""
    here = index.ledger.measured_here
    if here and dataset.name not in here:
        return CONTEXT
    devices = list(
        dict.fromkeys(
            short_device(d)
            for d in index.ledger.datasets
            if d.platform != "cpu" and (not here or d.name in here)
        )
    )
    if dataset.platform == "cpu" and devices:
        return "#6b6b6b"
    place = devices.index(short_device(dataset)) if devices else 0
    return COLOURS[place % len(COLOURS)]
