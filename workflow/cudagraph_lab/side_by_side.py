"""Pieces of one job's work on several processors, with the result of one."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_work: Callable[[Any], Any]  # of this process and of those forked from it
_items: Sequence[Any]


def side_by_side(work: Callable[[T], R], items: Sequence[T], processes: int) -> list[R]:
    """`work` of each item, in the order of the items, by at most so many processes at a time.

    They are forked, so that `work` and the items may be anything and imports are not paid again;
    what `work` returns or raises must be picklable. What it raises is raised here.
    """
    processes = min(processes, len(items))
    if processes < 2:
        return [work(item) for item in items]
    global _work, _items  # forked processes have them without pickling
    _work, _items = work, items
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        return list(pool.map(_work_of, range(len(items))))


def _work_of(place: int) -> Any:
    return _work(_items[place])
