"""A vLLM worker that tells what it did at start-up.

It changes nothing of what is timed; on a CPU it sleeps sooner between two calls.

Runs inside vLLM's environment: only the standard library and vLLM.
"""

import functools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from vllm.compilation.counter import compilation_counter
from vllm.forward_context import get_forward_context
from vllm.platforms import current_platform

import lineage  # noqa: F401 - imported for its effect on spawned workers
from dummy_weights import draw_weights
from resolved import resolved
from second_runner import count_steps, watch_graphs

SPINS_BRIEFLY = True
if current_platform.is_cuda():
    from vllm.v1.worker.gpu_worker import Worker as PlatformWorker
else:
    from vllm.distributed.device_communicators import shm_broadcast
    from vllm.v1.worker.cpu_worker import CPUWorker as PlatformWorker

    from idle import spin_briefly

    # Before the engine opens this worker's queues.
    SPINS_BRIEFLY = spin_briefly(shm_broadcast)

# In the order in which the engine calls them.
PHASES = {
    "init_device": "device",
    "load_model": "load",
    "determine_available_memory": "profile",
    "initialize_from_config": "kv_cache",
    "compile_or_warm_up_model": "warm_up",
}


def _free_bytes() -> int:
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0


def _annotate_step(scheduler_output: Any) -> Any:
    """A mark around one engine step in a trace, with the name that vLLM's own profiler gives it."""
    from vllm.v1.utils import compute_iteration_details

    step = compute_iteration_details(scheduler_output)
    return torch.profiler.record_function(
        f"execute_context_{step.num_ctx_requests}({step.num_ctx_tokens})"
        f"_generation_{step.num_generation_requests}({step.num_generation_tokens})"
    )


