"""From a torch profiler trace to kernels, launches and busy time per decode step."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cudagraph_lab.forms import ExactForm

# vLLM names each engine step; a pure decode step has no context requests.
DECODE_STEP = re.compile(r"execute_context_0\(0\)_generation_(\d+)\(\d+\)")
# The worker's mark around the passes of a draft model (harness/lab_worker.py).
DRAFT = "lab_draft"
KERNEL_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel")


class StepProfile(ExactForm):
    """What the torch profiler saw of the decode steps of one batch size. Never timed."""

    batch: int
    steps: int
    kernels_per_step: float | None
    launches_per_step: float | None
    graph_launches_per_step: float | None
    device_busy_s_per_step: float | None
    operators_per_step: float | None
    # Of these, those of the draft of speculative decoding; None where there is none.
    draft_kernels_per_step: float | None = None
    draft_launches_per_step: float | None = None
    draft_graph_launches_per_step: float | None = None
    draft_busy_s_per_step: float | None = None


def read_trace(path: Path) -> list[dict[str, Any]]:
    """The complete events (`ph` X) of a Chrome trace."""
    events = json.loads(path.read_text(encoding="utf-8", errors="replace"))["traceEvents"]
    return [event for event in events if event.get("ph") == "X"]


def busy_us(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of (begin, end) intervals: overlapping kernels count once."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def summarise_decode_steps(events: list[dict[str, Any]], batch: int) -> StepProfile | None:
    """Per decode step of `batch`: from the start of the first to the start of the last.

    Counting from start to start takes in what runs between two forward passes
    (sampling, input preparation). A kernel belongs to the step that launched it,
    by the launch's correlation id, since the device lags behind the host. None
    where fewer than two decode steps of this batch were traced.
    """
    starts = sorted(
        event["ts"]
        for event in events
        if event.get("cat") == "user_annotation"
        and (match := DECODE_STEP.search(event.get("name", "")))
        and int(match.group(1)) == batch
    )
    steps = len(starts) - 1
    if steps < 1:
        return None

    def inside(event: dict[str, Any]) -> bool:
        return bool(starts[0] <= event["ts"] < starts[-1])

    runtime = [e for e in events if e.get("cat") in ("cuda_runtime", "cuda_driver") and inside(e)]
    launches = [e for e in runtime if e["name"].startswith(KERNEL_LAUNCHES)]
    graph_launches = [e for e in runtime if e["name"].startswith("cudaGraphLaunch")]
    launched = {e["args"]["correlation"] for e in launches + graph_launches}
    kernels = [
        e
        for e in events
        if e.get("cat") == "kernel" and e.get("args", {}).get("correlation") in launched
    ]
    operators = [e for e in events if e.get("cat") == "cpu_op" and inside(e)]
    drafts = [
        (e["ts"], e["ts"] + e["dur"])
        for e in events
        if e.get("cat") == "user_annotation" and e.get("name") == DRAFT
    ]

    def drafting(event: dict[str, Any]) -> bool:
        return any(begin <= event["ts"] < end for begin, end in drafts)

    of_draft = {e["args"]["correlation"] for e in launches + graph_launches if drafting(e)}
    draft_kernels = [e for e in kernels if e["args"]["correlation"] in of_draft]
    on_device = bool(runtime)
    return StepProfile(
        batch=batch,
        steps=steps,
        kernels_per_step=len(kernels) / steps if on_device else None,
        launches_per_step=len(launches) / steps if on_device else None,
        graph_launches_per_step=len(graph_launches) / steps if on_device else None,
        device_busy_s_per_step=busy_us((e["ts"], e["ts"] + e["dur"]) for e in kernels) / 1e6 / steps
        if on_device
        else None,
        operators_per_step=len(operators) / steps,
        draft_kernels_per_step=len(draft_kernels) / steps if of_draft else None,
        draft_launches_per_step=sum(map(drafting, launches)) / steps if of_draft else None,
        draft_graph_launches_per_step=sum(map(drafting, graph_launches)) / steps
        if of_draft
        else None,
        draft_busy_s_per_step=busy_us((e["ts"], e["ts"] + e["dur"]) for e in draft_kernels)
        / 1e6
        / steps
        if of_draft
        else None,
    )
