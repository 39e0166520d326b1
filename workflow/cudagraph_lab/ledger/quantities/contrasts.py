"""What a contrast says: speed-ups, their shape over batch sizes, and what makes them up."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import (
    FADE,
    FADE_TO,
    INTERACTION,
    NO_INVERSION,
    POSITION_OF_B8,
    RATIO,
    SHARE,
    STEP_RATIO,
)
from cudagraph_lab.ledger.cells import NOT_RUN, missing_arm
from cudagraph_lab.ledger.draws import Place, draw_cells
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.results import Result, absent, estimated
from cudagraph_lab.ledger.throughputs import (
    Sides,
    Throughputs,
    alike,
    pairs_of,
    samples_of,
    sides_of,
)
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.cells import Floats, log_means
from cudagraph_lab.statistics.contrasts import (
    Priors,
    Sample,
    Side,
    error_of,
    estimate_sample,
    priors_of,
    sample_of,
)
from cudagraph_lab.statistics.power import Settling, repeats_to_settle
from cudagraph_lab.statistics.quotients import quotient_of_draws
from cudagraph_lab.statistics.shapes import (
    Judgement,
    fade_samples,
    judge_fade_within,
    judge_no_inversion_within,
)

Log = float | Floats  # of one cell's mean, or draws of it
FADE_MIDDLE = 64  # the batch size at which the fade is parted, where it was run


def contrast_results(dataset: Dataset, name: str, known: Throughputs, seed: int) -> list[Result]:
    """Speed-ups of a contrast at every batch size, their fade and their shape."""
    contrast = dataset.contrasts[name]
    reason = missing_arm(dataset, contrast.numerator) or missing_arm(dataset, contrast.denominator)
    sides = sides_of(dataset, contrast, known)
    if sides and contrast.role == "co_resident" and dataset.measured != "in_turn":
        sides, reason = None, "no arms took turns, so that none had company"
    samples = samples_of(known, sides) if sides else {}
    arms = [*sides[0], *sides[1]] if sides else []
    priors = None if contrast.role == "co_resident" else known.ratio_priors
    results: list[Result] = []
    for batch in dataset.batch_sizes:
        if batch in samples:
            results.append(_speed_up(name, batch, samples[batch], priors, arms))
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
        results.append(_position_of_b8(name, sides, known, seed))
    return results


def _speed_up(
    name: str, batch: int, sample: Sample, priors: Priors | None, arms: list[str]
) -> Result:
    error = error_of(sample, priors)

    def settle(low: float, high: float) -> Settling | None:
        lower, upper = low if low > 0 else None, high if math.isfinite(high) else None
        if lower is None and upper is None:
            return None
        return repeats_to_settle(sample.log, error, lower, upper)

    estimate = estimate_sample(sample, priors)
    return estimated(RATIO(contrast=name, batch=batch), estimate, arms, settle)


def step_ratio_results(dataset: Dataset, name: str, known: Throughputs) -> list[Result]:
    """Speed-ups of a decode step alone; `known` holds decode rates, see `read_throughputs`."""
    contrast = dataset.contrasts[name]
    sides = sides_of(dataset, contrast, known)
    if sides is None or not STEP_RATIO.is_for(contrast.role):
        return []
    return [
        estimated(
            STEP_RATIO(contrast=name, batch=batch),
            estimate_sample(sample, known.ratio_priors),
            [*sides[0], *sides[1]],
        )
        for batch, sample in samples_of(known, sides).items()
    ]


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


def _position_of_b8(name: str, sides: Sides, known: Throughputs, seed: int) -> Result:
    places = [(tuple(side), batch) for batch in (1, 8, 64) for side in sides]

    def parts(logs: Sequence[Log]) -> tuple[Log, Log]:
        one, eight, many = (logs[i] - logs[i + 1] for i in (0, 2, 4))
        return eight - many, one - many

    note = "where the logarithm of batch 8's speed-up lies between batch 64's (0) and batch 1's (1)"
    whole = "the fade from batch 1 to 64"
    return _quotient(POSITION_OF_B8(contrast=name), places, known, parts, (whole, note), seed)


def _quotient(
    number: NumberId,
    places: list[Place],
    known: Throughputs,
    parts: Callable[[Sequence[Log]], tuple[Log, Log]],
    words: tuple[str, str],
    seed: int,
) -> Result:
    """A quotient of the mean logs of cells, each given by its arms and batch size.

    `parts` gives numerator and denominator of the means or of draws of them; `words` name the
    denominator and note what the quotient is.
    """
    whole, note = words
    drawn = draw_cells(known.arms, places, blocks=known.blocks, seed=seed)
    above, below = parts(drawn.logs)
    draws = None if drawn.draws is None else cast("tuple[Floats, Floats]", parts(drawn.draws))
    found = quotient_of_draws(float(above), float(below), draws, whole=whole)
    bounded = found.low is not None
    return Result(
        id=number,
        value=found.value,
        n=drawn.n,
        low=found.low,
        high=found.high,
        method="t draws through the quotient" if bounded else None,
        note=note if bounded or found.value is None else f"{note}; {found.reason}",
        missing=found.reason if found.value is None else None,
        arms=list(dict.fromkeys(arm for arms, _ in reversed(places) for arm in arms)),
    )


def share_results(dataset: Dataset, whole: Contrast, known: Throughputs, seed: int) -> list[Result]:
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
            results.append(_share(dataset, name, batch, (whole, middle), known, seed))
    return results


def _share(
    dataset: Dataset,
    name: str,
    batch: int,
    chain: tuple[Contrast, str],
    known: Throughputs,
    seed: int,
) -> Result:
    whole, middle = chain
    number = SHARE(contrast=name, batch=batch)
    arms = (whole.denominator, middle, whole.numerator)
    if any(batch not in known.arms.get(arm, {}) for arm in arms):
        reason = missing_arm(dataset, whole.numerator) or missing_arm(dataset, middle)
        return absent(number, reason or NOT_RUN)
    places = [(tuple(alike(dataset, arm, known.arms)), batch) for arm in arms]

    def parts(logs: Sequence[Log]) -> tuple[Log, Log]:
        slow, between, fast = logs
        return fast - between, fast - slow

    words = ("the headline speed-up", "share of the logarithm of the headline speed-up")
    return _quotient(number, places, known, parts, words, seed)


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
