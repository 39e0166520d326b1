"""Coverage of 95% intervals as the rules now stand, by simulation with known truth.

Four arms (eager, eager again, compiled, graphs) at five batch sizes. The log of a call's rate is
the sum of what the repeat does to all arms, what the process does to all of its batch sizes,
what a burst of other load does to one cell, and the iteration's own noise. All but the last
are normal, or exponential with mean 0: rare, strong bursts. Their standard deviation without
the repeat's part is 15%; `blocks` is the share of the repeat's part in the variance. A quiet arm
(graphs) has a third of the others' spread.

The rules: priors over all contrasts, a test decides whether repeats are blocks ("tested"
below) unless arms are measured in turn ("in turn"), eager again is pooled into eager. Each row
gives, in percent, how often an interval holds the truth: for the ratio of compiled and of
graphs to eager over all batch sizes, for an arm against itself, for the fade over the end points
and its slope, for spread between repeats; then the median half-width of the ratio's interval, in
percent, beside that of Welch's t.

Run it with `python -m bench.coverage`, or with `normal` or `exponential` behind it for half of the
table; a half takes some two minutes on one core. Standard errors are about 0.8 points for
ratios, spread and an arm against itself, and one point for fade and slope.
"""

import itertools
import math
import sys
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cudagraph_lab.statistics.blocks import repeats_are_blocks
from cudagraph_lab.statistics.cells import logs_by_batch
from cudagraph_lab.statistics.contrasts import estimate_sample, priors_of
from cudagraph_lab.statistics.means import Estimate
from cudagraph_lab.statistics.shapes import Compared, fade_samples, pair_samples, ratio_samples
from cudagraph_lab.statistics.spread import spread_between

EXPERIMENTS = 150
SEED = 20240504
BATCHES = (1, 8, 9, 33, 64)
ARMS = ("eager", "eager-again", "compiled", "graphs")
CONTRASTS = (("compiled", "eager"), ("graphs", "eager"), ("graphs", "compiled"))
SPREAD, ITERATION, ITERATIONS = 0.15, 0.10, 5
OF_PROCESS = 0.4  # of the variance of an arm's own part; the rest is the cell's
KINDS = ("normal", "exponential")  # effects of repeats, processes and bursts
REPEATS = (3, 5, 8)
COLUMNS = ("ratio", "itself", "fade", "slope", "between", "±ratio", "±Welch")

Floats = NDArray[np.float64]
Rates = dict[str, dict[int, dict[int, list[float]]]]


@dataclass
class Tally:
    """Whether intervals held the truth, and their half-widths, by column."""

    held: dict[str, list[bool]] = field(default_factory=lambda: {c: [] for c in COLUMNS})
    widths: dict[str, list[float]] = field(default_factory=lambda: {c: [] for c in COLUMNS})

    def add(self, column: str, low: float | None, high: float | None, truth: float) -> None:
        """One interval; none at all counts as a miss."""
        held = low is not None and high is not None and low <= truth <= high
        self.held[column].append(held)


def simulate(
    rng: np.random.Generator, repeats: int, blocks: float, bursts: bool, quiet: bool
) -> Rates:
    """Rates by arm, batch size and repeat; the true log location of every cell is 0."""

    def effect(*shape: int) -> Floats:
        return rng.exponential(size=shape) - 1 if bursts else rng.normal(size=shape)

    scale = np.array([1 / 3 if quiet and arm == "graphs" else 1.0 for arm in ARMS])[:, None, None]
    many, sizes = len(ARMS), len(BATCHES)
    own = math.sqrt(OF_PROCESS) * effect(many, repeats, 1)
    own = own + math.sqrt(1 - OF_PROCESS) * effect(many, repeats, sizes)
    shared = SPREAD * math.sqrt(blocks / (1 - blocks)) * effect(1, repeats, 1)
    noise = ITERATION * scale[..., None] * rng.normal(size=(many, repeats, sizes, ITERATIONS))
    rates = np.exp((SPREAD * scale * own + shared)[..., None] + noise)
    return {
        arm: {
            batch: {r: rates[a, r, b].tolist() for r in range(repeats)}
            for b, batch in enumerate(BATCHES)
        }
        for a, arm in enumerate(ARMS)
    }


