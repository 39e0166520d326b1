"""Claims about the shape of a speed-up over batch sizes, from several looks at the data."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import special

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics import LEVEL
from cudagraph_lab.statistics.cells import ArmLogs, within_processes
from cudagraph_lab.statistics.contrasts import Priors, Sample, Side, error_of, sample_of
from cudagraph_lab.statistics.uncertainty import Error

Outcome = Literal["supported", "contradicted", "not settled"]
THRESHOLD = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Compared:
    """Two sides that are compared, each with its arms by name, as mean logs by batch size.

    Arms of a side have equal settings and count as one. `blocks` as in `contrasts.sample_of`.
    """

    numerator: Mapping[str, ArmLogs]
    denominator: Mapping[str, ArmLogs]
    blocks: bool

    @property
    def arms(self) -> list[str]:
        """The names of all arms, those of the numerator first."""
        return [*self.numerator, *self.denominator]

    @property
    def batches(self) -> list[int]:
        """The batch sizes that all arms have, in order."""
        arms = [*self.numerator.values(), *self.denominator.values()]
        return sorted(set.intersection(*(set(arm) for arm in arms))) if arms else []

    def sample(self, weights: Mapping[int, float]) -> Sample:
        """The speed-ups at these batch sizes, each to the power of its weight, as one sample."""
        squares = math.fsum(weight**2 for weight in weights.values())
        sides = []
        for sign, arms in ((1.0, self.numerator), (-1.0, self.denominator)):
            name = next(iter(arms))
            logs = tuple(within_processes(arm, weights, name=name) for arm in arms.values())
            sides.append(Side(sign, logs, name, squares))
        name = " over ".join(side.name for side in sides)
        return sample_of(sides, blocks=self.blocks, name=name)


@dataclass(frozen=True)
class Look:
    """One of several looks at the data: the claim is that a contrast exceeds 1.

    `p_above` and `p_below` are one-sided, after Holm's correction over all looks: small
    `p_above` is evidence that the true value lies above 1. None where there is no interval.
    """

    batch_sizes: tuple[int, ...]
    p_above: float | None
    p_below: float | None

    @property
    def outcome(self) -> Outcome:
        """A look is settled at half of what lies outside an interval, on one side."""
        if self.p_above is not None and self.p_above <= THRESHOLD:
            return "supported"
        if self.p_below is not None and self.p_below <= THRESHOLD:
            return "contradicted"
        return "not settled"


@dataclass(frozen=True)
class Judgement:
    """All looks at one claim.

    `points_agree` says whether the point estimates alone lie as claimed, which is all a single
    observation can show.
    """

    looks: tuple[Look, ...]
    points_agree: bool
    note: str | None

    @property
    def outcome(self) -> Outcome:
        """Supported: every look is. Contradicted: at least one look is."""
        outcomes = {look.outcome for look in self.looks}
        if "contradicted" in outcomes:
            return "contradicted"
        return "supported" if outcomes == {"supported"} else "not settled"


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for several looks (Holm 1979), in the order given.

    Valid whatever the dependence between the looks. SciPy offers corrections for the false
    discovery rate only. Raises LabError for a value outside 0 to 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise LabError(f"p-values {list(p_values)}: each must lie between 0 and 1")
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * p[order]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(x) for x in adjusted]


def ratio_samples(compared: Compared) -> dict[int, Sample]:
    """The speed-up at each batch size that both sides have, by batch size."""
    return {batch: compared.sample({batch: 1.0}) for batch in compared.batches}


def fade_samples(compared: Compared) -> dict[tuple[int, ...], Sample]:
    """The looks at a speed-up's fall, taken inside each process, by the batch sizes that enter.

    First the end points: the speed-up at the smallest batch size over that at the largest. Then,
    from three batch sizes on, the fall of the least-squares line of the log speed-up in log
    batch, over the same range. Raises LabError for fewer than two batch sizes.
    """
    batches = compared.batches
    if len(batches) < 2:
        raise LabError(f"fade: {len(batches)} batch sizes given; give at least two")
    looks = [{batches[0]: 1.0, batches[-1]: -1.0}]
    if len(batches) > 2:
        place = np.log(batches) - np.log(batches).mean()
        fall = -place * np.ptp(place) / (place @ place)
        looks.append(dict(zip(batches, fall.tolist(), strict=True)))
    return {tuple(weights): compared.sample(weights) for weights in looks}


def pair_samples(compared: Compared) -> dict[tuple[int, int], Sample]:
    """The speed-up at a batch size over that at a larger one, for every pair of them.

    Give the pairs of all contrasts of a data set to `contrasts.priors_of`: the fades' priors rest
    on them.
    """
    return {
        (small, large): compared.sample({small: 1.0, large: -1.0})
        for small, large in combinations(compared.batches, 2)
    }


def judge_fade_within(
    samples: Mapping[tuple[int, ...], Sample], priors: Priors | None
) -> Judgement:
    """Whether the speed-up falls over the batch sizes, from `fade_samples`.

    One look at the end points and one at the slope, with Holm's correction. `priors` are those
    of `pair_samples` over all contrasts of the data set; None leaves variances as they are.
    """
    return _judge(samples, priors, lambda value: value > 1)


def judge_no_inversion_within(samples: Mapping[int, Sample], priors: Priors | None) -> Judgement:
    """Whether the speed-up is at least 1 at every batch size, from `ratio_samples`.

    One one-sided look per batch size, with Holm's correction: one finding, whatever their
    number. `priors` are those of the ratios of all contrasts of the data set. A look is never
    settled while its interval covers 1. Raises LabError without a look.
    """
    if not samples:
        raise LabError("no inversion: no batch size given; give at least one")
    looks: dict[tuple[int, ...], Sample] = {(batch,): sample for batch, sample in samples.items()}
    return _judge(looks, priors, lambda value: value >= 1)


def _judge(
    samples: Mapping[tuple[int, ...], Sample],
    priors: Priors | None,
    as_claimed: Callable[[float], bool],
) -> Judgement:
    above: list[float | None] = []
    below: list[float | None] = []
    for sample in samples.values():
        error = error_of(sample, priors)
        above.append(None if error is None else _tail(-sample.log, error))
        below.append(None if error is None else _tail(sample.log, error))
    looks = map(Look, samples, _holm_where_known(above), _holm_where_known(below))
    note = None
    if all(sample.repeats == 1 for sample in samples.values()):
        note = "single observation: order only"
    elif None in above:
        note = "not every look has an interval: order only where it has none"
    agree = all(as_claimed(float(np.exp(sample.log))) for sample in samples.values())
    return Judgement(tuple(looks), agree, note)


def _tail(log: float, error: Error) -> float:
    """The chance of a value this far below 0, or farther, if the truth is 0."""
    return float(special.stdtr(error.total_degrees, log / error.standard_error))


def _holm_where_known(p_values: Sequence[float | None]) -> list[float | None]:
    adjusted = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(adjusted) for p in p_values]
