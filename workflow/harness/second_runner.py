"""Hooks for vLLM's V2 model runner, which captures and dispatches graphs in a manager of its own.

Each hook is looked for and left out where a version has no place for it; the function says so.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

# Routine, tokens, seconds, and bytes of device memory of one captured graph.
KeepGraph = Callable[[str, int, float, int], None]


def graph_manager(runner: Any) -> Any:
    """The runner's manager of CUDA graphs; None on the first runner, and before there is one."""
    manager = getattr(runner, "cudagraph_manager", None)
    return manager if hasattr(manager, "dispatch") and hasattr(manager, "capture") else None


def watch_graphs(runner: Any, free_bytes: Callable[[], int], keep: KeepGraph) -> bool:
    """Tell `keep` of each graph that this runner captures from now on; False without a manager.

    A graph lasts from its first preparation to that of the next one: its warm-up is included, as
    on the first runner.
    """
    manager = graph_manager(runner)
    if manager is None:
        return False
    # The class that holds the loop over the shapes; those below it prepare the model's inputs.
    base: Any = [one for one in type(manager).__mro__ if "capture" in vars(one)][-1]
    capture = base.capture

    def watched(self: Any, create_forward_fn: Any, *args: Any, **kwargs: Any) -> Any:
        if self is not manager:
            return capture(self, create_forward_fn, *args, **kwargs)
        begun: list[tuple[Any, float, int]] = []

        def close() -> None:
            if begun:
                shape, at, free_before = begun.pop()
                seconds = time.perf_counter() - at
                keep(shape.cg_mode.name, int(shape.num_tokens), seconds, free_before - free_bytes())

        def create(shape: Any, *args: Any, **kwargs: Any) -> Any:
            if not begun or begun[0][0] is not shape:
                close()
                begun.append((shape, time.perf_counter(), free_bytes()))
            return create_forward_fn(shape, *args, **kwargs)

        result = capture(self, create, *args, **kwargs)
        close()
        return result

    base.capture = watched
    return True


def count_steps(runner: Any) -> "Counter[tuple[str, int, int]] | None":
    """Count the steps of a runner whose messages lack their graph mode, where it is decided.

    The counter grows by graph mode, tokens, and tokens with padding; one entry a step, which is
    less than the statistics cost on the first runner. None where the messages tell, and where
    there is no such place.
    """
    manager = graph_manager(runner)
    if manager is None:
        return None
    from vllm.v1.worker.gpu import cudagraph_utils

    if hasattr(cudagraph_utils, "make_cudagraph_stats"):
        return None
    counted: Counter[tuple[str, int, int]] = Counter()
    dispatch = manager.dispatch

    def dispatch_and_count(num_reqs: int, num_tokens: int, *args: Any, **kwargs: Any) -> Any:
        shape = dispatch(num_reqs, num_tokens, *args, **kwargs)
        counted[shape.cg_mode.name, num_tokens, shape.num_tokens] += 1
        return shape

    manager.dispatch = dispatch_and_count
    return counted
