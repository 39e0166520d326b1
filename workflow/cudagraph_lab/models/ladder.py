"""What capture sizes cost a mix of steps in padding, and the best ladder for it.

A ladder is an ascending tuple of capture sizes, its rungs. A step of `b` tokens runs on the
smallest rung that is at least `b`; above the top rung it runs without a graph, which is a miss.
Without speculative decoding a decode step carries one token per request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cudagraph_lab.engine.capture_sizes import pad
from cudagraph_lab.errors import LabError


@dataclass(frozen=True)
class LadderCost:
    """What a ladder does to a batch histogram; counts are steps."""

    sizes: tuple[int, ...]
    steps: int
    padded_tokens: int
    replayed_steps: int
    replayed_tokens: int
    missed_steps: int
    missed_tokens: int

    @property
    def padded_share(self) -> float | None:
        """Padded tokens as a share of all tokens that replays compute; None without replays."""
        computed = self.replayed_tokens + self.padded_tokens
        return self.padded_tokens / computed if computed else None


def ladder_cost(histogram: Mapping[int, int], sizes: tuple[int, ...]) -> LadderCost:
    """Padding and misses of a ladder over a histogram {batch size: number of steps}.

    Raises LabError for an empty histogram, a batch below 1 or a negative count.
    """
    batches, counts = _arrays(histogram)
    ladder = tuple(sorted(set(sizes)))
    rungs = [pad(int(batch), ladder) for batch in batches]
    hit = np.array([rung is not None for rung in rungs])
    padding = np.array([0 if r is None else r - b for r, b in zip(rungs, batches, strict=True)])
    return LadderCost(
        sizes=ladder,
        steps=int(counts.sum()),
        padded_tokens=int((padding * counts).sum()),
        replayed_steps=int(counts[hit].sum()),
        replayed_tokens=int((batches * counts)[hit].sum()),
        missed_steps=int(counts[~hit].sum()),
        missed_tokens=int((batches * counts)[~hit].sum()),
    )


def best_ladder(histogram: Mapping[int, int], rungs: int) -> tuple[int, ...]:
    """The ladder of at most `rungs` rungs that pads the fewest tokens over the histogram.

    Exact, by dynamic programming over the histogram's batch sizes: a rung between two of
    them only pads more than a rung at the lower one. Time O(rungs * sizes^2), memory
    O(rungs * sizes). The top rung is the largest batch, so that every batch has a rung.

    Raises LabError for fewer than one rung or a bad histogram.
    """
    if rungs < 1:
        raise LabError(f"rungs: must be at least 1, got {rungs}")
    batches, counts = _arrays(histogram)
    n = len(batches)
    k = min(rungs, n)
    steps = np.concatenate([[0], np.cumsum(counts)])
    tokens = np.concatenate([[0], np.cumsum(batches * counts)])

    # cost[j]: the least padding of sizes 0..j with a rung at j; start[level, j]: the first
    # size that this rung serves.
    cost = batches * steps[1:] - tokens[1:]
    start = np.zeros((k, n), dtype=np.int64)
    for level in range(1, k):
        following = cost.copy()
        for j in range(level, n):
            first = np.arange(level, j + 1)
            total = (
                cost[first - 1]
                + batches[j] * (steps[j + 1] - steps[first])
                - (tokens[j + 1] - tokens[first])
            )
            least = int(total.argmin())
            following[j] = total[least]
            start[level, j] = first[least]
        cost = following

    top = n - 1
    ladder: list[int] = []
    for level in range(k - 1, -1, -1):
        ladder.append(int(batches[top]))
        top = int(start[level, top]) - 1
    return tuple(reversed(ladder))


def read_histogram(path: Path) -> dict[int, int]:
    """Read {batch size: number of steps} from two columns apart by a comma or white space.

    Text after `#` and blank lines are passed over; the first row may be a header. A batch of
    count 0 is left out.

    Raises LabError naming the file and line for anything else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f"{path}: cannot be read as text ({error}); give a two-column file"
        ) from error
    seen: dict[int, int] = {}
    histogram: dict[int, int] = {}
    header_allowed = True
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        fields = [f.strip() for f in content.split(",")] if "," in content else content.split()
        if header_allowed and not any(re.match(r"[-+.\d]", field) for field in fields):
            header_allowed = False
            continue
        header_allowed = False
        if len(fields) != 2 or not all(re.fullmatch(r"[0-9]{1,15}", field) for field in fields):
            raise LabError(
                f"{path}:{number}: expected a batch size and a count, two whole numbers, "
                f"got {content[:60]!r}"
            )
        batch, count = int(fields[0]), int(fields[1])
        if batch < 1:
            raise LabError(f"{path}:{number}: a batch size must be at least 1, got {batch}")
        if batch in seen:
            raise LabError(
                f"{path}:{number}: batch size {batch} is already on line {seen[batch]}; "
                "keep one line per batch size"
            )
        seen[batch] = number
        if count:
            histogram[batch] = count
    if not histogram:
        raise LabError(f"{path}: no batch with a count above 0; add lines such as '8 1200'")
    return histogram


def _arrays(
    histogram: Mapping[int, int],
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    items = sorted((batch, count) for batch, count in histogram.items() if count)
    if not items:
        raise LabError("histogram: holds no steps; give at least one batch with a count above 0")
    if items[0][0] < 1 or min(count for _, count in items) < 0:
        raise LabError("histogram: batch sizes must be at least 1 and counts not negative")
    return (
        np.array([batch for batch, _ in items], dtype=np.int64),
        np.array([count for _, count in items], dtype=np.int64),
    )
