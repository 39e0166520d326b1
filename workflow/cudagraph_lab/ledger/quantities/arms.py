"""What one arm does at one batch size: rates, steps, spreads, replays; and its outputs."""

from collections.abc import Iterator

import numpy as np

from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.cells import NOT_RUN, Cells, step_cell
from cudagraph_lab.ledger.results import Result, absent, bounded, counted, mean
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.cells import Logs
from cudagraph_lab.statistics.spread import spread_between


def arm_results(arm: str, batch: int, timed: Cells, reason: str | None) -> Iterator[Result]:
    """Rates, steps, spreads and replays of an arm; `reason` says why it has none."""
    throughput = timed.get((arm, "throughput", batch))
    if throughput is None:
        yield absent(catalogue.THROUGHPUT(arm=arm, batch=batch), reason or NOT_RUN)
        return
    yield _spread(arm, batch, throughput)
    if step := step_cell(timed, arm, batch):
        yield mean(catalogue.STEP(arm=arm, batch=batch), step, [arm])
    replayed = timed.get((arm, "full_share", batch))
    for quantity in catalogue.QUANTITIES:
        if quantity.mean_of and (cell := timed.get((arm, quantity.mean_of, batch))):
            yield mean(quantity(arm=arm, batch=batch), cell, [arm])
        if quantity.count_of and (cell := timed.get((arm, quantity.count_of, batch))):
            if quantity is catalogue.PADDED_TOKENS and not any(map(any, replayed or [])):
                continue  # nothing was padded, since nothing was replayed
            yield counted(quantity(arm=arm, batch=batch), cell, [arm])


def _spread(arm: str, batch: int, throughput: list[list[float]]) -> Result:
    number, name = catalogue.SPREAD_BETWEEN(arm=arm, batch=batch), f"{arm} at batch {batch}"
    spread = spread_between(throughput, name=name)
    if spread.cv is None:
        return absent(number, "one observation has no spread")
    ends, method = spread.interval or (None, None), "chi-square on log variances"
    return bounded(number, spread.cv, ends, method, n=spread.repeats, arms=[arm], note=spread.note)


def node_spread(dataset: Dataset, repeats: Logs, arm: str, batch: int) -> Result:
    """Spread of an arm's throughput between the nodes that it ran on, beyond that of repeats.

    One-way random effects, as between repeats and iterations: here the nodes are the groups
    and the repeats' means, on logs, their members. `repeats` holds these means.
    """
    number = catalogue.SPREAD_NODES(arm=arm, batch=batch)
    means = {repeat: float(np.exp(log)) for repeat, log in repeats.items()}
    nodes = [
        [means[repeat] for repeat in arms[arm] if repeat in means]
        for arms in dataset.nodes.values()
        if arm in arms
    ]
    nodes = [repeats for repeats in nodes if repeats]
    if len(nodes) < 2:
        return absent(number, "measured on fewer than two nodes")
    if all(len(repeats) == 1 for repeats in nodes):
        return absent(number, "one repeat per node: nodes and repeats cannot be told apart")
    spread = spread_between(nodes, name=str(number))
    return Result(
        id=number,
        value=spread.cv,
        n=spread.repeats,
        note="nodes differ by less than their repeats do: spread between them set to 0"
        if spread.cv == 0
        else None,
        arms=[arm],
    )


def output_results(dataset: Dataset) -> list[Result]:
    """How many arms wrote other tokens than the reference, by batch size."""
    return [
        Result(
            id=catalogue.OUTPUTS_DIFFERING(batch=compared.batch),
            value=float(len(compared.differing)),
            n=len(compared.arms),
            note="; ".join(
                [f"{arm} forks {where}" for arm, where in compared.differing.items()]
                + [f"distinct tokens in the request compared: {compared.distinct_tokens}"]
            ),
            arms=compared.arms,
        )
        for compared in dataset.outputs
    ]
