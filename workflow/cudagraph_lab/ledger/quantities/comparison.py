"""The speed-ups of one data set over those of another."""

from collections.abc import Sequence

import pandas as pd

from cudagraph_lab.ledger.catalogue import DIFFERENCE
from cudagraph_lab.ledger.results import Result, estimated
from cudagraph_lab.ledger.throughputs import Throughputs, compared, read_throughputs
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.contrasts import estimate_quotient
from cudagraph_lab.statistics.shapes import ratio_samples

Known = tuple[Dataset, Throughputs]


def comparison_results(datasets: Sequence[tuple[Dataset, pd.DataFrame]]) -> list[Result]:
    """Speed-ups of the first data set over those of each other one, where both have them.

    The quotient of two speed-ups, each made within its own data set as its ratio is: rates of
    two data sets are never divided by each other. 1 means that graphs matter as much in both.
    """
    known = [(one, read_throughputs(one, table)) for one, table in datasets if one.series is None]
    if not known:
        return []
    first, *others = known
    return [
        result
        for other in others
        for name in first[0].contrasts
        for result in _differences(name, first, other)
    ]


def _differences(name: str, one: Known, other: Known) -> list[Result]:
    (dataset, known), (dataset_there, known_there) = one, other
    contrast = dataset.contrasts[name]
    arms = [contrast.numerator, contrast.denominator]
    like = [c for c in dataset_there.contrasts.values() if [c.numerator, c.denominator] == arms]
    sides = compared(dataset, contrast, known)
    sides_there = compared(dataset_there, like[0], known_there) if like else None
    if sides is None or sides_there is None:
        return []
    here, there = ratio_samples(sides), ratio_samples(sides_there)
    results = []
    for batch in sorted(here.keys() & there.keys()):
        estimate = estimate_quotient(
            here[batch], known.ratio_priors, there[batch], known_there.ratio_priors
        )
        number = DIFFERENCE(contrast=name, dataset=dataset_there.name, batch=batch)
        result = estimated(number, estimate, sides.arms)
        of_arms = (dataset_there.files.get(arm, []) for arm in sides_there.arms)
        result.files = [file for files in of_arms for file in files]
        result.unpredicted = "a comparison of two data sets; predictions are about each"
        results.append(result)
    return results
