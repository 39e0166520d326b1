"""The speed-ups of one data set over those of another."""

from collections.abc import Sequence

import pandas as pd

from cudagraph_lab.ledger.catalogue import DIFFERENCE
from cudagraph_lab.ledger.results import Result, estimated
from cudagraph_lab.ledger.throughputs import Throughputs, read_throughputs, samples_of, sides_of
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.contrasts import estimate_quotient

Known = tuple[Dataset, Throughputs]


def comparison_results(datasets: Sequence[tuple[Dataset, pd.DataFrame]]) -> list[Result]:
    """Speed-ups of the first data set over those of each other one, where both have them.

    The quotient of two speed-ups, each made within its own data set as its ratio is: rates of
    two data sets are never divided by each other. 1 means that graphs matter as much in both.
    """
    compared = [pair for pair in datasets if pair[0].series is None]
    if not compared:
        return []
    first, *others = [(dataset, read_throughputs(dataset, table)) for dataset, table in compared]
    return [
        result
        for other in others
        for name in first[0].contrasts
        for result in _differences(name, first, other)
    ]


def _differences(name: str, one: Known, other: Known) -> list[Result]:
    (dataset, known), (compared, known_there) = one, other
    contrast = dataset.contrasts[name]
    arms = [contrast.numerator, contrast.denominator]
    like = [c for c in compared.contrasts.values() if [c.numerator, c.denominator] == arms]
    sides = sides_of(dataset, contrast, known)
    sides_there = sides_of(compared, like[0], known_there) if like else None
    if sides is None or sides_there is None:
        return []
    here, there = samples_of(known, sides), samples_of(known_there, sides_there)
    results = []
    for batch in sorted(here.keys() & there.keys()):
        estimate = estimate_quotient(
            here[batch], known.ratio_priors, there[batch], known_there.ratio_priors
        )
        number = DIFFERENCE(contrast=name, dataset=compared.name, batch=batch)
        result = estimated(number, estimate, [arm for side in sides for arm in side])
        files = (compared.files.get(arm, []) for side in sides_there for arm in side)
        result.files = [file for of_arm in files for file in of_arm]
        result.unpredicted = "a comparison of two data sets; predictions are about each"
        results.append(result)
    return results
