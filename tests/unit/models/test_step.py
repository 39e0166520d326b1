"""The step model: its limits, its monotony, and constants that a fit finds again."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.architecture import read_devices, read_models, roofline
from cudagraph_lab.models.calibration import MeasuredBusy, MeasuredStep, fit_host, fit_speed
from cudagraph_lab.models.forecast import Question, answer, forecast
from cudagraph_lab.models.step import (
    DRAWS,
    STEP_ARMS,
    Belief,
    Host,
    Speed,
    StepArm,
    Work,
    assumed_speed,
    carried_over,
    read_assumed,
    step,
    unknown_host,
    work_of,
)

ASSUMED = read_assumed()
DEVICE_TABLE, MODEL_TABLE = read_devices(), read_models()

SECONDS = st.floats(1e-7, 1e-2)


def constant(value: float) -> NDArray[np.float64]:
    return np.full(DRAWS, value)


def a_host(fixed_s=1e-3, per_request_s=1e-5, eager_s=2e-5, compiled_s=2.2e-5) -> Host:
    launches: dict[StepArm, NDArray[np.float64]] = {
        "eager": constant(eager_s),
        "compiled": constant(compiled_s),
    }
    return Host(constant(fixed_s), constant(per_request_s), launches)


def a_speed(bandwidth=3e12, kernel_s=2e-6, serial=0.0) -> Speed:
    return Speed(
        bandwidth_b_s=constant(bandwidth),
        matrix_flop_s=constant(5e14),
        kernel_s=constant(kernel_s),
        serial_share=constant(serial),
        all_reduce_s=constant(1e-5),
        all_reduce_b_s=constant(1e11),
    )


def some_work(batch=1, size=1e9, kernels=200.0, outside=16.0) -> Work:
    counts: dict[StepArm, NDArray[np.float64]] = {
        "eager": constant(kernels),
        "compiled": constant(kernels),
        "graphs": constant(kernels),
    }
    return Work(batch, size, 1e9, counts, constant(outside), 0, 0.0)


def seconds(host, speed, work, arm) -> float:
    return float(step(host, speed, work, arm).step_s[0])


@given(
    batch=st.integers(1, 512),
    size=st.floats(1e6, 1e12),
    kernels=st.floats(20, 5000),
    fixed=SECONDS,
    launch=st.floats(1e-7, 1e-4),
    serial=st.floats(0, 1),
    more=st.floats(1.01, 10),
)
def test_steps_grow_with_kernels_bytes_and_batch(batch, size, kernels, fixed, launch, serial, more):
    host, speed = a_host(fixed, 1e-5, launch, launch), a_speed(serial=serial)
    work = some_work(batch, size, kernels)
    larger = (
        replace(work, batch=batch + 1),
        replace(work, bytes=size * more),
        some_work(batch, size, kernels * more),
    )
    for arm in STEP_ARMS:
        least = seconds(host, speed, work, arm)
        assert all(seconds(host, speed, one, arm) >= least for one in larger)
    # Graphs never launch more than eager code of the same kernels.
    assert seconds(host, speed, work, "graphs") <= seconds(host, speed, work, "eager")


@given(
    name=st.sampled_from(["opt-125m", "llama-3.2-1b", "llama-3-8b", "qwen2.5-32b"]),
    layers=st.integers(1, 120),
    batch=st.integers(1, 256),
)
def test_steps_grow_with_the_layers_of_a_model(name, layers, batch):
    device = DEVICE_TABLE["h200"].model_copy(update={"memory_gib": None})

    def steps(count):
        model = MODEL_TABLE[name].model_copy(update={"layers": count, "published_parameters": None})
        roof = roofline(device, model, batch, 1, "bf16", 64)
        work = work_of(model, roof, batch, 1, ASSUMED.kernels, 1)
        return {arm: step(a_host(), a_speed(serial=0.05), work, arm) for arm in STEP_ARMS}

    fewer, more = steps(layers), steps(layers + 1)
    # Draw by draw, and never because of chance.
    for arm in STEP_ARMS:
        assert np.all(more[arm].step_s >= fewer[arm].step_s)
        # A layer is at least five kernels of 2 us, beside its bytes.
        assert np.all(more[arm].gpu_s >= fewer[arm].gpu_s + 5 * 2e-6)
    assert np.all(more["eager"].host_s >= fewer["eager"].host_s + 5 * 2e-5)
    assert np.allclose(more["graphs"].host_s, fewer["graphs"].host_s)


@given(serial=st.floats(0, 0.3))
def test_the_speed_up_goes_to_1_as_gpu_work_grows(serial):
    host, speed = a_host(), a_speed(serial=serial)

    def ratio(size):
        work = some_work(size=size)
        return seconds(host, speed, work, "eager") / seconds(host, speed, work, "graphs")

    assert ratio(1e9) > ratio(1e11) >= ratio(1e13) >= 1
    assert ratio(1e15) == pytest.approx(1, abs=1e-3)


@given(
    fixed=st.floats(1e-4, 1e-2),
    per_request=st.floats(1e-6, 1e-4),
    launch=st.floats(1e-6, 1e-4),
    batch=st.integers(1, 512),
    launches=st.integers(1, 3000),
)
def test_the_speed_up_goes_to_host_over_replay_as_gpu_work_vanishes(
    fixed, per_request, launch, batch, launches
):
    host, speed = a_host(fixed, per_request, launch), a_speed(bandwidth=1e18, kernel_s=1e-15)
    speed = replace(speed, matrix_flop_s=constant(1e24))
    work = some_work(batch, size=1.0, kernels=16.0 + launches)  # 16 outside of the graph
    eager, graphs = (seconds(host, speed, work, arm) for arm in ("eager", "graphs"))
    beside = fixed + per_request * batch
    assert eager / graphs == pytest.approx((beside + launches * launch) / beside, rel=1e-4)


def test_a_step_by_hand():
    host, speed = a_host(), a_speed(serial=0.1)
    work = some_work(batch=4, size=6e9, kernels=116)
    # Host: 1 ms + 4 x 10 us + 100 launches x 20 us; GPU: 116 x 2 us + 6e9 / 3e12 s.
    made = step(host, speed, work, "eager")
    assert made.host_s[0] == pytest.approx(3.04e-3)
    assert made.gpu_s[0] == pytest.approx(2.232e-3)
    assert made.step_s[0] == pytest.approx(3.04e-3 + 0.1 * 2.232e-3)
    replayed = step(host, speed, work, "graphs")
    assert replayed.step_s[0] == pytest.approx(2.232e-3 + 0.1 * 1.04e-3)


def test_tensor_parallelism_divides_bytes_and_adds_all_reduces():
    model, device = MODEL_TABLE["llama-70b"], DEVICE_TABLE["h100"]

    def work(tp):
        return work_of(model, roofline(device, model, 1, tp, "bf16", 16), 1, tp, ASSUMED.kernels, 1)

    two, four = work(2), work(4)
    assert four.bytes == pytest.approx(two.bytes / 2, rel=0.01)
    assert two.all_reduces == four.all_reduces == 161
    assert np.array_equal(two.launches("eager"), four.launches("eager"))
    assert (two.launches("eager") > 161 + 80 * 9).mean() > 0.9


def cells_of(host, speed, noise, batches=(1, 8, 64, 256)):
    rng = np.random.default_rng(5)
    cells = []
    for arm in STEP_ARMS:
        for batch in batches:
            work = some_work(batch, 2.5e8, {"eager": 177.0, "compiled": 148.0}.get(arm, 148.0))
            true = float(step(host, speed, work, arm).step_s[0])
            seen = true * np.exp(noise * rng.standard_normal())
            cells.append(MeasuredStep(arm, work, seen * np.exp(noise * rng.standard_normal(DRAWS))))
    return cells


def test_a_fit_recovers_the_constants_of_simulated_data_within_their_intervals():
    truth, speed = a_host(1.4e-3, 1.7e-5, 2.9e-5, 3.1e-5), a_speed(kernel_s=2.7e-6, serial=0.05)
    fitted = fit_host(speed, cells_of(truth, speed, noise=0.02))
    for found, true in (
        (fitted.host.fixed_s, 1.4e-3),
        (fitted.host.per_request_s, 1.7e-5),
        (fitted.host.per_launch_s["eager"], 2.9e-5),
        (fitted.host.per_launch_s["compiled"], 3.1e-5),
    ):
        low, high = np.quantile(found, [0.005, 0.995])
        assert low < true < high
    assert all(abs(residual) < 0.08 for residual in fitted.residuals.values())


@settings(max_examples=25, deadline=None)
@given(
    fixed=st.floats(8e-4, 5e-3),
    per_request=st.floats(5e-6, 5e-5),
    eager=st.floats(1e-5, 6e-5),
    over=st.floats(0.7, 1.5),
)
def test_an_exact_fit_is_exact(fixed, per_request, eager, over):
    truth = a_host(fixed, per_request, eager, eager * over)
    speed = a_speed(serial=0.05)
    fitted = fit_host(speed, cells_of(truth, speed, noise=0.0)).host
    assert fitted.fixed_s[0] == pytest.approx(fixed, rel=1e-6)
    assert fitted.per_request_s[0] == pytest.approx(per_request, rel=1e-6)
    assert fitted.per_launch_s["eager"][0] == pytest.approx(eager, rel=1e-6)
    assert fitted.per_launch_s["compiled"][0] == pytest.approx(eager * over, rel=1e-6)


def test_cells_in_which_the_gpu_decides_say_nothing_of_the_host():
    speed = a_speed(bandwidth=1e10)
    with pytest.raises(LabError, match="the host decides in too few cells"):
        fit_host(speed, cells_of(a_host(), speed, noise=0.0))


def test_a_profiled_step_of_the_gpu_is_never_taken_for_the_hosts():
    # The device is slower than assumed, so that its steps look like a slow host's.
    slow = a_speed(bandwidth=2e10)
    cells = [
        replace(cell, busy_s=float(step(a_host(), slow, cell.work, cell.arm).gpu_s[0]))
        for cell in cells_of(a_host(), slow, noise=0.0)
    ]
    with pytest.raises(LabError, match="the host decides in too few cells"):
        fit_host(a_speed(bandwidth=3e12), cells)


def test_the_latency_of_a_kernel_comes_from_profiles_and_the_bandwidth_from_large_models():
    device, speed = DEVICE_TABLE["h100"], assumed_speed(DEVICE_TABLE["h100"], ASSUMED.device, 1)
    assert fit_speed(speed, device, []) is speed

    def busy(model, dtype):
        roof = roofline(device, MODEL_TABLE[model], 1, 1, dtype, 16)
        size = roof.weight_bytes + roof.kv_bytes + roof.activation_bytes
        return [
            MeasuredBusy(roof, kernels, 3e-6 * kernels + size / 2.9e12)
            for kernels in (300.0, 400.0, 500.0)
        ]

    small = fit_speed(speed, device, busy("opt-125m", "fp16"))
    assert np.median(small.kernel_s) == pytest.approx(3e-6, rel=0.01)
    assert small.bandwidth_b_s is speed.bandwidth_b_s
    large = fit_speed(speed, device, busy("llama-3-8b", "bf16"))
    assert large.kernel_s is speed.kernel_s
    assert np.median(large.bandwidth_b_s) == pytest.approx(2.9e12, rel=0.04)


def test_a_belief_has_its_median_and_bounds_and_a_source():
    belief = Belief(median=10, low=4, high=33, source="here")
    draws = belief.draw(np.random.default_rng(1))
    assert np.median(draws) == pytest.approx(10, rel=0.06)
    assert np.quantile(draws, 0.05) == pytest.approx(4, rel=0.1)
    assert np.quantile(draws, 0.95) == pytest.approx(33, rel=0.1)
    with pytest.raises(ValueError, match="low < median < high"):
        Belief(median=10, low=11, high=33, source="here")


def test_the_same_model_keeps_its_launches_and_another_may_not():
    host = a_host()
    same = carried_over(host, ASSUMED.transfer, same_model=True, seed=1)
    other = carried_over(host, ASSUMED.transfer, same_model=False, seed=1)
    assert np.array_equal(same.fixed_s, other.fixed_s)
    assert np.std(other.per_launch_s["eager"]) > np.std(same.per_launch_s["eager"])


def test_an_answer_is_the_same_every_time_and_its_bounds_are_nested():
    question = Question(MODEL_TABLE["llama-3-8b"], DEVICE_TABLE["h100"], 8, 1, "bf16", 1024, None)

    def ask():
        speed = assumed_speed(DEVICE_TABLE["h100"], ASSUMED.device, 1)
        return answer(question, unknown_host(ASSUMED.unknown_host, 1), speed, ASSUMED, 1)

    said = forecast(ask().ratio)
    assert said == forecast(ask().ratio)
    assert said.low_90 < said.low_50 < said.median < said.high_50 < said.high_90
