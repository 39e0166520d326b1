"""Whether the repeats of arms that were measured apart are blocks: whether arms share them."""

from collections.abc import Sequence

import numpy as np
from scipy import special

from cudagraph_lab.errors import LabError
from cudagraph_lab.statistics.cells import ROUNDING, ArmLogs, within_processes

DECIDED_AT = 0.05


def repeats_are_blocks(arms: Sequence[ArmLogs]) -> bool:
    """Whether repeats are to be used as blocks, by the F test for repeats.

    The test is that of a two-way analysis of variance of arms by repeats. `arms` holds, for each
    arm of a data set, its mean logs by batch size. The value of a process is their mean over the
    batch sizes that all arms have. Only arms with all repeats of the majority count, since the
    table must be whole. Use it for arms that were measured apart, with their order drawn anew for
    each repeat; arms in turn share their repeats by design. Without blocks the test is wrong in
    one of 20 data sets, and then costs no coverage: t over repeats holds either way. Fewer than
    two arms with the same two repeats, and values without a spread, show no blocks. Raises
    LabError without an arm or without a batch size that all arms have.
    """
    common = set.intersection(*(set(arm) for arm in arms)) if arms else set()
    if not common:
        raise LabError("blocks: no batch size that all arms have; give arms of one data set")
    weights = dict.fromkeys(sorted(common), 1 / len(common))
    values = [within_processes(arm, weights) for arm in arms]
    by_repeats: dict[tuple[int, ...], list[dict[int, float]]] = {}
    for of_arm in values:
        by_repeats.setdefault(tuple(of_arm), []).append(of_arm)
    repeats, whole = max(by_repeats.items(), key=lambda item: (len(item[1]), len(item[0])))
    many, n = len(whole), len(repeats)
    if many < 2 or n < 2:
        return False
    table = np.array([[of_arm[repeat] for repeat in repeats] for of_arm in whole])
    residual = table - table.mean(axis=1, keepdims=True)
    of_repeat = residual.mean(axis=0)
    between = many * float(of_repeat @ of_repeat) / (n - 1)
    rest = residual - of_repeat
    within = float((rest**2).sum()) / ((many - 1) * (n - 1))
    if between + within <= ROUNDING**2:
        return False
    p = float(special.fdtrc(n - 1, (many - 1) * (n - 1), between / within)) if within > 0 else 0.0
    return p <= DECIDED_AT
