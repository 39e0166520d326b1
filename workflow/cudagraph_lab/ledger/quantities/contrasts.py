"""What a contrast says: speed-ups, their shape over batch sizes, and what makes them up."""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.cells import NOT_RUN, missing_of, missing_side
from cudagraph_lab.ledger.draws import Place, draw_cells
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.results import Result, absent, contrasted, divided
from cudagraph_lab.ledger.throughputs import Throughputs, compared, sample_of_arms
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.cells import Floats
from cudagraph_lab.statistics.contrasts import Sample, priors_of
from cudagraph_lab.statistics.quotients import quotient_of_draws
from cudagraph_lab.statistics.shapes import (
    Compared,
    Judgement,
    fade_samples,
    judge_fade_within,
    judge_no_inversion_within,
    pair_samples,
    ratio_samples,
)

Log = float | Floats  # of one cell's mean, or draws of it
FADE_MIDDLE = 64  # the batch size at which the fade is parted, where it was run


def contrast_results(dataset: Dataset, name: str, known: Throughputs, seed: int) -> list[Result]:
    """Speed-ups of a contrast at every batch size, their fade and their shape."""
    contrast = dataset.contrasts[name]
    reason = missing_side(dataset, contrast)
    sides = compared(dataset, contrast, known)
    if sides and contrast.role == "co_resident" and dataset.measured != "in_turn":
        sides, reason = None, "no arms took turns, so that none had company"
    samples = ratio_samples(sides) if sides else {}
    arms = sides.arms if sides else []
    priors = None if contrast.role == "co_resident" else known.ratio_priors
    results: list[Result] = []
    for batch in dataset.batch_sizes:
        if batch in samples:
            number = catalogue.RATIO(contrast=name, batch=batch)
            results.append(contrasted(number, samples[batch], priors, arms))
        else:
            results.append(absent(catalogue.RATIO(contrast=name, batch=batch), reason or NOT_RUN))
    claims: dict[NumberId, Judgement | None] = {}
    if catalogue.FADE.is_for(contrast.role):
        looks = fade_samples(sides) if sides and len(samples) > 1 else None
        judged = judge_fade_within(looks, known.fade_priors) if looks else None
        claims[catalogue.FADE(contrast=name)] = judged
    if catalogue.NO_INVERSION.is_for(contrast.role):
        judged = judge_no_inversion_within(samples, known.ratio_priors) if samples else None
        claims[catalogue.NO_INVERSION(contrast=name)] = judged
    few = reason or "too few batch sizes were run"
    results += [
        absent(number, few) if judged is None else _claim(number, judged, samples, arms)
        for number, judged in claims.items()
    ]
    if sides and catalogue.FADE_TO.is_for(contrast.role):
        results += _fades(name, sides, known)
    if sides and catalogue.POSITION_OF_B8.is_for(contrast.role) and {1, 8, 64} <= samples.keys():
        results.append(_position_of_b8(name, sides, known, seed))
    return results


def step_ratio_results(dataset: Dataset, name: str, known: Throughputs) -> list[Result]:
    """Speed-ups of a decode step alone; `known` holds decode rates, see `read_throughputs`."""
    contrast = dataset.contrasts[name]
    sides = compared(dataset, contrast, known)
    if sides is None or not catalogue.STEP_RATIO.is_for(contrast.role):
        return []
    priors, arms = known.ratio_priors, sides.arms
    return [
        contrasted(catalogue.STEP_RATIO(contrast=name, batch=batch), sample, priors, arms)
        for batch, sample in ratio_samples(sides).items()
    ]


def _fades(name: str, sides: Compared, known: Throughputs) -> list[Result]:
    """The speed-up at a batch size over that at the next of: smallest, FADE_MIDDLE, largest."""
    run = sides.batches
    points = [b for b in run if b in (run[0], FADE_MIDDLE, run[-1])]
    pairs, priors = pair_samples(sides), known.fade_priors
    return [
        contrasted(
            catalogue.FADE_TO(contrast=name, batch=at, to=to), pairs[at, to], priors, sides.arms
        )
        for at, to in pairwise(points)
    ]


def _claim(
    number: NumberId, judgement: Judgement, samples: dict[int, Sample], arms: list[str]
) -> Result:
    return Result(
        id=number,
        value=judgement.points_agree,
        n=min(sample.repeats for sample in samples.values()),
        note=judgement.note,
        outcome=judgement.outcome,
        arms=arms,
    )


def _position_of_b8(name: str, sides: Compared, known: Throughputs, seed: int) -> Result:
    names = tuple(sides.numerator), tuple(sides.denominator)
    places: list[Place] = [(side, batch) for batch in (1, 8, 64) for side in names]
    drawn = draw_cells(known.arms, places, blocks=known.blocks, seed=seed)

    def parts(logs: Sequence[Log]) -> tuple[Log, Log]:
        one, eight, many = (logs[i] - logs[i + 1] for i in (0, 2, 4))
        return eight - many, one - many

    above, below = parts(drawn.logs)
    draws = None if drawn.draws is None else cast("tuple[Floats, Floats]", parts(drawn.draws))
    whole = "the fade from batch 1 to 64"
    found = quotient_of_draws(float(above), float(below), draws, whole=whole)
    note = "where the logarithm of batch 8's speed-up lies between batch 64's (0) and batch 1's (1)"
    arms = list(dict.fromkeys(arm for arms, _ in reversed(places) for arm in arms))
    return divided(catalogue.POSITION_OF_B8(contrast=name), found, n=drawn.n, arms=arms, note=note)


def interaction_results(dataset: Dataset, known: Throughputs) -> list[Result]:
    """How much more graphs gain with compilation than without: a quotient of two speed-ups."""
    by_role = {contrast.role: contrast for contrast in reversed(dataset.contrasts.values())}
    with_compile, without = by_role.get("graph_compiled"), by_role.get("graph_uncompiled")
    if with_compile is None or without is None:
        return []
    weights = {
        with_compile.numerator: 1.0,
        with_compile.denominator: -1.0,
        without.numerator: -1.0,
        without.denominator: 1.0,
    }
    samples = {
        batch: sample
        for batch in dataset.batch_sizes
        if (sample := sample_of_arms(known, weights, batch, "interaction")) is not None
    }
    priors = priors_of(list(samples.values()))
    reason = missing_of(dataset, *weights) or NOT_RUN
    return [
        contrasted(catalogue.INTERACTION(batch=batch), samples[batch], priors, [*weights])
        if batch in samples
        else absent(catalogue.INTERACTION(batch=batch), reason)
        for batch in dataset.batch_sizes
    ]
