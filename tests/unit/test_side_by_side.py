"""Work on several processors gives what it gives on one."""

import os

import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.side_by_side import side_by_side


@pytest.mark.parametrize("processes", [1, 2, 9])
def test_results_stand_in_the_order_of_the_items(processes):
    seen = side_by_side(lambda item: (item * item, os.getpid()), range(5), processes)
    assert [square for square, _ in seen] == [0, 1, 4, 9, 16]
    assert (os.getpid() in {process for _, process in seen}) == (processes == 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mistake_is_raised_as_it_is(processes):
    def work(item):
        raise LabError(f"{item}: no number")

    with pytest.raises(LabError, match="a: no number"):
        side_by_side(work, "ab", processes)
