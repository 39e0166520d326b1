"""All numbers of one data set, family by family, before they are judged."""

from collections.abc import Iterator

import pandas as pd

from cudagraph_lab.config.contrast import headline_of
from cudagraph_lab.ledger.catalogue import BUSY_S, CAPTURE_GIB, CAPTURE_S, KERNELS
from cudagraph_lab.ledger.cells import Cells, cells_of
from cudagraph_lab.ledger.quantities.arms import arm_results, node_spread, output_results
from cudagraph_lab.ledger.quantities.contrasts import (
    contrast_results,
    interaction_results,
    step_ratio_results,
)
from cudagraph_lab.ledger.quantities.costs import break_even_results, tax_results
from cudagraph_lab.ledger.quantities.ladders import ladder_results
from cudagraph_lab.ledger.quantities.launch_models import (
    CALIBRATED_AT,
    launch_model_results,
    profile_of,
)
from cudagraph_lab.ledger.quantities.profile import profile_results
from cudagraph_lab.ledger.quantities.savings import launch_cost, read_savings, saving_results
from cudagraph_lab.ledger.quantities.speculation import speculation_results
from cudagraph_lab.ledger.quantities.start_costs import read_start_costs, start_results
from cudagraph_lab.ledger.quantities.startup import (
    capture_fit_results,
    capture_results,
    compile_cache_results,
    kv_results,
    startup_results,
)
from cudagraph_lab.ledger.quantities.timed_share import timed_share
from cudagraph_lab.ledger.quantities.upgrades import upgrade_results
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.results import Result
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.throughputs import Throughputs, read_throughputs
from cudagraph_lab.observations.dataset import Dataset

# Of a series that shows some contrasts alone.
ROLES_OF_SERIES = {
    "sizes": ("primary",),
    "speculation": ("primary",),
    "company": ("co_resident", "a_a"),
}
PHASES_OF_SIZE = (None, "boot", "compile_cold", "compile_warm")  # of its start, as it is shown


def dataset_results(dataset: Dataset, table: pd.DataFrame, settings: Settings) -> list[Result]:
    """All numbers of one data set; `table` has the columns of `observations.dataset`.

    Of a data set of a series, those that the series is asked for.
    """
    return [r for r in _all_results(dataset, table, settings) if _is_asked(dataset, r)]


def _all_results(dataset: Dataset, table: pd.DataFrame, settings: Settings) -> Iterator[Result]:
    known = read_throughputs(dataset, table)
    decoding = read_throughputs(dataset, table, decode_alone=True)
    timed, startup = cells_of(table, role="timed"), cells_of(table, role="startup")
    profiled = cells_of(table, role="profile")
    name = headline_of(dataset.contrasts, settings.headline)
    headline = dataset.contrasts[name] if name else None
    yield from _of_arms(dataset, known, timed)
    for contrast in dataset.contrasts:
        yield from contrast_results(dataset, contrast, known, settings.seed)
        yield from step_ratio_results(dataset, contrast, decoding)
        yield from upgrade_results(dataset, contrast, table, known)
    yield from speculation_results(dataset, decoding)
    if headline is not None:
        yield from interaction_results(dataset, known)
        yield from capture_results(dataset, headline, startup)
        if dataset.series is None:  # what takes time
            yield from launch_model_results(dataset, headline, timed, profiled, settings.seed)
            savings = read_savings(dataset, headline, known, settings.seed)
            starts = read_start_costs(dataset, headline, table, settings.seed)
            yield from saving_results(dataset, headline, savings)
            counts = profile_of(dataset, headline, profiled)
            if counts is not None and CALIBRATED_AT in savings:
                yield launch_cost(savings[CALIBRATED_AT], counts)
            yield from start_results(starts)
            yield from tax_results(dataset, headline, startup, starts, settings.restarts_per_day)
            yield from break_even_results(dataset, headline, starts, savings)
        yield from kv_results(dataset, headline, startup)
        yield from compile_cache_results(dataset, headline, startup)
        yield from ladder_results(dataset, startup, settings.batch_mix, settings.ladder_rungs)
    yield timed_share(dataset, table)
    yield from output_results(dataset)
    yield from startup_results(dataset, startup)
    yield from capture_fit_results(startup)
    yield from profile_results(dataset, headline, profiled)


def in_series(dataset: Dataset, number: NumberId) -> bool:
    """Whether the series of a data set is about this number; of no series, every number is."""
    series = dataset.series
    if series is None:
        return True
    contrast = dataset.contrasts.get(number.contrast) if number.contrast else None
    roles = ROLES_OF_SERIES.get(series)
    shown = contrast is None or roles is None or contrast.role in roles
    return shown and series in number.quantity.series


def _is_asked(dataset: Dataset, result: Result) -> bool:
    """Whether the series of a data set shows this result."""
    key = result.id
    if dataset.series != "sizes" or key.contrast or not in_series(dataset, key):
        return in_series(dataset, key)
    if key.quantity in (KERNELS, BUSY_S):
        return bool(key.batch == min(dataset.batch_sizes))
    if key.quantity in (CAPTURE_S, CAPTURE_GIB):
        return result.value is not None
    return key.phase in PHASES_OF_SIZE


def _of_arms(dataset: Dataset, known: Throughputs, timed: Cells) -> Iterator[Result]:
    for arm, facts in dataset.arms.items():
        for batch in dataset.batch_sizes if facts.purpose == "timed" else ():
            yield from arm_results(arm, batch, timed, facts.reason)
            if len(dataset.nodes) > 1:
                repeats = known.arms.get(arm, {}).get(batch, {})
                yield node_spread(dataset, repeats, arm, batch)
