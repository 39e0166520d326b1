"""Per-step figures from constructed Chrome traces, whose right answer is known."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.engine.profile_trace import busy_us, read_trace, summarise_decode_steps


def event(cat, name, ts, dur=1.0, correlation=None):
    args = {} if correlation is None else {"correlation": correlation}
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "args": args}


def step(ts, batch, contexts=0):
    name = f"execute_context_{contexts}({contexts * 6})_generation_{batch}({batch})"
    return event("user_annotation", name, ts, 90.0)


def launch(ts, correlation, name="cudaLaunchKernel"):
    return event("cuda_runtime", name, ts, 2.0, correlation)


def kernel(ts, dur, correlation):
    return event("kernel", "gemm", ts, dur, correlation)


def eager_trace():
    """Two whole decode steps of batch 1 and the begin of a third; the device lags by 150 us."""
    events = [step(0.0, 2, contexts=1), launch(10.0, 900), kernel(160.0, 50.0, 900)]
    for number, ts in enumerate((100.0, 200.0, 300.0)):
        events.append(step(ts, 1))
        for k in range(3):
            correlation = 10 * (number + 1) + k
            events.append(launch(ts + 10 * k, correlation))
            events.append(event("cpu_op", "aten::mm", ts + 10 * k))
            # Overlapping by half: busy is 2 * 10 + 20 us in a step, not 3 * 20.
            events.append(kernel(ts + 150 + 10 * k, 20.0, correlation))
    return events


def test_eager_steps():
    profile = summarise_decode_steps(eager_trace(), batch=1)
    assert profile is not None
    assert profile.steps == 2
    assert profile.kernels_per_step == 3
    assert profile.launches_per_step == 3
    assert profile.graph_launches_per_step == 0
    assert profile.operators_per_step == 3
    assert profile.device_busy_s_per_step == pytest.approx(40e-6)


def test_a_replay_is_one_launch_of_many_kernels():
    events = []
    for number, ts in enumerate((100.0, 200.0, 300.0)):
        events += [step(ts, 4), launch(ts + 1, number, "cudaGraphLaunch")]
        events.append(launch(ts + 60, 100 + number, "cuLaunchKernelEx"))  # the sampler
        # Kernels of a graph carry the correlation id of its launch.
        events += [kernel(ts + 10 + 5 * k, 5.0, number) for k in range(7)]
        events.append(kernel(ts + 70, 5.0, 100 + number))
    profile = summarise_decode_steps(events, batch=4)
    assert profile is not None
    assert profile.graph_launches_per_step == 1
    assert profile.launches_per_step == 1
    assert profile.kernels_per_step == 8
    assert profile.device_busy_s_per_step == pytest.approx(40e-6)


def test_the_passes_of_a_draft_are_told_apart_by_its_mark():
    events = []
    for number, ts in enumerate((100.0, 200.0, 300.0)):
        events += [step(ts, 4), launch(ts + 1, number, "cudaGraphLaunch")]
        events += [
            kernel(ts + 10, 20.0, number),
            event("user_annotation", "lab_draft", ts + 50, 30),
        ]
        # Two replays and an attention of the draft, whose kernels run after its mark has ended.
        for k, name in enumerate(("cudaGraphLaunch", "cudaLaunchKernel", "cudaGraphLaunch")):
            events.append(launch(ts + 55 + k, 100 + 10 * number + k, name))
            events.append(kernel(ts + 81 + 5 * k, 5.0, 100 + 10 * number + k))
    profile = summarise_decode_steps(events, batch=4)
    assert profile is not None
    assert profile.graph_launches_per_step == 3
    assert profile.kernels_per_step == 4
    assert profile.device_busy_s_per_step == pytest.approx(35e-6)
    assert profile.draft_graph_launches_per_step == 2
    assert profile.draft_launches_per_step == 1
    assert profile.draft_kernels_per_step == 3
    assert profile.draft_busy_s_per_step == pytest.approx(15e-6)


def test_without_a_mark_there_is_no_draft():
    profile = summarise_decode_steps(eager_trace(), batch=1)
    assert profile is not None
    assert profile.draft_kernels_per_step is None
    assert profile.draft_busy_s_per_step is None


def test_a_kernel_belongs_to_the_step_that_launched_it():
    # All kernels run after the last step began; still they are the first steps' own.
    events = [step(0.0, 1), step(10.0, 1), launch(1.0, 1), launch(11.0, 2)]
    events += [kernel(500.0, 5.0, 1), kernel(600.0, 5.0, 2)]
    profile = summarise_decode_steps(events, batch=1)
    assert profile is not None
    assert profile.kernels_per_step == 1


def test_copies_and_kernels_of_nobody_are_not_counted():
    events = [step(0.0, 1), step(10.0, 1), launch(1.0, 1), launch(2.0, 2, "cudaMemcpyAsync")]
    events += [kernel(3.0, 1.0, 1), kernel(4.0, 1.0, 77)]
    events.append({"ph": "X", "cat": "kernel", "name": "gemm", "ts": 5.0, "dur": 1.0})
    profile = summarise_decode_steps(events, batch=1)
    assert profile is not None
    assert (profile.kernels_per_step, profile.launches_per_step) == (1, 1)


def test_mixed_steps_and_other_batches_are_not_decode_steps_of_this_batch():
    events = [step(float(ts), 8) for ts in range(3)] + [step(9.0, 1), step(10.0, 1, contexts=2)]
    profile = summarise_decode_steps(events, batch=8)
    assert profile is not None
    assert profile.steps == 2
    assert summarise_decode_steps(events, batch=1) is None
    assert summarise_decode_steps(events, batch=64) is None
    assert summarise_decode_steps([], batch=1) is None


def test_without_a_device_there_are_no_kernels_rather_than_none_at_all():
    events = [step(0.0, 1), step(10.0, 1), event("cpu_op", "aten::mm", 1.0)]
    profile = summarise_decode_steps(events, batch=1)
    assert profile is not None
    assert profile.kernels_per_step is None
    assert profile.launches_per_step is None
    assert profile.device_busy_s_per_step is None
    assert profile.operators_per_step == 1


@given(st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(shuffle: random.Random):
    events = eager_trace()
    shuffle.shuffle(events)
    assert summarise_decode_steps(events, 1) == summarise_decode_steps(eager_trace(), 1)


# Whole microseconds, so that sums are exact.
intervals = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 100)).map(lambda x: (x[0], x[0] + x[1]))
)


@given(intervals)
def test_busy_is_the_length_of_the_union(spans):
    covered = {us for begin, end in spans for us in range(begin, end)}
    busy = busy_us(spans)
    assert busy == len(covered)
    assert busy <= sum(end - begin for begin, end in spans)
    if spans:
        assert busy <= max(end for _, end in spans) - min(begin for begin, _ in spans)


def test_only_complete_events_are_read(tmp_path):
    path = tmp_path / "b1-trace.json"
    events = [step(0.0, 1), {"ph": "M", "name": "process_name"}, {"ph": "i", "ts": 3}]
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": events}))
    assert read_trace(path) == [events[0]]
