"""The order of the calls: arms and batch sizes in rounds, drawn from the seed."""

import random
from collections.abc import Iterator, Sequence

Cell = tuple[str, int]  # arm, batch size


def draw_rounds(
    arms: Sequence[str], batch_sizes: Sequence[int], seed: int, repeat: int
) -> Iterator[list[Cell]]:
    """Rounds without end; each holds every cell of arm and batch size once.

    The calls of one cell never stand in a row, so that a burst of load from elsewhere meets all
    cells. The batch sizes of a round come in random order. The arms of one batch size come one
    after the other, so that their calls are close in time, and rotate from round to round: in
    len(arms) rounds each arm has each place once. The draw depends on `seed` and `repeat` alone.
    """
    draw = random.Random(f"{seed}/{repeat}/rounds")  # noqa: S311 - not for secrets
    while True:
        order = {batch: draw.sample(list(arms), len(arms)) for batch in batch_sizes}
        for turn in range(len(arms)):
            yield [
                (arm, batch)
                for batch in draw.sample(list(batch_sizes), len(batch_sizes))
                for arm in order[batch][turn:] + order[batch][:turn]
            ]
