"""The ratio of two arms while they take turns: what a person watches meanwhile.

It goes to the screen and nowhere else. Records hold the calls, and the ledger judges them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cudagraph_lab.records.store import NotBelievedError, read_record
from cudagraph_lab.statistics.cells import log_means
from cudagraph_lab.statistics.contrasts import Side, estimate_sample, sample_of

Rates = Mapping[int, Sequence[float]]  # by repeat: tokens per second of each timed call


def earlier_rates(output: Path, dataset: str, batch: int) -> dict[int, list[float]]:
    """Of an arm, by repeat, tokens per second of the timed calls at one batch size.

    `output` is where the arm's record of the repeat at hand goes; that repeat is left out, and
    so is a record that failed or is not believed.
    """
    found: dict[int, list[float]] = {}
    for path in sorted(output.parent.glob("rep*.json")):
        if path == output:
            continue
        try:
            record = read_record(path, dataset)
        except NotBelievedError:
            continue
        rates = [c.throughput for cell in record.cells if cell.batch == batch for c in cell.timed()]
        if record.status == "ok" and rates:
            found[record.repeat] = rates
    return found


def ratio_so_far(arms: tuple[str, str], numerator: Rates, denominator: Rates) -> str:
    """The ratio of two arms' rates with its 95% interval over the repeats that both have.

    The repeat at hand counts like the finished ones. One repeat has no interval, and rounds
    within it make none. Raises LabError where no repeat is common to both.
    """
    common = numerator.keys() & denominator.keys()
    sides = [
        Side(weight, (log_means({k: rates[k] for k in common}, name=arm),), arm)
        for weight, arm, rates in zip((1, -1), arms, (numerator, denominator), strict=True)
    ]
    name = "/".join(arms)
    estimate = estimate_sample(sample_of(sides, blocks=True, name=name), None)
    if estimate.low is None or estimate.high is None:
        return f"{name} {estimate.value:.2f}x, no interval yet"
    return f"{name} {estimate.value:.2f}x ({estimate.low:.2f} to {estimate.high:.2f})"
