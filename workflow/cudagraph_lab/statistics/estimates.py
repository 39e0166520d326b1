"""Estimates, intervals and multiple looks for cells of repeated measurements.

A *cell* is one arm at one batch size: the outer sequence holds repeats (fresh processes), the
inner one the values of the timed iterations in that process. All values are positive, in any
one unit, and may be durations or rates: everything is done on logs, so that a mean of seconds
and a mean of tokens per second are each other's reciprocal, and a ratio of means is the mean
ratio. The location of a cell is the geometric mean over repeats of the geometric mean over the
repeat's iterations: a repeat counts once, however many iterations it has.

Only repeats are independent, so only the spread between them carries an interval. The method
is chosen by simulation with known truth (`bench/coverage.py` prints the table):

- Fewer than `BOOTSTRAP_FROM` repeats in any cell: Welch's t on the logs of the repeats' means
  (Welch 1947, with Satterthwaite's degrees of freedom), Student's where there is one cell. The
  bootstrap cannot reach its level there: at 3 repeats its percentile form covers as little as
  73%. Pooling the arms' spreads fails (83%) where they differ and the repeats do too.
- From `BOOTSTRAP_FROM` on: the hierarchical bootstrap (processes, then iterations) in its
  studentised form (Davison and Hinkley 1997, sections 3.8 and 5.2). The percentile form holds
  at no number of repeats: it is too narrow at 10 (89%), and, since resampling iterations inside
  resampled processes counts the spread within a process twice, too wide even at 20 (99%) where
  that spread dominates. Dividing each resample by its own standard error cures both.

So a nominal 95% covers 92 to 97% for 3 to 20 repeats, normal and moderately skewed process
effects, and arms up to three times as wide as each other. It falls to 91% where the wider,
skewed arm also has fewer of very few repeats (3 against 5), and rises to 98% at 2 repeats.
"""

import math
import zlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics import LEVEL

Cell = Sequence[Sequence[float]]
Outcome = Literal["supported", "contradicted", "not settled"]
Floats = NDArray[np.float64]
Contrasts = dict[tuple[int, ...], list["Term"]]  # by the batch sizes that enter

T_METHOD = "Welch t on log repeat means"
BOOTSTRAP_METHOD = "studentised hierarchical bootstrap"

BOOTSTRAP_FROM = 10  # repeats; its coverage is shown from here on
FEW_REPEATS = 5  # with 4 repeats of one cell, t is still 1.6 times the normal quantile
RESAMPLES = 10_000
WIDEST = 100  # high over low; beyond two orders of magnitude an interval only says "measure more"
DRAWN_AT_ONCE = 1 << 20  # values; bounds the memory, whatever the number of repeats
# The logs of equal values can differ by rounding: a spread below this is not a spread.
ROUNDING = 1e-12
# A resample whose standard error has fallen below this share of the data's own has lost the
# repeat that carries the spread; its t value says nothing.
COLLAPSED = 0.1
MOST_REPEATS = 10_000  # beyond it, "run more repeats" is no advice

# Steady state: see `steady_state`.
PRIOR_SD = 0.02
PRIOR_DEGREES = 4
FLAG_AT = 0.01


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    `n` is the number of repeats, that of the smallest cell where several enter. `low` and
    `high` bound the central interval and are None, as is `method`, where n or the data allow
    none. `note` says in one phrase what a reader must know, or is None.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str | None
    note: str | None
    exact: bool = False  # all repeats are equal: no spread is resolved, and none is needed


@dataclass(frozen=True)
class Term:
    """A cell in a log-linear contrast: it enters as location(cell) ** weight."""

    cell: Cell
    weight: float
    name: str


@dataclass(frozen=True)
class Components:
    """Spread of a cell as coefficients of variation (0.05 is 5%); None where not identified.

    `iterations_per_repeat` is the mean number.
    """

    between_cv: float | None
    within_cv: float | None
    repeats: int
    iterations_per_repeat: float
    note: str | None


