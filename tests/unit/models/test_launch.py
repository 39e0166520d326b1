"""Launch models: identities that must hold, and what they say on the published L4 cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.launch import (
    HIDDEN_SHARE,
    Profile,
    eager_over_graph,
    eager_step_s,
    hidden_share_from_pair,
    launch_bill_s,
    predict_eager_step_s,
)

SECONDS = st.floats(1e-5, 0.1)
SHARES = st.floats(0, 1)
BATCHES = np.array([1, 8, 64])
EAGER_S = BATCHES / [980.3, 6912.4, 41560.2]
GRAPH_S = BATCHES / [2473.6, 11034.8, 46883.1]


def close(x, y):
    return np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-15)


@given(SECONDS, SECONDS, SECONDS)
def test_additive_and_overlap_are_the_two_ends(gpu, launch, host):
    close(eager_step_s(gpu, launch, 0.0, host), host + gpu + launch)
    close(eager_step_s(gpu, launch, 1.0, host), host + max(gpu, launch))


@given(SECONDS, SECONDS, SHARES, SECONDS)
def test_launch_bill_explains_the_step_it_was_read_from(gpu, excess, share, host):
    eager = host + gpu + excess
    bill = launch_bill_s(eager, gpu, share, host)
    close(eager_step_s(gpu, bill, share, host), eager)


@given(SECONDS, SECONDS, SECONDS, SHARES, SECONDS)
def test_every_share_lies_between_overlap_and_additive(gpu, excess, more, share, host):
    eager, graph, graph_b = gpu + excess + host, gpu + host, gpu + more + host
    low, middle, high = (
        predict_eager_step_s(eager, graph, graph_b, s, host, host) for s in (1.0, share, 0.0)
    )
    assert low <= middle * (1 + 1e-9)
    assert middle <= high * (1 + 1e-9)


@given(SECONDS, SECONDS, SECONDS, st.floats(0, 1e-4))
def test_a_host_term_cancels_in_the_additive_model_only(gpu, excess, more, host):
    args = (gpu + excess + host, gpu + host, gpu + more + host)
    close(predict_eager_step_s(*args, 0.0, host, host), predict_eager_step_s(*args, 0.0))


def test_a_host_term_that_grows_moves_the_overlap_model():
    flat = predict_eager_step_s(1e-3, 4e-4, 7e-4, 1.0, 1e-4, 1e-4)
    grown = predict_eager_step_s(1e-3, 4e-4, 7e-4, 1.0, 1e-4, 2.5e-4)
    close(grown - flat, 1.5e-4)


def test_replicates_go_through_as_one_array_and_unidentified_ones_stay_nan():
    rng = np.random.default_rng(0)
    eager = EAGER_S * rng.normal(1, 0.02, (200, 3))
    graph = GRAPH_S * rng.normal(1, 0.02, (200, 3))
    together = predict_eager_step_s(eager[:, :1], graph[:, :1], graph, 0.3)
    assert together.shape == (200, 3)
    for i in (0, 77):
        close(together[i], predict_eager_step_s(eager[i, 0], graph[i, 0], graph[i], 0.3))
    assert np.isnan(predict_eager_step_s(1e-3, 4e-4, 7e-4, [0.5, np.nan])).tolist() == [False, True]
    assert np.isnan(launch_bill_s(1e-3, 4e-4, np.nan))


@given(st.floats(1e-4, 1e-2), st.floats(1.05, 5), st.floats(1, 20), st.floats(0.02, 0.98))
def test_a_second_pair_gives_the_share_that_made_it(graph_1, ratio, growth, share):
    eager_1, graph_k = graph_1 * ratio, graph_1 * growth
    eager_k = predict_eager_step_s(eager_1, graph_1, graph_k, share)
    found = hidden_share_from_pair(eager_1, graph_1, eager_k, graph_k)
    ends = [predict_eager_step_s(eager_1, graph_1, graph_k, end) for end in (0.0, 1.0)]
    if np.isnan(found):  # only at the very ends, where rounding decides, or where they agree
        assert np.isclose(ends, eager_k, rtol=1e-8).any()
    else:
        close(predict_eager_step_s(eager_1, graph_1, graph_k, found), eager_k)


def test_no_share_where_the_second_pair_lies_outside():
    pairs = hidden_share_from_pair(1e-3, 4e-4, [2.0e-3, 0.9e-3, 1.1e-3], [7e-4, 7e-4, 7e-4])
    assert np.isnan(pairs).tolist() == [True, True, False]
    assert np.isnan(hidden_share_from_pair(4e-4, 4e-4, 5e-4, 5e-4))
    assert np.isnan(hidden_share_from_pair(5e-4, 1e-4, 5e-4, 1e-4))


def test_published_l4_cells_lie_between_the_two_models():
    said = {
        name: eager_over_graph(share, EAGER_S[0], GRAPH_S[0], GRAPH_S)
        for name, share in HIDDEN_SHARE.items()
    }
    published = EAGER_S / GRAPH_S
    assert published.round(2).tolist() == [2.52, 1.60, 1.13]
    close(said["additive"][0], published[0])
    # By hand: 1/980.3 - 1/2473.6 = 0.6158 ms of bill; batch 8: 1 + 0.6158 / 0.7250; batch 64:
    # 1 + 0.6158 / 1.3651. Overlap: 1.0201 / 0.7250, and GPU work longer than the host.
    assert said["additive"][1:] == pytest.approx([1.8494, 1.4511], abs=1e-4)
    assert said["overlap"][1:] == pytest.approx([1.4071, 1.0], abs=1e-4)
    assert (said["overlap"][1:] < published[1:]).all()
    assert (published[1:] < said["additive"][1:]).all()


def test_a_fitted_share_meets_the_pair_that_it_came_from():
    share = float(hidden_share_from_pair(EAGER_S[0], GRAPH_S[0], EAGER_S[1], GRAPH_S[1]))
    close(eager_over_graph(share, EAGER_S[0], GRAPH_S[0], GRAPH_S[1]), EAGER_S[1] / GRAPH_S[1])


def test_profile_gives_the_host_term_and_the_fusion_factor():
    profile = Profile(eager_launches=200, eager_busy_s=4e-4, graph_busy_s=3e-4)
    additive, overlap = (
        eager_over_graph(HIDDEN_SHARE[name], 1e-3, 5e-4, 8e-4, profile)
        for name in ("additive", "overlap")
    )
    # host 0.2 ms, eager GPU work at batch 4: (0.8 - 0.2) * 4/3 = 0.8 ms.
    close(additive * 8e-4, 2e-4 + 8e-4 + (1e-3 - 2e-4 - 4e-4))
    close(overlap * 8e-4, 2e-4 + max(8e-4, 8e-4))
    # A step below the GPU's busy time leaves no host term: all of it is GPU work.
    close(
        eager_over_graph(0.0, 1e-3, 2e-4, 8e-4, profile) * 8e-4, 8e-4 * 4 / 3 + 1e-3 - 2e-4 * 4 / 3
    )


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_a_share(share):
    with pytest.raises(LabError, match="hidden_share"):
        eager_step_s(1e-3, 1e-3, share)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_host_term_that_grows_with_the_batch_is_recovered(share):
    """Data made by the formula, host term and all, are predicted without error."""
    launch, gpu, host = 1e-3, {1: 4e-4, 8: 6e-4, 64: 15e-4}, {1: 1e-4, 8: 3e-4, 64: 9e-4}
    eager = {b: float(eager_step_s(gpu[b], launch, share, host[b])) for b in gpu}
    graph = {b: gpu[b] + host[b] for b in gpu}
    profile = Profile(eager_launches=100, eager_busy_s=gpu[1], graph_busy_s=gpu[1])
    for batch in (8, 64):
        found = eager_over_graph(share, eager[1], graph[1], graph[batch], profile, gpu[batch])
        assert found * graph[batch] == pytest.approx(eager[batch])
    # Held at batch 1's, the host term would be taken for GPU work.
    if share == 1.0:
        assert eager_over_graph(1.0, eager[1], graph[1], graph[64], profile) == pytest.approx(1)
