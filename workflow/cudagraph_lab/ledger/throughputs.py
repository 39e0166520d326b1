"""The throughputs of a data set as blocks, and what all contrasts of it share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.cells import repeats_of
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.blocks import repeats_are_blocks
from cudagraph_lab.statistics.cells import ArmLogs, logs_by_batch
from cudagraph_lab.statistics.contrasts import Priors, Sample, Side, priors_of, sample_of
from cudagraph_lab.statistics.shapes import Compared, pair_samples, ratio_samples

_Cells = Mapping[int, Mapping[int, Sequence[float]]]  # batch size, repeat, values of timed calls
Logs = Mapping[str, ArmLogs]  # by arm


@dataclass(frozen=True)
class Throughputs:
    """Timed throughputs by arm, and the variances that moderate those of single contrasts.

    `arms` and `steps` hold the mean logs of each repeat, `steps` of seconds per decode step:
    measured from first to last token, else a batch over its throughput, prefill included. `blocks`
    says whether repeats are blocks: arms in turn share theirs by design, arms apart where the data
    show it.
    """

    arms: Logs
    steps: Logs
    blocks: bool
    ratio_priors: Priors | None
    fade_priors: Priors | None


def read_throughputs(
    dataset: Dataset, table: pd.DataFrame, *, decode_alone: bool = False
) -> Throughputs:
    """The throughputs of a data set's timed calls; `table` is that of its observations.

    With `decode_alone` they are batch over seconds per decode step, so that prefill and the first
    token are left out. Raises LabError for a value that cannot be a measurement.
    """
    rates, decoding = (_timed_by_arm(table, name) for name in ("throughput", "decode_s_per_step"))
    arms = _logs(_over_batch(decoding) if decode_alone else rates)
    steps = _steps(rates, decoding)
    blocks = dataset.measured == "in_turn" or _share_repeats(arms)
    without = Throughputs(arms, steps, blocks, None, None)
    ratios: list[Sample] = []
    pairs: list[Sample] = []
    for contrast in dataset.contrasts.values():
        # The two sides of co-residence are minutes apart: their variance is no other contrast's.
        if contrast.role == "co_resident":
            continue
        if (sides := compared(dataset, contrast, without)) is not None:
            ratios += ratio_samples(sides).values()
            pairs += pair_samples(sides).values()
    return Throughputs(arms, steps, blocks, priors_of(ratios), priors_of(pairs))


def read_steps(table: pd.DataFrame) -> Logs:
    """Seconds per decode step of the timed calls, as mean logs; see `Throughputs`."""
    return _steps(_timed_by_arm(table, "throughput"), _timed_by_arm(table, "decode_s_per_step"))


def _steps(rates: Mapping[str, _Cells], decoding: Mapping[str, _Cells]) -> Logs:
    by_rate = _over_batch(rates)
    return _logs({arm: {**cells, **decoding.get(arm, {})} for arm, cells in by_rate.items()})


def logs_by_arm(table: pd.DataFrame, quantity: str) -> Logs:
    """What the timed calls observed of a quantity, as the mean logs of each repeat."""
    return _logs(_timed_by_arm(table, quantity))


def _logs(arms: Mapping[str, _Cells]) -> Logs:
    return {arm: logs_by_batch(cells, name=arm) for arm, cells in arms.items()}


def _timed_by_arm(table: pd.DataFrame, quantity: str) -> Mapping[str, _Cells]:
    arms: dict[str, dict[int, dict[int, list[float]]]] = {}
    for (arm, _, batch), repeats in repeats_of(table, "timed", quantity).items():
        if batch is not None:
            arms.setdefault(arm, {})[batch] = repeats
    return arms


def _over_batch(arms: Mapping[str, _Cells]) -> Mapping[str, _Cells]:
    """Rates of steps, or steps of rates: the batch size over each."""
    return {
        arm: {
            batch: {repeat: [batch / value for value in values] for repeat, values in cell.items()}
            for batch, cell in cells.items()
        }
        for arm, cells in arms.items()
    }


def _share_repeats(arms: Logs) -> bool:
    common = set.intersection(*(set(arm) for arm in arms.values())) if arms else set()
    return bool(common) and repeats_are_blocks(list(arms.values()))


def compared(dataset: Dataset, contrast: Contrast, known: Throughputs) -> Compared | None:
    """The two sides of a contrast; None where one was not measured.

    Timed arms with equal settings count as one: `eager-again` beside `eager`. An arm
    against itself is never pooled, since its ratio is the noise floor.
    """
    names = contrast.numerator, contrast.denominator
    if any(arm not in known.arms for arm in names):
        return None
    sides = ([arm] if contrast.role == "a_a" else alike(dataset, arm, known.arms) for arm in names)
    numerator, denominator = ({arm: known.arms[arm] for arm in side} for side in sides)
    return Compared(numerator, denominator, known.blocks)


def alike(dataset: Dataset, arm: str, measured: Logs) -> list[str]:
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


def sample_of_arms(
    known: Throughputs, weights: Mapping[str, float], batch: int, name: str
) -> Sample | None:
    """The product of arms' rates, each to the power of its weight; None where one was not run."""
    if any(batch not in known.arms.get(arm, {}) for arm in weights):
        return None
    sides = [Side(weight, (known.arms[arm][batch],), arm) for arm, weight in weights.items()]
    return sample_of(sides, blocks=known.blocks, name=name)