@dataclass(frozen=True)
class Look:
    """One of several looks at the data: the claim is that the estimate's value exceeds 1.

    `p_above` and `p_below` are one-sided, after Holm's correction over all looks: small
    `p_above` is evidence that the true value lies above 1. None where there is no interval.
    """

    batch_sizes: tuple[int, ...]
    estimate: Estimate
    p_above: float | None
    p_below: float | None
    outcome: Outcome


@dataclass(frozen=True)
class Judgement:
    """All looks at one claim, and the outcome over them.

    Supported: every look is. Contradicted: at least one look is. `points_agree` says whether
    the point estimates alone lie as claimed, which is all a single observation can show.
    """

    looks: tuple[Look, ...]
    outcome: Outcome
    points_agree: bool
    note: str | None


@dataclass(frozen=True)
class Steadiness:
    """Whether one process had reached its steady state; shares, so 0.05 is 5%.

    `first_excess` is the first iteration over the geometric mean of the others, minus 1;
    `drift_per_iteration` the growth from each iteration to the next. Both are None below three
    iterations. `reason` says what was seen (or why nothing could be), `remedy` what to do.
    """

    drift_per_iteration: float | None
    first_excess: float | None
    flagged: bool
    reason: str | None
    remedy: str | None


def estimate_mean(cell: Cell, seed: int, level: float = LEVEL, *, name: str = "cell") -> Estimate:
    """Geometric mean of a cell, in the cell's unit; see `estimate_contrast`."""
    return estimate_contrast([Term(cell, 1, name)], seed, level)


def estimate_ratio(
    numerator: Cell,
    denominator: Cell,
    seed: int,
    level: float = LEVEL,
    *,
    names: tuple[str, str] = ("numerator", "denominator"),
) -> Estimate:
    """Ratio of two independent cells' geometric means; see `estimate_contrast`.

    The value is exactly that of `estimate_mean(numerator)` over that of
    `estimate_mean(denominator)`.
    """
    terms = [Term(numerator, 1, names[0]), Term(denominator, -1, names[1])]
    return estimate_contrast(terms, seed, level)


def estimate_contrast(terms: Sequence[Term], seed: int, level: float = LEVEL) -> Estimate:
    """Product of the cells' locations, each to the power of its weight, with an interval.

    Weights +1 and -1 on two cells give a ratio; +1, -1, -1, +1 on the cells of a 2x2 factorial
    give its interaction as a ratio of ratios, and halves its main effects. The cells are taken
    to be independent. `seed` matters only where the bootstrap is used (see the module's
    docstring). The interval does not depend on the order of repeats or iterations.

    Raises LabError, with the cell's name, for an empty cell or repeat and for a value that is
    not a positive finite number; for a cell that enters twice, since its spread would be
    counted as two independent ones; for a weight of 0; and for a level outside 0 to 1.
    """
    return _estimate(_read(terms), seed, level)


def draw_locations(cell: Cell, size: int, seed: int, *, name: str = "cell") -> Floats | None:
    """`size` plausible values of a cell's location, to carry its uncertainty through a formula.

    From the t distribution that its interval at few repeats rests on: the logs of the
    repeats' means, their standard error, n - 1 degrees of freedom. None where the cell has
    no interval. Raises LabError as `estimate_contrast` does.
    """
    (read,) = _read([Term(cell, 1, name)])
    spread = _spread([read])
    if spread is None:
        return None
    n = len(read.means)
    error = math.sqrt(spread.variances[0] / n)
    draws = np.random.default_rng(seed).standard_t(n - 1, size)
    return np.asarray(read.location * np.exp(error * draws), dtype=np.float64)


def t_quantile(degrees: int, level: float = LEVEL) -> float:
    """Student's t quantile that bounds the central `level`, for whole degrees of freedom."""
    _check_level(level)
    return float(special.stdtrit(degrees, (1 + level) / 2))


