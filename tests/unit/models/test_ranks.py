"""Several ranks in the step model: host work, all-reduces, and an all-reduce that a fit finds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.calibration import MeasuredStep, fit_all_reduce
from cudagraph_lab.models.step import among_ranks, gpu_s, with_ranks
from tests.unit.models.test_step import ASSUMED, a_host, a_speed, constant, some_work


@given(
    latency_us=st.floats(0.5, 50),
    bandwidth_gb_s=st.floats(20, 800),
    all_reduces=st.integers(10, 200),
)
def test_the_all_reduce_is_found_again(latency_us, bandwidth_gb_s, all_reduces):
    speed = replace(
        a_speed(),
        all_reduce_s=constant(latency_us * 1e-6),
        all_reduce_b_s=constant(bandwidth_gb_s * 1e9),
    )
    works = [
        replace(some_work(batch), all_reduces=all_reduces, all_reduce_bytes=batch * 8192.0)
        for batch in (1, 8, 32, 64)
    ]
    cells = [MeasuredStep("graphs", work, gpu_s(speed, work, "graphs")) for work in works]
    found = fit_all_reduce(a_speed(), cells)
    for work in works:
        np.testing.assert_allclose(
            gpu_s(found, work, "graphs"), gpu_s(speed, work, "graphs"), rtol=1e-6
        )


def test_an_all_reduce_needs_ranks_and_two_batch_sizes():
    work = replace(some_work(), all_reduces=3, all_reduce_bytes=8192.0)
    for works in ([work], [some_work(1), some_work(8)]):
        cells = [MeasuredStep("graphs", one, constant(1e-3)) for one in works]
        with pytest.raises(LabError, match="graphs on several ranks at two batch sizes"):
            fit_all_reduce(a_speed(), cells)


def test_a_step_that_kernels_and_bytes_fill_leaves_no_all_reduce():
    works = [replace(some_work(b), all_reduces=3, all_reduce_bytes=8192.0 * b) for b in (1, 8)]
    cells = [MeasuredStep("graphs", work, constant(1e-6)) for work in works]
    with pytest.raises(LabError, match="leaves no all-reduce"):
        fit_all_reduce(a_speed(), cells)


def test_several_ranks_add_host_work_and_a_single_one_nothing():
    host = a_host()
    assert with_ranks(host, ASSUMED.transfer, 1, 5) is host
    several = with_ranks(host, ASSUMED.transfer, 2, 5)
    assert (several.fixed_s > host.fixed_s).all()
    assert several.per_launch_s is host.per_launch_s


@pytest.mark.parametrize(("fewer", "more"), [(2, 4), (4, 8)])
def test_an_all_reduce_among_more_ranks_takes_longer(fewer, more):
    speed = a_speed()
    least = among_ranks(speed, ASSUMED.transfer, fewer, 5).all_reduce_s
    assert np.median(among_ranks(speed, ASSUMED.transfer, more, 5).all_reduce_s) > np.median(least)
    assert among_ranks(speed, ASSUMED.transfer, 2, 5) is speed
