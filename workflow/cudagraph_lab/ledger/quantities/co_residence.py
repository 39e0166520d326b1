"""Whether being resident together changes an arm: in turn against alone, across two data sets."""

import json
from collections.abc import Sequence

import pandas as pd

from cudagraph_lab.ledger.catalogue import CO_RESIDENT
from cudagraph_lab.ledger.draws import pooled_logs
from cudagraph_lab.ledger.results import Result, absent, estimated
from cudagraph_lab.ledger.throughputs import Logs, read_steps
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.contrasts import Side, estimate_sample, sample_of

Alone = tuple[Dataset, Logs]

# What taking turns adds to an arm, and what an arm says aloud that vLLM does anyway.
NO_SETTING = {"kv_cache_memory_bytes"}
DEFAULTS = {"enforce_eager": False}
NOWHERE = "no data set here has this arm, batch size, model and kind of device measured apart"


def co_residence_results(
    dataset: Dataset, table: pd.DataFrame, datasets: Sequence[tuple[Dataset, pd.DataFrame]]
) -> list[Result]:
    """The speed of each arm in turn over that of the same arm alone, by seconds per decode step.

    Only for arms in turn; `datasets` are all data sets. 1 means that the others' presence
    changes nothing. Steps are compared, since calls may differ in length. Arms with equal
    settings are one. None for a data set that compares the two itself, in the same repeats.
    """
    contrasts = dataset.contrasts.values()
    if dataset.measured != "in_turn" or any(c.role == "co_resident" for c in contrasts):
        return []
    steps = read_steps(table)
    alone = [(other, read_steps(rows)) for other, rows in datasets if _comparable(dataset, other)]
    groups: dict[str, list[str]] = {}
    for arm in steps:
        groups.setdefault(_settings(dataset, arm), []).append(arm)
    return [
        _result(dataset, steps, arms, batch, alone)
        for arms in groups.values()
        for batch in dataset.batch_sizes
    ]


def _comparable(dataset: Dataset, other: Dataset) -> bool:
    def same(of: Dataset) -> tuple[str | None, ...]:
        return of.kind, of.platform, of.device, of.model, of.vllm

    return other.measured == "apart" and same(other) == same(dataset)


def _settings(dataset: Dataset, arm: str) -> str:
    """What the arm is asked for, as text that is equal for equal arms."""
    arguments, *others = dataset.arms[arm].settings
    own = {
        name: value
        for name, value in arguments.items()
        if name not in NO_SETTING and (name, value) not in DEFAULTS.items()
    }
    return json.dumps([own, others], sort_keys=True)


def _result(
    dataset: Dataset, steps: Logs, arms: list[str], batch: int, alone: Sequence[Alone]
) -> Result:
    number = CO_RESIDENT(arm=arms[0], batch=batch)
    arms = [arm for arm in arms if batch in steps[arm]]
    settings = _settings(dataset, arms[0]) if arms else None
    found = [
        (other, known, same)
        for other, known in alone
        if (
            same := tuple(
                arm
                for arm, cells in known.items()
                if batch in cells and _settings(other, arm) == settings
            )
        )
    ]
    if not found:
        return absent(number, NOWHERE)
    # The one that observes its steps in the same way comes first.
    other, known, same = min(found, key=lambda one: one[0].observed != dataset.observed)
    sides = [
        Side(1, (pooled_logs(known, (same, batch), blocks=False),), f"{same[0]} alone"),
        Side(-1, (pooled_logs(steps, (tuple(arms), batch), blocks=True),), f"{arms[0]} in turn"),
    ]
    estimate = estimate_sample(sample_of(sides, blocks=False, name=str(number)), None)
    result = estimated(number, estimate, arms)
    result.files = [file for arm in same for file in other.files.get(arm, [])]
    result.note = "; ".join(filter(None, [_said(dataset, other), estimate.note]))
    result.unpredicted = "a comparison of two data sets; predictions are about each"
    return result


def _said(dataset: Dataset, other: Dataset) -> str:
    """The data set that has the arm alone, and in what the two differ beside that."""
    said = [f"by seconds per decode step; alone in {other.name}", "another time and host load"]
    if other.output_tokens != dataset.output_tokens:
        said.append(f"calls of {dataset.output_tokens} tokens here and {other.output_tokens} there")
    if other.observed != dataset.observed:
        said.append("vLLM's bookkeeping of steps inside the timed calls of one of them")
    return "; ".join(said)