def variance_components(cell: Cell, *, name: str = "cell") -> Components:
    """Spread between repeats and within them: one-way random effects on logs.

    Method of moments for unequal group sizes (Searle, Casella and McCulloch 1992, section 3.6):
    between = (MSB - MSW) / m0. A log variance v is given as the coefficient of variation of the
    lognormal, sqrt(exp(v) - 1). A negative estimate of the between part is set to 0 and the
    note says so. Raises LabError as `estimate_contrast` does.
    """
    (read,) = _read([Term(cell, 1, name)])
    means, counts = read.means, read.counts.astype(np.float64)
    repeats, total = len(means), float(counts.sum())
    per_repeat = total / repeats
    if total == repeats:
        note = "one iteration per repeat: spread between and within cannot be told apart"
        return Components(None, None, repeats, per_repeat, note)
    squares = np.where(read.present, (read.logs - means[:, None]) ** 2, 0.0)
    within = float(squares.sum()) / (total - repeats)
    within_cv = math.sqrt(_expm1(within, name))
    if repeats == 1:
        note = "one repeat: spread between repeats is not known"
        return Components(None, within_cv, repeats, per_repeat, note)
    grand = float(counts @ means) / total
    mean_square = float(counts @ (means - grand) ** 2) / (repeats - 1)
    effective = (total - float(counts @ counts) / total) / (repeats - 1)
    between = (mean_square - within) / effective
    clamped = "repeats differ by less than their iterations do: spread between them set to 0"
    between_cv = math.sqrt(_expm1(max(between, 0.0), name))
    return Components(between_cv, within_cv, repeats, per_repeat, clamped if between < 0 else None)


def more_repeats_to_halve(terms: Sequence[Term], level: float = LEVEL) -> int | None:
    """How many more repeats in every cell would halve the interval's width, on the log scale.

    Takes the present spreads as they are and the t interval throughout, so that the gain from
    more degrees of freedom counts. None where there is no interval now, or where more than
    10,000 repeats would be needed. Raises LabError as `estimate_contrast` does.
    """
    half_width = _half_width_by_extra(_read(terms), level)
    return None if half_width is None else _fewest_extra(half_width, half_width(0) / 2)


def more_repeats_to_settle(
    terms: Sequence[Term],
    lower: float | None,
    upper: float | None,
    level: float = LEVEL,
) -> int | None:
    """How many more repeats in every cell would take the interval off the predicted bounds.

    `lower` and `upper` bound the prediction, in the contrast's unit; None means open. With the
    point inside them the whole interval must come inside, with the point outside it must leave
    them altogether: the half-width must fall below the distance, in logs, from the point to the
    nearest bound. Assumes that point and spreads stay as they are, and uses the t interval
    throughout. 0 where it is settled already. None where it cannot be said: no interval now,
    the point on a bound, or more than 10,000 repeats needed. Raises LabError as
    `estimate_contrast` does, and for bounds that are missing, not positive or in the wrong
    order.
    """
    bounds = [bound for bound in (lower, upper) if bound is not None]
    valid = all(math.isfinite(bound) and bound > 0 for bound in bounds)
    if not bounds or not valid or sorted(bounds) != bounds:
        raise LabError(
            f"predicted bounds {lower} to {upper}: give one or two positive numbers in order"
        )
    cells = _read(terms)
    half_width = _half_width_by_extra(cells, level)
    if half_width is None:
        return None
    value = math.log(_value(cells))
    distance = min(abs(value - math.log(bound)) for bound in bounds)
    return None if distance <= ROUNDING else _fewest_extra(half_width, distance)


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


def judge_no_inversion(
    speed_ups: Mapping[int, tuple[Cell, Cell]], seed: int, level: float = LEVEL
) -> Judgement:
    """Whether the speed-up is at least 1 at every batch size.

    `speed_ups` maps a batch size to the two cells whose ratio, first over second, is the
    speed-up there. One look per batch size, see `Look`. A look is settled at (1 - level) / 2 on
    either side, so that no look is settled by the t interval's p-value while that interval,
    at `level`, covers 1. A speed-up of exactly 1 can be supported by no amount of data; the
    lower end of its interval then says how deep an inversion is still possible.
    Raises LabError without any batch size, and as `estimate_contrast` does.
    """
    if not speed_ups:
        raise LabError("no inversion: no batch size given; give at least one")
    looks: Contrasts = {
        (batch,): _speed_up_terms(batch, speed_ups[batch], 1) for batch in sorted(speed_ups)
    }
    return _judge(looks, seed, level, as_claimed=lambda value: value >= 1)


