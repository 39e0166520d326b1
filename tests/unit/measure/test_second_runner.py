"""Hooks of the V2 model runner, on stand-ins with the calls that vLLM makes to them."""

import sys
from types import SimpleNamespace

import pytest

from cudagraph_lab.measure.guards import HARNESS


@pytest.fixture
def hooks(monkeypatch):
    monkeypatch.syspath_prepend(str(HARNESS))
    # vLLM is not in this environment: 0.26.0 has no statistics on this runner.
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace())
    for name in ("vllm.v1", "vllm.v1.worker", "vllm.v1.worker.gpu"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(cudagraph_utils=SimpleNamespace()))
    import second_runner

    yield second_runner
    del sys.modules["second_runner"]


def shape(mode, tokens):
    return SimpleNamespace(cg_mode=SimpleNamespace(name=mode), num_tokens=tokens)


class Manager:
    """Captures and dispatches as `CudaGraphManager` of vLLM 0.26.0 does."""

    SHAPES = (shape("PIECEWISE", 8), shape("PIECEWISE", 4), shape("FULL", 4))

    def capture(self, create_forward_fn, progress_bar_desc="Capturing CUDA graphs"):
        for one in self.SHAPES:
            create_forward_fn(one, warmup=True)()
            if one.cg_mode.name == "FULL":
                create_forward_fn(one, warmup=False)()

    def dispatch(self, num_reqs, num_tokens, uniform_token_count, num_active_loras):
        return shape("FULL", 4) if num_tokens <= 4 else shape("NONE", num_tokens)


class OfModel(Manager):
    def capture(self, memory):  # type: ignore[override]
        def create_forward_fn(one, warmup):
            return lambda: memory.append(memory[-1] - one.num_tokens)

        return super().capture(create_forward_fn)


def test_each_graph_is_told_once_with_its_warm_up_in_it(hooks, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(hooks.time, "perf_counter", lambda: float(next(clock)))
    runner = SimpleNamespace(cudagraph_manager=OfModel())
    told, memory = [], [100]
    keep = lambda *graph: told.append(graph)  # noqa: E731
    capture = vars(Manager)["capture"]
    assert hooks.watch_graphs(runner, lambda: memory[-1], keep)
    try:
        runner.cudagraph_manager.capture(memory)
        # Another manager, of a draft model, is left alone.
        OfModel().capture([100])
    finally:
        Manager.capture = capture  # type: ignore[method-assign]
    assert told == [("PIECEWISE", 8, 1.0, 8), ("PIECEWISE", 4, 1.0, 4), ("FULL", 4, 1.0, 8)]


def test_a_runner_without_a_manager_has_no_hooks(hooks):
    for runner in (SimpleNamespace(), SimpleNamespace(cudagraph_manager=None)):
        assert hooks.watch_graphs(runner, lambda: 0, print) is False
        assert hooks.count_steps(runner) is None


def test_steps_are_counted_where_the_graph_is_chosen(hooks):
    runner = SimpleNamespace(cudagraph_manager=Manager())
    counted = hooks.count_steps(runner)
    for tokens in (1, 1, 3, 9):
        got = runner.cudagraph_manager.dispatch(tokens, tokens, 1, num_active_loras=0)
        assert got.num_tokens == (4 if tokens <= 4 else tokens)
    assert dict(counted) == {("FULL", 1, 4): 2, ("FULL", 3, 4): 1, ("NONE", 9, 9): 1}


def test_nothing_is_counted_where_the_messages_tell(hooks):
    gpu = sys.modules["vllm.v1.worker.gpu"]
    gpu.cudagraph_utils.make_cudagraph_stats = lambda: None
    assert hooks.count_steps(SimpleNamespace(cudagraph_manager=Manager())) is None
