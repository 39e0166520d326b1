"""What a contrast says: speed-ups, their shape over batch sizes, and what makes them up."""

import math

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import (
    FADE,
    INTERACTION,
    NO_INVERSION,
    POSITION_OF_B8,
    RATIO,
    REPEATS_TO_HALVE,
    SHARE,
)
from cudagraph_lab.ledger.cells import (
    NOT_RUN,
    Cells,
    central,
    locate,
    locate_log_ratio,
    missing_arm,
)
from cudagraph_lab.ledger.results import Result, absent, estimated
from cudagraph_lab.models.launch import attribution
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics import estimates as stats

# Per batch size, the throughput of both arms.
SpeedUps = dict[int, tuple[list[list[float]], list[list[float]]]]


def contrast_results(dataset: Dataset, name: str, timed: Cells, seed: int) -> list[Result]:
    """Speed-ups of a contrast at every batch size, and their shape."""
    contrast = dataset.contrasts[name]
    arms = [contrast.numerator, contrast.denominator]
    reason = missing_arm(dataset, arms[0]) or missing_arm(dataset, arms[1])
    speed_ups: SpeedUps = {}
    results: list[Result] = []
    for batch in dataset.batch_sizes:
        cells = [timed.get((arm, "throughput", batch)) for arm in arms]
        if cells[0] is None or cells[1] is None:
            results.append(absent(RATIO(contrast=name, batch=batch), reason or NOT_RUN))
            continue
        speed_ups[batch] = (cells[0], cells[1])
        results += _speed_up(name, contrast, batch, speed_ups[batch], seed)
    return results + _shapes(name, contrast, speed_ups, reason, seed)


def _speed_up(
    name: str,
    contrast: Contrast,
    batch: int,
    cells: tuple[list[list[float]], list[list[float]]],
    seed: int,
) -> list[Result]:
    arms = [contrast.numerator, contrast.denominator]
    terms = [stats.Term(cells[0], 1, arms[0]), stats.Term(cells[1], -1, arms[1])]
    estimate = stats.estimate_contrast(terms, seed)

    def settle(low: float, high: float) -> int | None:
        return stats.more_repeats_to_settle(
            terms, low if low > 0 else None, high if math.isfinite(high) else None
        )

    ratio = estimated(RATIO(contrast=name, batch=batch), estimate, arms, settle)
    if not REPEATS_TO_HALVE.is_for(contrast.role):
        return [ratio]
    halve = stats.more_repeats_to_halve(terms)
    number = REPEATS_TO_HALVE(contrast=name, batch=batch)
    return [
        ratio,
        absent(number, "no interval to halve")
        if halve is None
        else Result(
            id=number,
            value=float(halve),
            n=estimate.n,
            note="further repeats per arm that would halve the interval at the present spread",
            arms=arms,
        ),
    ]


def _shapes(
    name: str, contrast: Contrast, speed_ups: SpeedUps, reason: str | None, seed: int
) -> list[Result]:
    arms = [contrast.numerator, contrast.denominator]
    results = []
    # The quantity is declared at these batch sizes.
    if POSITION_OF_B8.is_for(contrast.role) and {1, 8, 64} <= speed_ups.keys():
        results.append(_position_of_b8(name, speed_ups, arms, seed))
    for quantity, judge_shape, least in (
        (FADE, stats.judge_fade, 2),
        (NO_INVERSION, stats.judge_no_inversion, 1),
    ):
        if not quantity.is_for(contrast.role):
            continue
        number = quantity(contrast=name)
        if len(speed_ups) < least:
            results.append(absent(number, reason or "too few batch sizes were run"))
            continue
        judgement = judge_shape(speed_ups, seed)
        results.append(
            Result(
                id=number,
                value=judgement.points_agree,
                n=min(len(cell) for pair in speed_ups.values() for cell in pair),
                note=judgement.note,
                outcome=judgement.outcome,
                arms=arms,
            )
        )
    return results


