"""How well the time of a measurement was used."""

import math

import pandas as pd

from cudagraph_lab.ledger.catalogue import TIMED_SHARE
from cudagraph_lab.ledger.results import Result, absent
from cudagraph_lab.observations.dataset import Dataset


def timed_share(dataset: Dataset, table: pd.DataFrame) -> Result:
    """The share of the time, boots included, in which a call was timed.

    Of every process of a timed arm, or of every repeat where the arms took turns: from the start
    until the end of the last call.
    """
    runs = table[table["role"] == "run"]
    timed, whole = (
        runs[runs["quantity"] == quantity].set_index(["arm", "repeat"])["value"]
        for quantity in ("timed_calls_s", "run_s")
    )
    if whole.empty:
        return absent(TIMED_SHARE(), "the records do not say when calls began")
    # Arms in turn began together, so that the last call of any ends the repeat.
    together = {arm for arm, facts in dataset.arms.items() if facts.measured == "in_turn"}
    in_turn = whole.index.get_level_values("arm").isin(together)
    lasted = [*whole[in_turn].groupby("repeat").max(), *whole[~in_turn]]
    kinds = [word for word, some in (("repeats", in_turn), ("processes", ~in_turn)) if some.any()]
    seconds = math.fsum(lasted)
    return Result(
        id=TIMED_SHARE(),
        value=math.fsum(timed) / seconds,
        n=len(lasted),
        exact=True,
        note=f"of {seconds:.0f} s in {len(lasted)} {' and '.join(kinds)}, from "
        "their start to the end of their last call, boots included",
        arms=sorted({str(arm) for arm, _ in whole.index}),
    )