def experiment(rates: Rates, in_turn: bool, truth: float, tally: Tally) -> None:
    """Judge one simulated data set; `truth` is the spread between repeats, as a share."""
    logs = {arm: logs_by_batch(cells, name=arm) for arm, cells in rates.items()}
    blocks = in_turn or repeats_are_blocks(list(logs.values()))

    def compared(numerator: str, *denominator: str, blocks: bool = blocks) -> Compared:
        return Compared({numerator: logs[numerator]}, {n: logs[n] for n in denominator}, blocks)

    sides = {names: compared(names[0], *pooled(names[1])) for names in CONTRASTS}
    ratios = {names: ratio_samples(both) for names, both in sides.items()}
    itself = ratio_samples(compared("eager-again", "eager"))
    pairs = [pair for both in sides.values() for pair in pair_samples(both).values()]
    of_ratios = priors_of([s for x in (*ratios.values(), itself) for s in x.values()])
    of_fades = priors_of(pairs)
    for names in CONTRASTS[:2]:
        for sample in ratios[names].values():
            found = estimate_sample(sample, of_ratios)
            tally.add("ratio", found.low, found.high, 1)
            tally.widths["±ratio"].append(half_width(found))
        fades = fade_samples(sides[names])
        for column, sample in zip(("fade", "slope"), fades.values(), strict=True):
            found = estimate_sample(sample, of_fades)
            tally.add(column, found.low, found.high, 1)
        welch = estimate_sample(compared(*names, blocks=False).sample({1: 1.0}), None)
        tally.widths["±Welch"].append(half_width(welch))
    for sample in itself.values():
        found = estimate_sample(sample, of_ratios)
        tally.add("itself", found.low, found.high, 1)
    for batch in BATCHES:
        spread = spread_between(list(rates["compiled"][batch].values()))
        low, high = spread.interval or (None, None)
        tally.add("between", low, high, truth)


def pooled(arm: str) -> tuple[str, ...]:
    """The arms that count as this one."""
    return ("eager", "eager-again") if arm == "eager" else (arm,)


def half_width(found: Estimate) -> float:
    """Half the width of an interval on the log scale; infinite where there is none."""
    if found.low is None or found.high is None:
        return math.inf
    return math.log(found.high / found.low) / 2


def as_cv(variance: float) -> float:
    """The coefficient of variation of a lognormal with this log variance."""
    return math.sqrt(math.expm1(variance))


def main(kinds: list[str]) -> None:
    """Print the table of these kinds of effects, as Markdown."""
    print("| effects | arms | blocks | repeats | " + " | ".join(COLUMNS) + " |")
    print("|---" * (4 + len(COLUMNS)) + "|")
    rows = itertools.product(kinds, (False, True), (False, True), (0.0, 0.5), REPEATS)
    for kind, quiet, in_turn, blocks, repeats in rows:
        # Every row has random numbers of its own, so that it can be run alone.
        row = [KINDS.index(kind), int(quiet), int(in_turn), int(100 * blocks), repeats]
        rng = np.random.default_rng([SEED, *row])
        truth = as_cv(SPREAD**2 / (1 - blocks))
        tally = Tally()
        for _ in range(EXPERIMENTS):
            rates = simulate(rng, repeats, blocks, kind == "exponential", quiet)
            experiment(rates, in_turn, truth, tally)
        rule = f"{blocks:.0%}, {'in turn' if in_turn else 'tested'}"
        cells = [kind, "one quiet" if quiet else "alike", rule, str(repeats)]
        cells += [f"{100 * np.mean(tally.held[c]):.1f}" for c in COLUMNS[:5]]
        cells += [f"{100 * np.median(tally.widths[c]):.0f}" for c in COLUMNS[5:]]
        print("| " + " | ".join(cells) + " |")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:] or list(KINDS))
