"""Economics: the published figures by hand, and identities."""

import numpy as np
import pytest

from cudagraph_lab.models.costs import deploy_tax_min_per_day, fit_capture_cost


def test_deploy_tax_of_the_lab():
    assert deploy_tax_min_per_day(7, 50) == pytest.approx(5.8333, abs=1e-4)


def test_capture_cost_finds_the_line_it_was_made_from():
    fit = fit_capture_cost([(n, 0.06 * n + 0.5) for n in (10, 30, 86, 86)])
    assert fit.points == 4
    assert fit.per_graph == pytest.approx(0.06)
    noisy = fit_capture_cost([(1, 1.0), (2, 2.5), (3, 3.0)])
    # By hand: slope 1, residuals -1/6, 1/3, -1/6, so s2 = 1/6 and se = sqrt(1/6 / 2).
    assert noisy.per_graph_se == pytest.approx(np.sqrt(1 / 12))


def test_two_lengths_give_no_line_however_often_repeated():
    assert fit_capture_cost([(10, 1), (10, 1), (50, 2), (50, 2)]) is None