def judge_fade(
    speed_ups: Mapping[int, tuple[Cell, Cell]], seed: int, level: float = LEVEL
) -> Judgement:
    """Whether the speed-up falls from each batch size to the next larger one.

    `speed_ups` as in `judge_no_inversion`. One look per adjacent pair, at the ratio of the
    smaller batch size's speed-up to the larger one's. Adjacent looks share two cells, so they
    are correlated; Holm's correction holds all the same.
    Raises LabError for fewer than two batch sizes, and as `estimate_contrast` does.
    """
    if len(speed_ups) < 2:
        raise LabError(f"fade: {len(speed_ups)} batch sizes given; give at least two")
    looks: Contrasts = {
        (small, large): _speed_up_terms(small, speed_ups[small], 1)
        + _speed_up_terms(large, speed_ups[large], -1)
        for small, large in pairwise(sorted(speed_ups))
    }
    return _judge(looks, seed, level, as_claimed=lambda value: value > 1)


def steady_state(iterations: Sequence[float], *, name: str = "process") -> Steadiness:
    """Whether timed iterations of one process, in order, drift or start off the rest.

    Works from three iterations on, for durations and rates alike. Two statistics on logs: the
    first value against the mean of the others, and the slope of a straight line. From so few
    values the spread cannot be estimated alone: two values that happen to agree would make any
    third one significant. So the residual variance is pooled with a prior of 2%, the middle of
    the 1 to 4% by which iterations of one process are known to differ, at a weight of 4 degrees
    of freedom (the moderated t statistic of Smyth 2004), and each statistic is flagged beyond
    the 1% point of its t distribution. The prior is also a floor: a first iteration must be off
    by about 9% among 3 values or 4% among 10. By simulation, steady processes are flagged in
    under 2% of cases at a spread of up to 2%, and in 6% at 4%; a first iteration 30% off is
    flagged in 99% of cases.

    Raises LabError, with `name`, for an empty sequence or a value that is not positive finite.
    """
    logs = np.log(_positive(iterations, name))
    m = len(logs)
    if m < 3:
        return Steadiness(None, None, False, f"{m} timed iterations cannot show a drift", None)

    rest = logs[1:]
    first = float(logs[0] - rest.mean())
    first_t = first / (_moderated_sd(rest - rest.mean(), m - 2) * math.sqrt(1 + 1 / (m - 1)))

    place = np.arange(m) - (m - 1) / 2
    sum_of_squares = float(place @ place)
    slope = float(logs @ place) / sum_of_squares
    residuals = logs - logs.mean() - slope * place
    slope_t = slope * math.sqrt(sum_of_squares) / _moderated_sd(residuals, m - 2)

    threshold = float(special.stdtrit(PRIOR_DEGREES + m - 2, 1 - FLAG_AT / 2))
    flagged = max(abs(first_t), abs(slope_t)) > threshold
    excess, drift = _expm1(first, name), _expm1(slope, name)
    reason = remedy = None
    if flagged and abs(first_t) >= abs(slope_t):
        side = "above" if excess > 0 else "below"
        reason = f"the first timed iteration is {abs(excess):.1%} {side} the others"
        remedy = "raise warmups by at least 1, so that this iteration is a warm-up"
    elif flagged:
        reason = f"iterations drift by {drift:+.1%} each"
        remedy = (
            f"raise warmups by at least {m}; if the drift goes on, look for falling clocks, "
            "heat or other load on the machine"
        )
    return Steadiness(drift, excess, flagged, reason, remedy)


def _moderated_sd(residuals: Floats, degrees: int) -> float:
    pooled = PRIOR_DEGREES * PRIOR_SD**2 + float(residuals @ residuals)
    return math.sqrt(pooled / (PRIOR_DEGREES + degrees))


