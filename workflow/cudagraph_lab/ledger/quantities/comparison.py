"""The speed-ups of one data set over those of another."""

from collections.abc import Sequence

import pandas as pd

from cudagraph_lab.ledger.catalogue import DIFFERENCE
from cudagraph_lab.ledger.cells import Cells, cells_of
from cudagraph_lab.ledger.results import Result, estimated
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.cells import Term
from cudagraph_lab.statistics.locations import estimate_contrast


def comparison_results(datasets: Sequence[tuple[Dataset, pd.DataFrame]], seed: int) -> list[Result]:
    """Speed-ups of the first data set over those of each other one, where both have them.

    The quotient of two speed-ups, each made within its own data set: rates of two data
    sets are never divided by each other. 1 means that graphs matter as much in both.
    """
    if not datasets:
        return []
    (first, first_table), *others = datasets
    cells = cells_of(first_table, role="timed")
    return [
        result
        for other, table in others
        for name in first.contrasts
        for result in _differences(name, (first, cells), (other, cells_of(table, "timed")), seed)
    ]


def _differences(
    name: str, one: tuple[Dataset, Cells], other: tuple[Dataset, Cells], seed: int
) -> list[Result]:
    contrast = one[0].contrasts[name]
    arms = [contrast.numerator, contrast.denominator]
    pairs = [[c.numerator, c.denominator] for c in other[0].contrasts.values()]
    if arms not in pairs:
        return []
    results = []
    for batch in one[0].batch_sizes:
        terms = [
            Term(cell, sign * weight, f"{dataset.name} {arm}")
            for (dataset, cells), sign in ((one, 1), (other, -1))
            for arm, weight in zip(arms, (1, -1), strict=True)
            if (cell := cells.get((arm, "throughput", batch))) is not None
        ]
        if len(terms) < 4:
            continue
        result = estimated(
            DIFFERENCE(contrast=name, dataset=other[0].name, batch=batch),
            estimate_contrast(terms, seed),
            arms,
        )
        result.files = [file for arm in arms for file in other[0].files.get(arm, [])]
        result.unpredicted = "a comparison of two data sets; predictions are about each"
        results.append(result)
    return results
