"""Contrasts of arms whose repeats are blocks, with moderated variances.

A repeat is a block where all arms of the contrast were measured in it: in turn, or apart with
the order of the arms drawn anew for each repeat. The contrast is then formed in each repeat,
and its interval is Student's t over repeats, so that what a repeat does to all arms alike
cancels. Where repeats do nothing, this costs degrees of freedom alone, which moderation gives
back (`docs/statistics.md` has the simulation). Where the sides have different repeats, each
side is a sample of its own, and the interval is Welch's t.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import ROUNDING, Floats, Logs, check_level
from cudagraph_lab.statistics.error import Error
from cudagraph_lab.statistics.locations import FEW_REPEATS, WIDEST, Estimate
from cudagraph_lab.statistics.moderation import Prior, Variance, moderated, prior_of

BLOCKED_METHOD = "t over repeats as blocks"
INDEPENDENT_METHOD = "Welch t over independent repeats"
MODERATED = ", moderated variance"


@dataclass(frozen=True)
class Side:
    """Arms with equal settings, which enter a contrast as one, at a weight.

    Each arm is a mapping from its repeats to the mean of the logs there (`cells.log_means`, or
    `cells.within_processes` for a contrast of batch sizes). `name` is that of the arm or arms.
    `squares` is the sum of the squared weights of the batch sizes that make up a value, 1 for one
    batch size.
    """

    weight: float
    arms: tuple[Logs, ...]
    name: str
    squares: float = 1.0

    @property
    def scale(self) -> float:
        """Variance of a value that enters the contrast, over that of one arm at one batch size."""
        return self.weight**2 * self.squares


@dataclass(frozen=True)
class Sample:
    """A contrast on the log scale: independent groups of values whose means add up to it.

    One group, with a value per repeat, where repeats are blocks; else one per side, with a
    value per process. `scales` has, for each group, the variance of a value over that of one arm
    at one batch size, were all of these alike and independent: variances are compared after
    division by it. `repeats` is the number of repeats of the side that has the fewest.
    """

    groups: tuple[Floats, ...]
    scales: tuple[float, ...]
    blocked: bool
    repeats: int

    @property
    def log(self) -> float:
        """The contrast's logarithm."""
        return math.fsum(float(values.mean()) for values in self.groups)


@dataclass(frozen=True)
class Priors:
    """What moderates the variances of blocked samples, and of those that are not."""

    blocked: Prior | None
    independent: Prior | None


def sample_of(sides: Sequence[Side], *, blocks: bool, name: str) -> Sample:
    """The sample of a contrast: the sum over its sides of weight times mean log.

    `blocks` says whether the data set's repeats are blocks (see the module). They are used as
    such where all sides have the same repeats. Within a repeat, arms of one side count with
    their mean; without blocks every process of a side counts once. `name` is the contrast's,
    without a batch size. Raises LabError, with `name`, without a side, for a side without a
    repeat, and for a weight that is 0 or not finite.
    """
    if not sides:
        raise LabError(f"{name}: a contrast needs at least one side")
    for side in sides:
        if not math.isfinite(side.weight) or side.weight == 0:
            raise LabError(f"{name}, {side.name}: weight {side.weight}; give one that is not 0")
        if not any(side.arms):
            raise LabError(f"{name}, {side.name}: no repeat; leave the contrast out")
    repeats = [frozenset().union(*(frozenset(arm) for arm in side.arms)) for side in sides]
    fewest = min(len(of_side) for of_side in repeats)
    if blocks and len(sides) > 1 and len(set(repeats)) == 1:
        values = [
            math.fsum(side.weight * _mean_at(side.arms, repeat) for side in sides)
            for repeat in sorted(repeats[0])
        ]
        scale = math.fsum(side.scale / len(side.arms) for side in sides)
        return Sample((_sorted(values),), (scale,), True, fewest)
    groups = tuple(
        _sorted([side.weight * value for arm in side.arms for value in arm.values()])
        for side in sides
    )
    return Sample(groups, tuple(side.scale for side in sides), False, fewest)


def priors_of(samples: Sequence[Sample]) -> Priors:
    """Priors from all contrasts of one kind in a data set: all ratios, or all fades.

    Blocked samples and independent groups have priors of their own. A group that enters
    several contrasts counts once.
    """
    kinds: dict[bool, dict[bytes, Variance]] = {True: {}, False: {}}
    for sample in samples:
        for values, scale in zip(sample.groups, sample.scales, strict=True):
            if len(values) > 1:
                variance = Variance(float(values.var(ddof=1)) / scale, len(values) - 1)
                distances = np.sort(np.abs(values - values.mean())) / math.sqrt(scale)
                kinds[sample.blocked][distances.round(12).tobytes()] = variance
    return Priors(*(prior_of(list(kinds[blocked].values())) for blocked in (True, False)))


def error_of(sample: Sample, priors: Priors | None) -> Error | None:
    """The sample's uncertainty; None where a group has one value or no spread."""
    if any(len(values) == 1 or np.ptp(values) <= ROUNDING for values in sample.groups):
        return None
    prior = _prior(sample, priors)
    scales = np.array(sample.scales)
    pairs = [
        moderated(float(values.var(ddof=1)) / scale, len(values) - 1, prior)
        for values, scale in zip(sample.groups, sample.scales, strict=True)
    ]
    variances, degrees = (np.array(column) for column in zip(*pairs, strict=True))
    return Error(variances * scales, np.array([float(len(v)) for v in sample.groups]), degrees)