def _positive(values: Sequence[float], where: str) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise LabError(f"{where}: {values!r} are not numbers; check the record") from None
    if array.ndim != 1 or array.size == 0:
        raise LabError(f"{where}: no list of values; it needs at least one timed iteration")
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if bad.size:
        raise LabError(
            f"{where}, iteration {bad[0] + 1}: {array[bad[0]]} is not a positive finite number; "
            "mend or leave out the record"
        )
    return array


@dataclass(frozen=True)
class _Cell:
    """A term made ready: logs over the cell's smallest value, which are exact zeros there.

    Repeats and iterations are sorted, so that nothing downstream depends on their order.
    """

    name: str
    weight: float
    reference: float
    logs: Floats  # repeats x iterations of the longest; 0 beyond those of a shorter one
    counts: NDArray[np.int64]  # iterations, one per repeat
    means: Floats  # one per repeat

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which of `logs` are values: repeats x iterations of the longest."""
        return np.asarray(np.arange(self.logs.shape[1]) < self.counts[:, None])

    @property
    def location(self) -> float:
        with np.errstate(over="ignore"):
            return float(self.reference * np.exp(self.means.mean()))


def _read(terms: Sequence[Term]) -> list[_Cell]:
    names = [term.name for term in terms]
    if not terms or len(set(names)) < len(names):
        raise LabError(f"cells {names}: each must enter once, under a name of its own")
    return [_read_cell(term) for term in terms]


def _read_cell(term: Term) -> _Cell:
    if not math.isfinite(term.weight) or term.weight == 0:
        raise LabError(f"{term.name}: weight {term.weight}; give a finite one or leave it out")
    if len(term.cell) == 0:
        raise LabError(f"{term.name}: the cell is empty; it needs at least one repeat")
    values = _flat(term.cell)
    if values is None:  # some repeat is at fault: say which
        for i, iterations in enumerate(term.cell, 1):
            _positive(iterations, f"{term.name}, repeat {i}")
        raise LabError(f"{term.name}: not a list of lists of numbers; check the records")
    reference = float(values.min())
    counts = np.array([len(iterations) for iterations in term.cell])
    present = np.arange(counts.max()) < counts[:, None]
    logs = np.full(present.shape, np.inf)
    logs[present] = np.log(values) - np.log(reference)
    logs.sort(axis=1)
    logs[~present] = 0.0
    order = np.lexsort((*logs.T[::-1], counts))
    logs, counts = logs[order], counts[order]
    return _Cell(term.name, term.weight, reference, logs, counts, logs.sum(axis=1) / counts)


def _flat(cell: Cell) -> Floats | None:
    """All values of a cell, or None where some repeat is empty or not of positive numbers."""
    try:
        repeats = [np.asarray(iterations, dtype=np.float64) for iterations in cell]
        values = np.concatenate(repeats)
    except (TypeError, ValueError):
        return None
    whole = values.ndim == 1 and all(repeat.size for repeat in repeats)
    return values if whole and bool(((values > 0) & (values < np.inf)).all()) else None


def _value(cells: Sequence[_Cell]) -> float:
    try:
        above = math.prod(cell.location**cell.weight for cell in cells if cell.weight > 0)
        below = math.prod(cell.location**-cell.weight for cell in cells if cell.weight < 0)
        value = float(above / below)
    except (OverflowError, ZeroDivisionError):
        value = math.inf
    if not (math.isfinite(value) and value > 0):
        names = ", ".join(cell.name for cell in cells)
        raise LabError(f"{names}: the result leaves the range of numbers; check the units")
    return value


@dataclass(frozen=True)
class _Spread:
    """Welch's approximation for a contrast on the log scale; one entry per cell."""

    variances: Floats  # of weight * log repeat mean, between repeats
    repeats: Floats

    @property
    def standard_error(self) -> float:
        return math.sqrt(float((self.variances / self.repeats).sum()))

    @property
    def degrees(self) -> float:
        shares = self.variances / self.repeats
        return float(shares.sum() ** 2 / (shares**2 / (self.repeats - 1)).sum())

    def half_width(self, level: float) -> float:
        return float(special.stdtrit(self.degrees, (1 + level) / 2)) * self.standard_error