def _position_of_b8(name: str, speed_ups: SpeedUps, arms: list[str], seed: int) -> Result:
    number = POSITION_OF_B8(contrast=name)
    one, eight, many = (locate_log_ratio(speed_ups[b], name, seed + b) for b in (1, 8, 64))
    if one.value == many.value:
        return absent(number, "batch 1 and 64 have the same speed-up")
    drawn = None
    if one.draws is not None and eight.draws is not None and many.draws is not None:
        drawn = (eight.draws - many.draws) / (one.draws - many.draws)
    low, high = central(drawn)
    return Result(
        id=number,
        value=(eight.value - many.value) / (one.value - many.value),
        n=min(one.n, eight.n, many.n),
        low=low,
        high=high,
        method=None if low is None else "t draws through the quotient",
        note="where the logarithm of batch 8's speed-up lies between batch 64's (0) "
        "and batch 1's (1)",
        arms=arms,
    )


def share_results(dataset: Dataset, whole: Contrast, timed: Cells, seed: int) -> list[Result]:
    """How much of the logarithm of the headline speed-up each of its factors carries.

    A factor is a contrast that has the headline's numerator and whose denominator another
    contrast sets against the headline's denominator.
    """
    contrasts = dataset.contrasts
    results = []
    factors = [
        (name, one.denominator)
        for name, one in contrasts.items()
        for other in contrasts.values()
        if (one.numerator, other.denominator) == (whole.numerator, whole.denominator)
        and one.denominator == other.numerator
    ]
    for name, middle in factors:
        for batch in dataset.batch_sizes:
            results.append(_share(dataset, name, batch, (whole, middle), timed, seed))
    return results


def _share(
    dataset: Dataset,
    name: str,
    batch: int,
    chain: tuple[Contrast, str],
    timed: Cells,
    seed: int,
) -> Result:
    whole, middle = chain
    number = SHARE(contrast=name, batch=batch)
    arms = (whole.denominator, middle, whole.numerator)
    cells = [cell for arm in arms if (cell := timed.get((arm, "throughput", batch))) is not None]
    if len(cells) < len(arms):
        reason = missing_arm(dataset, whole.numerator) or missing_arm(dataset, middle)
        return absent(number, reason or NOT_RUN)
    rates = [locate(c, str(number), seed + 10 * batch + i) for i, c in enumerate(cells)]
    draws = [rate.draws for rate in rates if rate.draws is not None]
    drawn = None
    if len(draws) == len(rates):
        drawn = attribution(*(1 / rate for rate in draws)).graph_share
    low, high = central(drawn)
    return Result(
        id=number,
        value=float(attribution(*(1 / rate.value for rate in rates)).graph_share),
        n=min(rate.n for rate in rates),
        low=low,
        high=high,
        method=None if low is None else "t draws through the quotient",
        note="share of the logarithm of the headline speed-up",
        arms=list(reversed(arms)),
    )


def interaction_results(dataset: Dataset, timed: Cells, seed: int) -> list[Result]:
    """How much more graphs gain with compilation than without: a quotient of two speed-ups."""
    by_role = {contrast.role: contrast for contrast in reversed(dataset.contrasts.values())}
    with_compile, without = by_role.get("graph_compiled"), by_role.get("graph_uncompiled")
    if with_compile is None or without is None:
        return []
    arms = [with_compile.numerator, with_compile.denominator,
            without.numerator, without.denominator]  # fmt: skip
    results = []
    for batch in dataset.batch_sizes:
        number = INTERACTION(batch=batch)
        cells = [c for arm in arms if (c := timed.get((arm, "throughput", batch))) is not None]
        if len(cells) < len(arms):
            reasons = (missing_arm(dataset, arm) for arm in arms)
            results.append(absent(number, next(filter(None, reasons), "not run")))
            continue
        terms = [
            stats.Term(cell, weight, arm)
            for cell, weight, arm in zip(cells, (1, -1, -1, 1), arms, strict=True)
        ]
        results.append(estimated(number, stats.estimate_contrast(terms, seed), arms))
    return results