class LabWorker(PlatformWorker):
    """The platform's own worker with a stopwatch around its start-up phases.

    It is profiled on demand: vLLM's own profiler is an argument of the engine, so that an arm
    with it would not be the arm that is timed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lab_spans: list[dict[str, Any]] = []
        self.lab_graphs: list[dict[str, Any]] = []
        self.lab_capture: dict[str, Any] | None = None
        self._lab_capturing = False
        self.lab_weights_drawn = False
        self.lab_profiler: Any = None
        self.lab_steps: Any = None
        self.lab_notes: list[str] = []
        self.lab_passes: Counter[tuple[str, int]] = Counter()
        self.lab_hook: Any = None
        if not SPINS_BRIEFLY:
            self.lab_notes.append("turns: this version's worker spins after a call as it likes")
        super().__init__(*args, **kwargs)
        for method, phase in PHASES.items():
            if hasattr(self, method):
                setattr(self, method, self._stopwatch(getattr(self, method), phase))
            else:
                self.lab_notes.append(f"start-up: no phase {phase!r}: the worker has no {method}")

    def _stopwatch(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            # Linux: perf_counter is CLOCK_MONOTONIC, comparable between processes.
            begun = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            finally:
                ended = time.perf_counter()
                self.lab_spans.append({"name": phase, "begun": begun, "ended": ended})
            if phase == "load":
                self._draw_weights()
                self._watch_capture()
            if phase == "warm_up":
                # From here on steps are steps: what it dispatched before were warm-ups.
                self.lab_steps = count_steps(self.model_runner)
                if self.lab_steps is not None:
                    self.lab_notes.append(
                        "graph modes: this version's messages lack them on the V2 runner; the "
                        "worker counts the steps where it chooses the graph"
                    )
            return result

        return timed

    def _draw_weights(self) -> None:
        """Draw dummy weights anew; see `dummy_weights`."""
        if self.vllm_config.load_config.load_format != "dummy":
            return
        target = self.vllm_config.model_config
        draw_weights(self.model_runner.model, target.hf_config, target.seed, 0)
        if (draft := self._draft_model()) is not None:
            own = self.vllm_config.speculative_config.draft_model_config.hf_config
            # Numbered apart from those of the target, whose values do not depend on a draft.
            draw_weights(draft, own, target.seed, 50_000)
        self.lab_weights_drawn = True

    def _draft_model(self) -> Any:
        """The model of a drafter that has weights of its own; else None."""
        config = getattr(self.vllm_config, "speculative_config", None)
        if config is None or config.method != "draft_model":
            return None
        return self.model_runner.drafter.model

    def _watch_capture(self) -> None:
        """Time the capture as a whole and graph by graph; the model runner exists now."""
        runner = self.model_runner
        if not hasattr(runner, "capture_model"):
            return
        capture_model = runner.capture_model
        capture_one = getattr(runner, "_warmup_and_capture", None)

        def keep(routine: str, tokens: int, seconds: float, size: int) -> None:
            self.lab_graphs.append(
                {"routine": routine, "tokens": tokens, "seconds": seconds, "bytes": size}
            )

        def timed_capture(*args: Any, **kwargs: Any) -> Any:
            if kwargs.get("profile_only"):  # those graphs are thrown away
                return capture_model(*args, **kwargs)
            # The second runner has its manager only now.
            if capture_one is None and not watch_graphs(runner, _free_bytes, keep):
                self.lab_notes.append("capture: single graphs cannot be timed in this version")
            self._lab_capturing = True
            begun = time.perf_counter()
            pool_bytes = capture_model(*args, **kwargs)
            ended = time.perf_counter()
            self._lab_capturing = False
            if self.lab_graphs:
                self.lab_spans.append({"name": "capture", "begun": begun, "ended": ended})
                self.lab_capture = {"seconds": ended - begun, "pool_bytes": int(pool_bytes)}
            return pool_bytes

        runner.capture_model = timed_capture
        if capture_one is None:
            return

        def timed_graph(desc: Any, cudagraph_runtime_mode: Any, *args: Any, **kwargs: Any) -> Any:
            free_before, begun = _free_bytes(), time.perf_counter()
            result = capture_one(desc, cudagraph_runtime_mode, *args, **kwargs)
            # The profiling pass captures a few graphs too; those are thrown away.
            if self._lab_capturing:
                keep(
                    cudagraph_runtime_mode.name,
                    int(desc.num_tokens),
                    time.perf_counter() - begun,
                    free_before - _free_bytes(),
                )
            return result

        runner._warmup_and_capture = timed_graph

    def lab_count_draft_passes(self) -> None:
        """Count the passes of the draft from now on: the graph mode that each is dispatched to.

        vLLM reports the target's dispatch alone.
        """
        self.lab_passes.clear()

        def count(*_: Any) -> None:
            context = get_forward_context()
            shape = context.batch_descriptor
            padded = shape.num_tokens if shape is not None else 0
            self.lab_passes[context.cudagraph_runtime_mode.name, padded] += 1

        # On the module around the compiled one: nothing is compiled anew for it.
        self.lab_hook = self._draft_model().register_forward_pre_hook(count)

    def lab_draft_passes(self) -> list[dict[str, Any]]:
        """What was counted; the count ends. 0 padded tokens: a pass without a graph."""
        self.lab_hook.remove()
        return [
            {"mode": mode, "padded_tokens": padded, "count": passes}
            for (mode, padded), passes in sorted(self.lab_passes.items())
        ]

    def lab_profile_start(self) -> None:
        """Record what the host and the device do from now on, with a mark around each step."""
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self.lab_profiler = torch.profiler.profile(activities=activities)
        self.lab_profiler.start()
        # On the objects: while nothing is recorded, steps run vLLM's own methods.
        self.annotate_profile = _annotate_step
        if self._draft_model() is not None:
            drafter = self.model_runner.drafter
            drafter.propose = torch.profiler.record_function("lab_draft")(drafter.propose)

    def lab_profile_stop(self, path: str) -> None:
        """End the recording and write it to `path`, as a Chrome trace, whole or not at all.

        Of several ranks, which all do the same work, the first writes.
        """
        del self.annotate_profile
        if self._draft_model() is not None:
            del self.model_runner.drafter.propose
        profiler, self.lab_profiler = self.lab_profiler, None
        profiler.stop()
        if self.rank == 0:
            unfinished = f"{path}.unfinished"
            profiler.export_chrome_trace(unfinished)
            Path(unfinished).rename(path)

    def lab_take_steps(self) -> list[dict[str, Any]]:
        """The steps since this was last asked, by graph mode and padding."""
        counted = [
            {"mode": mode, "unpadded_tokens": tokens, "padded_tokens": padded, "count": count}
            for (mode, tokens, padded), count in sorted(self.lab_steps.items())
        ]
        self.lab_steps.clear()
        return counted

    def lab_facts(self) -> dict[str, Any]:
        """What this worker resolved and spent, as plain data."""
        compilation = self.vllm_config.compilation_config
        return {
            "rank": self.rank,
            "spans": self.lab_spans,
            "graphs": self.lab_graphs,
            "capture": self.lab_capture,
            "capture_estimate_bytes": getattr(self, "cudagraph_memory_estimate", None),
            "available_kv_cache_bytes": getattr(self, "available_kv_cache_memory_bytes", None),
            "model_bytes": getattr(self.model_runner, "model_memory_usage", None),
            "compile_seconds": getattr(compilation, "compilation_time", None),
            "graphs_captured_by_counter": compilation_counter.num_cudagraph_captured,
            "threads": torch.get_num_threads(),
            "weights_drawn": self.lab_weights_drawn,
            "counts_steps": self.lab_steps is not None,
            "notes": self.lab_notes,
            "resolved": resolved(self.vllm_config, self.model_runner, self._draft_model()),
        }