def _spread(cells: Sequence[_Cell]) -> _Spread | None:
    """None where some cell has one repeat, or no spread between repeats."""
    if any(len(cell.means) == 1 or np.ptp(cell.means) <= ROUNDING for cell in cells):
        return None
    variances = [cell.weight**2 * float(cell.means.var(ddof=1)) for cell in cells]
    return _Spread(np.array(variances), np.array([float(len(cell.means)) for cell in cells]))


def _estimate(cells: Sequence[_Cell], seed: int, level: float) -> Estimate:
    _check_level(level)
    value = _value(cells)
    n = min(len(cell.means) for cell in cells)
    spread = _spread(cells)
    if spread is None:
        why = "one repeat" if n == 1 else "equal repeats, spread not resolved"
        return Estimate(value, None, None, n, None, f"{why}: no interval", exact=n > 1)

    method, note = T_METHOD, None
    down = up = spread.half_width(level)
    if n < FEW_REPEATS:
        note = (
            f"{n} repeats are few: the interval rests on a t distribution with "
            f"{spread.degrees:.1f} degrees of freedom"
        )
    elif n >= BOOTSTRAP_FROM:
        quantiles = _bootstrap_t_quantiles(cells, spread, seed, level)
        if quantiles is None:
            note = "a few repeats carry nearly all the spread: t instead of the bootstrap"
        else:
            method = BOOTSTRAP_METHOD
            # A studentised interval is mirrored: the lower quantile sets the upper end.
            down = quantiles[1] * spread.standard_error
            up = -quantiles[0] * spread.standard_error
    with np.errstate(over="ignore"):
        low, high = float(value * np.exp(-down)), float(value * np.exp(up))
    if low == 0 or not math.isfinite(high) or high / low > WIDEST:
        return Estimate(value, None, None, n, None, "spread too wide: no interval")
    return Estimate(value, low, high, n, method, note)


def _bootstrap_t_quantiles(
    cells: Sequence[_Cell], spread: _Spread, seed: int, level: float
) -> tuple[float, float] | None:
    """Lower and upper quantile of the studentised contrast; None where they cannot be trusted.

    They cannot where too many resamples miss the few repeats that carry the spread: their
    standard error collapses, and their t value is of any size.
    """
    deviation = np.zeros(RESAMPLES)
    variance = np.zeros(RESAMPLES)
    # The draws of a cell depend on its data, not on its place, so that the reciprocal contrast
    # gets the reciprocal interval. Equal cells are told apart: they are independent all the same.
    known: dict[tuple[bytes, bytes], int] = {}
    for data, cell in sorted(
        (((cell.counts.tobytes(), cell.logs.tobytes()), cell) for cell in cells),
        key=lambda pair: pair[0],
    ):
        known[data] = known.get(data, 0) + 1
        means, variances = _resampled(*data, seed, known[data], RESAMPLES)
        deviation += cell.weight * (means - cell.means.mean())
        variance += cell.weight**2 * variances / len(cell.means)
    error = np.sqrt(variance)
    collapsed = error < COLLAPSED * spread.standard_error
    if collapsed.mean() > (1 - level) / 2:
        return None
    t = deviation[~collapsed] / error[~collapsed]
    low, high = (float(q) for q in np.quantile(t, [(1 - level) / 2, (1 + level) / 2]))
    return (low, high) if low <= 0 <= high else None


