"""All numbers of one data set, family by family, before they are judged."""

import pandas as pd

from cudagraph_lab.config.contrast import headline_of
from cudagraph_lab.ledger.catalogue import KV_TOKENS_LOST
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
from cudagraph_lab.ledger.results import Result
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.throughputs import Throughputs, read_throughputs
from cudagraph_lab.observations.dataset import Dataset

PHASES = (None, "boot", "compile_cold", "compile_warm")  # of the start of a model size


def dataset_results(dataset: Dataset, table: pd.DataFrame, settings: Settings) -> list[Result]:
    """All numbers of one data set; `table` has the columns of `observations.dataset`."""
    seed = settings.seed
    known = read_throughputs(dataset, table)
    timed, startup = cells_of(table, role="timed"), cells_of(table, role="startup")
    profiled = cells_of(table, role="profile")
    name = headline_of(dataset.contrasts, settings.headline)
    headline = dataset.contrasts[name] if name else None
    results = _of_arms(dataset, known, timed)
    decoding = read_throughputs(dataset, table, decode_alone=True)
    for contrast, facts in dataset.contrasts.items():
        if dataset.series in ("sizes", "speculation") and facts.role != "primary":
            continue
        results += contrast_results(dataset, contrast, known, seed)
        results += step_ratio_results(dataset, contrast, decoding)
        results += upgrade_results(dataset, contrast, table, known)
    results += speculation_results(dataset, decoding)
    if dataset.series == "sizes":
        smallest = min(dataset.batch_sizes)
        booted = startup_results(dataset, startup)
        if headline is not None:
            booted += capture_results(dataset, headline, startup)
            booted += kv_results(dataset, headline, startup)
        counted = profile_results(dataset, headline, profiled)
        results += [result for result in counted if result.id.batch == smallest]
        # Why the KV cache lost nothing is said of arms in turn too.
        results += [
            result
            for result in booted
            if result.id.quantity is KV_TOKENS_LOST
            or (result.value is not None and result.id.phase in PHASES)
        ]
    elif dataset.series == "speculation":
        results += profile_results(dataset, headline, profiled)
    elif dataset.series == "upgrade":
        results += startup_results(dataset, startup)
    if dataset.series is not None:
        return [result for result in results if dataset.series in result.id.quantity.series]
    if headline is not None:
        mix, rungs = settings.batch_mix, settings.ladder_rungs
        results += interaction_results(dataset, known)
        results += capture_results(dataset, headline, startup)
        results += launch_model_results(dataset, headline, timed, profiled, seed)
        savings = read_savings(dataset, headline, known, seed)
        results += saving_results(dataset, headline, savings)
        counts = profile_of(dataset, headline, profiled)
        if counts is not None and CALIBRATED_AT in savings:
            results.append(launch_cost(savings[CALIBRATED_AT], counts))
        starts = read_start_costs(dataset, headline, table, seed)
        results += start_results(starts)
        results += tax_results(dataset, headline, startup, starts, settings.restarts_per_day)
        results += break_even_results(dataset, headline, starts, savings)
        results += kv_results(dataset, headline, startup)
        results += compile_cache_results(dataset, headline, startup)
        results += ladder_results(dataset, startup, mix, rungs)
    return [
        *results,
        timed_share(dataset, table),
        *output_results(dataset),
        *startup_results(dataset, startup),
        *capture_fit_results(startup),
        *profile_results(dataset, headline, profiled),
    ]


def _of_arms(dataset: Dataset, known: Throughputs, timed: Cells) -> list[Result]:
    results = []
    for arm, facts in dataset.arms.items():
        if facts.purpose != "timed":
            continue
        for batch in dataset.batch_sizes:
            results += arm_results(arm, batch, timed, facts.reason)
            if len(dataset.nodes) > 1:
                repeats = known.arms.get(arm, {}).get(batch, {})
                results.append(node_spread(dataset, repeats, arm, batch))
    return results
