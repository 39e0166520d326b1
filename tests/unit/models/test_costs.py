"""Economics: the published figures by hand, and identities."""

import numpy as np
import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.costs import (
    deploy_tax_min_per_day,
    fit_capture_cost,
    launch_break_even_call,
)


def test_deploy_tax_of_the_lab():
    assert deploy_tax_min_per_day(7, 50) == pytest.approx(5.8333, abs=1e-4)


def test_a_single_operation_never_breaks_even():
    assert launch_break_even_call(1) is None
    assert launch_break_even_call(2) == 2


def test_capture_cost_finds_the_line_it_was_made_from():
    graphs = [10, 30, 86, 86]
    fit = fit_capture_cost(graphs, [0.06 * n + 0.5 for n in graphs], [8.0 * n + 40 for n in graphs])
    assert fit.points == 4
    assert fit.seconds.per_graph == pytest.approx(0.06)
    assert fit.seconds.intercept == pytest.approx(0.5)
    assert fit.mib.per_graph == pytest.approx(8.0)
    assert fit.mib.intercept == pytest.approx(40.0)
    noisy = fit_capture_cost([1, 2, 3], [1.0, 2.5, 3.0], [1, 2, 3])
    # By hand: slope 1, residuals -1/6, 1/3, -1/6, so s2 = 1/6 and se = sqrt(1/6 / 2).
    assert noisy.seconds.per_graph_se == pytest.approx(np.sqrt(1 / 12))


def test_two_lengths_give_no_line_however_often_repeated():
    assert fit_capture_cost([10, 10, 50, 50], [1, 1, 2, 2], [1, 1, 2, 2]) is None
    with pytest.raises(LabError, match="one value each"):
        fit_capture_cost([1, 2, 3], [1, 2], [1, 2, 3])
