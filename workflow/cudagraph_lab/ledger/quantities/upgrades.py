"""What an upgrade of vLLM changes: the newer version over the older one, in one data set."""

from collections.abc import Sequence

import pandas as pd

from cudagraph_lab.ledger.catalogue import (
    UPGRADE_CAPTURE_GIB,
    UPGRADE_FIRST_TOKEN,
    UPGRADE_KV_TOKENS,
    UPGRADE_STARTUP,
)
from cudagraph_lab.ledger.cells import missing_side
from cudagraph_lab.ledger.quantities.start_costs import starting_alike, startups
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.results import Result, absent, contrasted
from cudagraph_lab.ledger.throughputs import Throughputs, compared, logs_by_arm
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.cells import ArmLogs, log_means
from cudagraph_lab.statistics.contrasts import priors_of
from cudagraph_lab.statistics.shapes import Compared, ratio_samples

PHASES = ("import", "boot", "load", "profile", "kv_cache", "warm_up", "capture")
NO_START = "no start of {arm} was measured alone; add an arm of purpose startup with its settings"
NO_CAPTURE = "{arm}: no start that was measured alone captured graphs"
KV_GIVEN = "{arm}: the size of the KV cache was given"


def upgrade_results(
    dataset: Dataset, name: str, table: pd.DataFrame, known: Throughputs
) -> list[Result]:
    """First token, phases of the start-up, graph memory and KV cache of a contrast of versions.

    `known` holds the throughputs of the data set. Nothing for contrasts of another role.
    """
    contrast = dataset.contrasts[name]
    if not UPGRADE_STARTUP.is_for(contrast.role):
        return []
    sides = contrast.numerator, contrast.denominator
    missing = missing_side(dataset, contrast)
    if missing is not None:
        return [
            absent(number, missing)
            for number in (
                UPGRADE_STARTUP(phase="boot", contrast=name),
                UPGRADE_KV_TOKENS(contrast=name),
            )
        ]
    return [*_first_tokens(dataset, name, table, known), *_starts(dataset, name, sides, table)]


def _first_tokens(
    dataset: Dataset, name: str, table: pd.DataFrame, known: Throughputs
) -> list[Result]:
    logs = logs_by_arm(table, "first_token_s")
    sides = compared(dataset, dataset.contrasts[name], known)
    if sides is None or any(arm not in logs for arm in sides.arms):
        return []
    new, old = ({arm: logs[arm] for arm in side} for side in (sides.numerator, sides.denominator))
    samples = ratio_samples(Compared(new, old, known.blocks))
    priors = priors_of(list(samples.values()))
    return [
        contrasted(UPGRADE_FIRST_TOKEN(contrast=name, batch=batch), sample, priors, sides.arms)
        for batch, sample in samples.items()
    ]


def _starts(
    dataset: Dataset, name: str, sides: tuple[str, str], table: pd.DataFrame
) -> list[Result]:
    starts = _started_alone(table)
    alone = [[a for a in starting_alike(dataset, arm) if (a, "span_boot_s") in starts]
             for arm in sides]  # fmt: skip
    for arm, found in zip(sides, alone, strict=True):
        if not found:
            return [absent(UPGRADE_STARTUP(phase="boot", contrast=name), NO_START.format(arm=arm))]

    def ratio(number: NumberId, quantity: str, arms: Sequence[Sequence[str]]) -> Result | None:
        new, old = (
            {arm: starts[arm, quantity] for arm in side if (arm, quantity) in starts}
            for side in arms
        )
        if not new or not old:
            return None
        sample = Compared(new, old, blocks=False).sample({1: 1.0})
        return contrasted(number, sample, None, [arm for side in arms for arm in side])

    results = [
        ratio(UPGRADE_STARTUP(phase=phase, contrast=name), f"span_{phase}_s", alone)
        for phase in PHASES
    ]
    memory = UPGRADE_CAPTURE_GIB(contrast=name)
    captures = any((arm, "capture_gib") in starts for side in alone for arm in side)
    if captures:
        lacking = sides[0] if (alone[0][0], "capture_gib") not in starts else sides[1]
        results.append(
            ratio(memory, "capture_gib", alone) or absent(memory, NO_CAPTURE.format(arm=lacking))
        )
    own = [[arm for arm in side if not _given(dataset, arm)] for side in alone]
    tokens = UPGRADE_KV_TOKENS(contrast=name)
    if own[0] and own[1]:
        results.append(ratio(tokens, "kv_cache_tokens", own))
    else:
        results.append(absent(tokens, KV_GIVEN.format(arm=sides[1] if own[0] else sides[0])))
    return [result for result in results if result is not None]


def _given(dataset: Dataset, arm: str) -> bool:
    return dataset.arms[arm].engine_args.get("kv_cache_memory_bytes") is not None


def _started_alone(table: pd.DataFrame) -> dict[tuple[str, str], ArmLogs]:
    """Logs of what starts observed, by arm and quantity: one a repeat, under the batch size 1."""
    return {
        place: {1: log_means(seen)}
        for place, runs in startups(table).items()
        if (seen := {repeat: [value] for repeat, value in runs.items() if value > 0})
    }
