"""The throughputs of a data set as blocks, and what all contrasts of it share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.cells import repeats_of
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.blocks import repeats_are_blocks
from cudagraph_lab.statistics.cells import log_means
from cudagraph_lab.statistics.contrasts import Priors, Sample, Side, priors_of, sample_of
from cudagraph_lab.statistics.shapes import fade_samples, pair_samples, ratio_samples

# Batch size, repeat, and the values of its timed calls.
ArmCells = Mapping[int, Mapping[int, Sequence[float]]]
Sides = tuple[list[str], list[str]]  # the arms that count as numerator and as denominator


@dataclass(frozen=True)
class Throughputs:
    """Timed throughputs by arm, and the variances that moderate those of single contrasts.

    `steps` holds seconds per decode step: measured from first to last token, else a batch over
    its throughput, prefill included. `blocks` says whether repeats are blocks: arms in turn share
    theirs by design, arms apart where the data show it.
    """

    arms: Mapping[str, ArmCells]
    steps: Mapping[str, ArmCells]
    blocks: bool
    ratio_priors: Priors | None
    fade_priors: Priors | None


def read_throughputs(
    dataset: Dataset, table: pd.DataFrame, *, decode_alone: bool = False
) -> Throughputs:
    """The throughputs of a data set's timed calls; `table` is that of its observations.

    With `decode_alone` they are batch over seconds per decode step, so that prefill and the first
    token are left out.
    """
    rates, decoding = (timed_by_arm(table, name) for name in ("throughput", "decode_s_per_step"))
    arms: Mapping[str, ArmCells] = rates
    if decode_alone:
        arms = {
            arm: {batch: _over(batch, cell) for batch, cell in cells.items()}
            for arm, cells in decoding.items()
        }
    steps = _steps(rates, decoding)
    blocks = dataset.measured == "in_turn" or _share_repeats(arms)
    without = Throughputs(arms, steps, blocks, None, None)
    ratios: list[Sample] = []
    pairs: list[Sample] = []
    for contrast in dataset.contrasts.values():
        # The two sides of co-residence are minutes apart: their variance is no other contrast's.
        if contrast.role == "co_resident":
            continue
        if (sides := sides_of(dataset, contrast, without)) is not None:
            ratios += samples_of(without, sides).values()
            pairs += pairs_of(without, sides).values()
    return Throughputs(arms, steps, blocks, priors_of(ratios), priors_of(pairs))


def read_steps(table: pd.DataFrame) -> dict[str, ArmCells]:
    """Seconds per decode step of the timed calls, by arm; see `Throughputs`."""
    return _steps(timed_by_arm(table, "throughput"), timed_by_arm(table, "decode_s_per_step"))


def _steps(rates: Mapping[str, ArmCells], decoding: Mapping[str, ArmCells]) -> dict[str, ArmCells]:
    return {
        arm: {
            batch: decoding.get(arm, {}).get(batch) or _over(batch, cell)
            for batch, cell in cells.items()
        }
        for arm, cells in rates.items()
    }


def timed_by_arm(
    table: pd.DataFrame, quantity: str
) -> dict[str, dict[int, dict[int, list[float]]]]:
    """What the timed calls observed of a quantity: by arm, batch size and repeat."""
    arms: dict[str, dict[int, dict[int, list[float]]]] = {}
    for (arm, _, batch), repeats in repeats_of(table, "timed", quantity).items():
        if batch is not None:
            arms.setdefault(arm, {})[batch] = repeats
    return arms


def _over(batch: int, cell: Mapping[int, Sequence[float]]) -> dict[int, list[float]]:
    """Rates of steps, or steps of rates: the batch size over each."""
    return {repeat: [batch / value for value in values] for repeat, values in cell.items()}


def _share_repeats(arms: Mapping[str, ArmCells]) -> bool:
    common = set.intersection(*(set(arm) for arm in arms.values())) if arms else set()
    return bool(common) and repeats_are_blocks(list(arms.values()))


def sides_of(dataset: Dataset, contrast: Contrast, known: Throughputs) -> Sides | None:
    """The arms of each side of a contrast; None where a side was not measured.

    Timed arms with equal settings count as one: `eager-again` beside `eager`. An arm
    against itself is never pooled, since its ratio is the noise floor.
    """
    if contrast.numerator not in known.arms or contrast.denominator not in known.arms:
        return None
    if contrast.role == "a_a":
        return [contrast.numerator], [contrast.denominator]
    return (
        alike(dataset, contrast.numerator, known.arms),
        alike(dataset, contrast.denominator, known.arms),
    )


def alike(dataset: Dataset, arm: str, measured: Mapping[str, ArmCells]) -> list[str]:
    """The arm, and those with its purpose and settings, measured as it was, that have all of its
    batch sizes.
    """
    facts = dataset.arms[arm]
    others = [
        name
        for name, other in dataset.arms.items()
        if name != arm
        and (other.purpose, other.settings) == (facts.purpose, facts.settings)
        and other.measured == facts.measured
        and measured.get(name, {}).keys() >= measured[arm].keys()
    ]
    return [arm, *others]


def samples_of(known: Throughputs, sides: Sides) -> dict[int, Sample]:
    """The speed-up at each batch size that both sides have."""
    return ratio_samples(*_cells(known, sides), names=_names(sides), blocks=known.blocks)


def looks_of(known: Throughputs, sides: Sides) -> dict[tuple[int, ...], Sample]:
    """The looks at a speed-up's fall over the batch sizes; see `shapes.fade_samples`."""
    return fade_samples(*_cells(known, sides), names=_names(sides), blocks=known.blocks)


def sample_of_arms(
    known: Throughputs, weights: Mapping[str, float], batch: int, name: str
) -> Sample | None:
    """The product of arms' rates, each to the power of its weight; None where one was not run."""
    if any(batch not in known.arms.get(arm, {}) for arm in weights):
        return None
    sides = [
        Side(weight, (log_means(known.arms[arm][batch], name=arm),), arm)
        for arm, weight in weights.items()
    ]
    return sample_of(sides, blocks=known.blocks, name=name)


def pairs_of(known: Throughputs, sides: Sides) -> dict[tuple[int, int], Sample]:
    """The speed-up at a batch size over that at a larger one, for every pair of them."""
    cells = _cells(known, sides)
    batches = sorted(set.intersection(*(set(arm) for side in cells for arm in side)))
    samples = pair_samples(*cells, names=_names(sides), blocks=known.blocks)
    return dict(zip(combinations(batches, 2), samples, strict=True))


def _cells(known: Throughputs, sides: Sides) -> tuple[list[ArmCells], list[ArmCells]]:
    return [known.arms[arm] for arm in sides[0]], [known.arms[arm] for arm in sides[1]]


def _names(sides: Sides) -> tuple[str, str]:
    return sides[0][0], sides[1][0]