def estimate_sample(sample: Sample, priors: Priors | None, level: float = LEVEL) -> Estimate:
    """The contrast as a ratio, exp(log), with its interval.

    `priors` moderates the variances (`priors_of`); None leaves them as they are. `n` is the
    number of repeats of the side that has the fewest. Raises LabError for a level outside 0 to 1.
    """
    return _estimated(
        sample.log, error_of(sample, priors), sample.repeats, _method(sample, priors), level
    )


def estimate_quotient(
    first: Sample,
    first_priors: Priors | None,
    second: Sample,
    second_priors: Priors | None,
    level: float = LEVEL,
) -> Estimate:
    """First contrast over second, where the two come from different data sets.

    Nothing is paired across data sets, and each contrast keeps the priors of its own.
    """
    errors = error_of(first, first_priors), error_of(second, second_priors)
    both = None
    if errors[0] is not None and errors[1] is not None:
        both = Error(
            np.concatenate([error.variances for error in errors if error]),
            np.concatenate([error.repeats for error in errors if error]),
            np.concatenate([error.degrees for error in errors if error]),
        )
    methods = {_method(first, first_priors), _method(second, second_priors)}
    repeats = min(first.repeats, second.repeats)
    return _estimated(first.log - second.log, both, repeats, "; ".join(sorted(methods)), level)


def draw_together(cells: Sequence[Logs], size: int, seed: int) -> list[Floats] | None:
    """`size` draws of the mean log of each cell, with the cells' correlation over repeats.

    Multivariate t with n - 1 degrees of freedom, where all cells have the same n repeats: the
    cells of one process, or of arms in the same blocks. Cells whose repeats differ are drawn
    apart. None where a cell has one repeat or no spread.
    """
    if any(len(cell) < 2 or np.ptp(list(cell.values())) <= ROUNDING for cell in cells):
        return None
    by_repeats: dict[tuple[int, ...], list[int]] = {}
    for place, cell in enumerate(cells):
        by_repeats.setdefault(tuple(sorted(cell)), []).append(place)
    standard = _standard_draws(seed, size, tuple(map(len, by_repeats)))
    drawn: dict[int, Floats] = {}
    for (repeats, places), (errors, scale) in zip(by_repeats.items(), standard, strict=True):
        values = np.array([[cells[place][repeat] for place in places] for repeat in repeats])
        mean = values.mean(axis=0)
        normal = errors @ (values - mean)
        for place, column in zip(places, (mean + normal / scale).T, strict=True):
            drawn[place] = np.asarray(column, dtype=np.float64)
    return [drawn[place] for place in range(len(cells))]


@functools.lru_cache(maxsize=8)
def _standard_draws(
    seed: int, size: int, repeats: tuple[int, ...]
) -> tuple[tuple[Floats, Floats], ...]:
    """For each group of so many repeats, standard normal errors and what scales them to a t.

    Shapes: size x repeats, and size x 1. Contrasts of a data set differ in their values alone.
    """
    rng = np.random.default_rng(seed)
    return tuple(
        (
            rng.standard_normal((size, n)),
            np.sqrt(rng.chisquare(n - 1, (size, 1)) / (n - 1) * (n * (n - 1))),
        )
        for n in repeats
    )


def _estimated(log: float, error: Error | None, n: int, method: str, level: float) -> Estimate:
    check_level(level)
    value = float(np.exp(log))
    if error is None:
        why = "one repeat" if n == 1 else "equal repeats, spread not resolved"
        return Estimate(value, None, None, n, None, f"{why}: no interval", exact=n > 1)
    note = None
    if n < FEW_REPEATS:
        note = (
            f"{n} repeats are few: the interval rests on a t distribution with "
            f"{error.total_degrees:.1f} degrees of freedom"
        )
    half_width = error.half_width(level)
    if not math.isfinite(half_width) or half_width > math.log(WIDEST) / 2:
        return Estimate(value, None, None, n, None, "spread too wide: no interval")
    low, high = (float(np.exp(log + sign * half_width)) for sign in (-1, 1))
    return Estimate(value, low, high, n, method, note)


def _method(sample: Sample, priors: Priors | None) -> str:
    method = BLOCKED_METHOD if sample.blocked else INDEPENDENT_METHOD
    return method + MODERATED if _prior(sample, priors) is not None else method


def _prior(sample: Sample, priors: Priors | None) -> Prior | None:
    if priors is None:
        return None
    return priors.blocked if sample.blocked else priors.independent


def _mean_at(arms: Sequence[Mapping[int, float]], repeat: int) -> float:
    values = [arm[repeat] for arm in arms if repeat in arm]
    return math.fsum(values) / len(values)


def _sorted(values: Sequence[float]) -> Floats:
    """As an array in ascending order, so that the order of repeats changes nothing."""
    return np.sort(np.asarray(values, dtype=np.float64))