# A cell enters several contrasts, and its draws are most of the work.
@lru_cache(maxsize=64)
def _resampled(
    counts_: bytes, logs_: bytes, seed: int, place: int, resamples: int
) -> tuple[Floats, Floats]:
    """Mean and variance over the repeats of a cell, per resample of processes and iterations.

    `counts_` and `logs_` are the buffers of `_Cell.counts` and `_Cell.logs`.
    """
    counts = np.frombuffer(counts_, dtype=np.int64)
    n, widest = len(counts), int(counts.max())
    equal = bool(counts.min() == widest)
    values = np.frombuffer(logs_, dtype=np.float64)
    rng = np.random.default_rng([seed, place, zlib.crc32(logs_)])
    means, variances = np.empty(resamples), np.empty(resamples)
    step = max(1, DRAWN_AT_ONCE // n)
    for begin in range(0, resamples, step):
        those = slice(begin, min(begin + step, resamples))
        process = rng.integers(0, n, size=(those.stop - begin, n))
        size = counts[process]
        total = np.zeros(process.shape)
        for k in range(widest):
            iteration = rng.integers(0, widest if equal else size, process.shape)
            drawn = values[process * widest + iteration]
            total += drawn if equal else np.where(k < size, drawn, 0.0)
        total /= size
        means[those] = total.mean(axis=1)
        variances[those] = total.var(axis=1, ddof=1)
    return means, variances


def _half_width_by_extra(cells: Sequence[_Cell], level: float) -> Callable[[int], float] | None:
    """Half-width on the log scale, by the number of further repeats in every cell."""
    _check_level(level)
    now = _spread(cells)
    if now is None:
        return None
    return lambda extra: _Spread(now.variances, now.repeats + extra).half_width(level)


def _fewest_extra(half_width: Callable[[int], float], limit: float) -> int | None:
    choices = range(MOST_REPEATS + 1)
    extra = bisect_left(choices, True, key=lambda extra: half_width(extra) <= limit)
    return extra if extra in choices else None


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise LabError(f"level: {level} is not between 0 and 1; give a share such as 0.95")


def _expm1(log: float, name: str) -> float:
    try:
        return math.expm1(log)
    except OverflowError:
        raise LabError(f"{name}: the values span too many orders; check the units") from None


def _speed_up_terms(batch: int, cells: tuple[Cell, Cell], power: int) -> list[Term]:
    first, second = cells
    return [
        Term(first, power, f"batch size {batch}, numerator"),
        Term(second, -power, f"batch size {batch}, denominator"),
    ]


def _judge(
    contrasts: Contrasts,
    seed: int,
    level: float,
    as_claimed: Callable[[float], bool],
) -> Judgement:
    cells = [_read(terms) for terms in contrasts.values()]
    estimates = [_estimate(of_look, seed, level) for of_look in cells]
    t_values = [_t_value(of_look) for of_look in cells]
    above = _holm_where_known([None if t is None else _upper_tail(*t) for t in t_values])
    below = _holm_where_known([None if t is None else _upper_tail(-t[0], t[1]) for t in t_values])
    threshold = (1 - level) / 2
    looks = []
    for batch_sizes, estimate, up, down in zip(contrasts, estimates, above, below, strict=True):
        outcome: Outcome = "not settled"
        if up is not None and up <= threshold:
            outcome = "supported"
        elif down is not None and down <= threshold:
            outcome = "contradicted"
        looks.append(Look(batch_sizes, estimate, up, down, outcome))

    outcomes = {look.outcome for look in looks}
    overall: Outcome = "not settled"
    if "contradicted" in outcomes:
        overall = "contradicted"
    elif outcomes == {"supported"}:
        overall = "supported"
    note = None
    if all(estimate.n == 1 for estimate in estimates):
        note = "single observation: order only"
    elif None in t_values:
        note = "not every look has an interval: order only where it has none"
    agree = all(as_claimed(estimate.value) for estimate in estimates)
    return Judgement(tuple(looks), overall, agree, note)


def _t_value(cells: Sequence[_Cell]) -> tuple[float, float] | None:
    """Welch's t for the contrast against 1, and its degrees of freedom."""
    spread = _spread(cells)
    if spread is None:
        return None
    return math.log(_value(cells)) / spread.standard_error, spread.degrees


def _upper_tail(t: float, degrees: float) -> float:
    return float(special.stdtr(degrees, -t))


def _holm_where_known(p_values: Sequence[float | None]) -> list[float | None]:
    adjusted = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(adjusted) for p in p_values]
