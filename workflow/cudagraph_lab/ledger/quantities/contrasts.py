"""What a contrast says: speed-ups, their shape over batch sizes, and what makes them up."""

import math
from itertools import pairwise

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import (
    FADE,
    FADE_TO,
    INTERACTION,
    NO_INVERSION,
    POSITION_OF_B8,
    RATIO,
    SHARE,
    NumberId,
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
from cudagraph_lab.ledger.throughputs import Sides, Throughputs, pairs_of, samples_of, sides_of
from cudagraph_lab.models.launch import attribution
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.cells import log_means
from cudagraph_lab.statistics.contrasts import (
    Sample,
    Side,
    error_of,
    estimate_sample,
    priors_of,
    sample_of,
)
from cudagraph_lab.statistics.power import Settling, repeats_to_settle
from cudagraph_lab.statistics.shapes import (
    Judgement,
    fade_samples,
    judge_fade_within,
    judge_no_inversion_within,
)

# Per batch size, the throughput of both arms.
SpeedUps = dict[int, tuple[list[list[float]], list[list[float]]]]
FADE_MIDDLE = 64  # the batch size at which the fade is parted, where it was run


def contrast_results(
    dataset: Dataset, name: str, known: Throughputs, timed: Cells, seed: int
) -> list[Result]:
    """Speed-ups of a contrast at every batch size, their fade and their shape."""
    contrast = dataset.contrasts[name]
    reason = missing_arm(dataset, contrast.numerator) or missing_arm(dataset, contrast.denominator)
    sides = sides_of(dataset, contrast, known)
    samples = samples_of(known, sides) if sides else {}
    arms = [*sides[0], *sides[1]] if sides else []
    results: list[Result] = []
    for batch in dataset.batch_sizes:
        if batch in samples:
            results.append(_speed_up(name, batch, samples[batch], known, arms))
        else:
            results.append(absent(RATIO(contrast=name, batch=batch), reason or NOT_RUN))
    if sides is None:
        return results + [
            absent(shape(contrast=name), reason or "too few batch sizes were run")
            for shape in (FADE, NO_INVERSION)
            if shape.is_for(contrast.role)
        ]
    results += _shapes(name, contrast, sides, known, samples)
    if FADE_TO.is_for(contrast.role):
        results += _fades(name, sides, known)
    if POSITION_OF_B8.is_for(contrast.role) and {1, 8, 64} <= samples.keys():
        pairs: SpeedUps = {
            batch: (
                timed[contrast.numerator, "throughput", batch],
                timed[contrast.denominator, "throughput", batch],
            )
            for batch in (1, 8, 64)
        }
        results.append(_position_of_b8(name, pairs, arms, seed))
    return results


def _speed_up(name: str, batch: int, sample: Sample, known: Throughputs, arms: list[str]) -> Result:
    error = error_of(sample, known.ratio_priors)

    def settle(low: float, high: float) -> Settling | None:
        lower, upper = low if low > 0 else None, high if math.isfinite(high) else None
        if lower is None and upper is None:
            return None
        return repeats_to_settle(sample.log, error, lower, upper)

    estimate = estimate_sample(sample, known.ratio_priors)
    return estimated(RATIO(contrast=name, batch=batch), estimate, arms, settle)


def _fades(name: str, sides: Sides, known: Throughputs) -> list[Result]:
    """The speed-up at a batch size over that at the next of: smallest, FADE_MIDDLE, largest."""
    pairs = pairs_of(known, sides)
    run = sorted({batch for pair in pairs for batch in pair})
    points = [b for b in run if b in (run[0], FADE_MIDDLE, run[-1])]
    return [
        estimated(
            FADE_TO(contrast=name, batch=small, to=large),
            estimate_sample(pairs[small, large], known.fade_priors),
            [*sides[0], *sides[1]],
        )
        for small, large in pairwise(points)
    ]


def _shapes(
    name: str,
    contrast: Contrast,
    sides: Sides,
    known: Throughputs,
    samples: dict[int, Sample],
) -> list[Result]:
    results = []
    numerator, denominator = ([known.arms[arm] for arm in side] for side in sides)
    names = (contrast.numerator, contrast.denominator)
    if FADE.is_for(contrast.role):
        if len(samples) < 2:
            results.append(absent(FADE(contrast=name), "too few batch sizes were run"))
        else:
            looks = fade_samples(numerator, denominator, names=names, blocks=known.blocks)
            judged = judge_fade_within(looks, known.fade_priors)
            results.append(_claim(FADE(contrast=name), judged, samples, sides))
    if NO_INVERSION.is_for(contrast.role):
        if samples:
            judged = judge_no_inversion_within(samples, known.ratio_priors)
            results.append(_claim(NO_INVERSION(contrast=name), judged, samples, sides))
        else:
            results.append(absent(NO_INVERSION(contrast=name), "too few batch sizes were run"))
    return results


def _claim(
    number: NumberId, judgement: Judgement, samples: dict[int, Sample], sides: Sides
) -> Result:
    return Result(
        id=number,
        value=judgement.points_agree,
        n=min(sample.repeats for sample in samples.values()),
        note=judgement.note,
        outcome=judgement.outcome,
        arms=[*sides[0], *sides[1]],
    )


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


def interaction_results(dataset: Dataset, known: Throughputs) -> list[Result]:
    """How much more graphs gain with compilation than without: a quotient of two speed-ups."""
    by_role = {contrast.role: contrast for contrast in reversed(dataset.contrasts.values())}
    with_compile, without = by_role.get("graph_compiled"), by_role.get("graph_uncompiled")
    if with_compile is None or without is None:
        return []
    arms = [with_compile.numerator, with_compile.denominator,
            without.numerator, without.denominator]  # fmt: skip
    samples: dict[int, Sample] = {}
    for batch in dataset.batch_sizes:
        if all(batch in known.arms.get(arm, {}) for arm in arms):
            sides = [
                Side(weight, (log_means(known.arms[arm][batch], name=arm),), arm)
                for arm, weight in zip(arms, (1, -1, -1, 1), strict=True)
            ]
            samples[batch] = sample_of(sides, blocks=known.blocks, name="interaction")
    priors = priors_of(list(samples.values()))
    reason = next(filter(None, (missing_arm(dataset, arm) for arm in arms)), NOT_RUN)
    return [
        estimated(INTERACTION(batch=batch), estimate_sample(samples[batch], priors), arms)
        if batch in samples
        else absent(INTERACTION(batch=batch), reason)
        for batch in dataset.batch_sizes
    ]
