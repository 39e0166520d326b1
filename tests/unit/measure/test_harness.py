"""What the harness reads from the engine core's messages, after the call."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cudagraph_lab.measure.guards import HARNESS


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(str(HARNESS))
    # It would bind this process to the life of its parent.
    monkeypatch.setitem(sys.modules, "lineage", SimpleNamespace())
    import run

    yield run
    del sys.modules["run"]


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.syspath_prepend(str(HARNESS))
    import calls

    yield calls
    del sys.modules["calls"]


def message(at, tokens, mode=None, padded=8):
    """One message: `tokens` maps a request to how many new tokens it got."""
    stat = mode and SimpleNamespace(
        runtime_mode=mode, num_unpadded_tokens=len(tokens), num_padded_tokens=padded
    )
    return SimpleNamespace(
        timestamp=at,
        outputs=[
            SimpleNamespace(request_id=request, new_token_ids=[0] * count)
            for request, count in tokens.items()
        ],
        scheduler_stats=SimpleNamespace(cudagraph_stats=stat),
    )


def test_steps_are_counted_by_mode_and_padding(calls):
    steps = [message(1.0, {"a": 1, "b": 1}, "FULL")] * 3
    steps += [message(2.0, {"a": 1}, "NONE", 1), message(3.0, {}, "FULL")]
    assert calls.graph_steps(steps) == [
        {"mode": "FULL", "unpadded_tokens": 2, "padded_tokens": 8, "count": 3},
        {"mode": "NONE", "unpadded_tokens": 1, "padded_tokens": 1, "count": 1},
    ]


def test_a_platform_without_graphs_has_no_steps_and_an_unobserved_arm_has_none(calls):
    assert calls.graph_steps([message(1.0, {"a": 1})]) == []
    silent = SimpleNamespace(
        timestamp=1.0,
        outputs=[SimpleNamespace(request_id="a", new_token_ids=[1])],
        scheduler_stats=None,
    )
    assert calls.graph_steps([silent]) is None


class Engine:
    """An engine that hands out messages and has bookkeeping to be switched off."""

    def __init__(self, messages):
        self.left = list(messages)
        self.log_stats = True
        self.logger_manager = object()
        self.output_processor = SimpleNamespace(log_stats=True)
        self.engine_core = SimpleNamespace(get_output=lambda: self.left.pop(0))

    def generate(self, prompts, sampling, use_tqdm):
        tokens = dict.fromkeys(("a", "b"), 0)
        while self.left:
            for output in self.engine_core.get_output().outputs:
                tokens[output.request_id] += len(output.new_token_ids)
        return [
            SimpleNamespace(outputs=[SimpleNamespace(token_ids=[0] * n)]) for n in tokens.values()
        ]


def measure(calls, monkeypatch, messages):
    engine = Engine(messages)
    llm = SimpleNamespace(llm_engine=engine, generate=engine.generate)
    monkeypatch.setattr(calls.time, "monotonic", lambda: 100.0)
    return engine, calls.make_call(llm, calls.keep_outputs(llm), [], None)["call"]


def test_step_and_first_token_times_come_from_the_messages(harness, monkeypatch):
    engine, call = measure(
        harness,
        monkeypatch,
        [
            message(100.5, {"a": 1}, "NONE"),
            message(101.0, {"a": 1, "b": 1}, "NONE"),
            message(101.5, {"a": 1, "b": 2}, "FULL"),
        ],
    )
    assert call["first_token_s"] == [0.5, 1.0]
    # Request a: two steps in a second after its first; b: one that brought two tokens.
    assert call["decode_s_per_step"] == [0.5, 0.5]
    assert call["decode_steps"] == [2, 1]
    assert call["acceptance"] is None
    assert call["tokens"] == 6
    # The steps after the first, each until its message.
    assert call["step_us"] == [500_000, 500_000]
    assert call["energy_j"] is None
    assert (engine.log_stats, engine.output_processor.log_stats) == (False, False)
    assert engine.logger_manager is None


def verified(drafts, accepted):
    """A message of a step in which these drafts were verified, as vLLM counts them."""
    one = message(1.0, {"a": 1 + len(accepted)})
    one.scheduler_stats.spec_decoding_stats = SimpleNamespace(
        num_drafts=1,
        num_draft_tokens=drafts,
        num_accepted_tokens=len(accepted),
        num_accepted_tokens_per_pos=[int(place in accepted) for place in range(drafts)],
    )
    return one


def test_the_acceptance_that_was_met_comes_from_the_messages(calls):
    steps = [verified(3, [0, 1]), message(2.0, {"a": 1}), verified(3, []), verified(3, [0])]
    assert calls.acceptance(steps) == {
        "verifications": 3,
        "draft_tokens": 9,
        "accepted_tokens": 3,
        "accepted_by_position": [2, 1, 0],
    }
    assert calls.acceptance([message(1.0, {"a": 1})]) is None


def test_the_draft_is_given_by_its_path_and_the_record_keeps_its_name(harness):
    asked = {"method": "draft_model", "model": "owner/draft", "num_speculative_tokens": 3}
    request = {
        "weights": "dummy",
        "seed": 1,
        "workload": {"prompt_token_ids": [1], "max_model_len": 8, "gpu_memory_utilization": 0.5},
        "engine_args": {"speculative_config": asked},
    }
    job = {"model_path": "/target", "draft_path": "/draft", "request": request}
    given = harness.engine_arguments(job)
    assert given["speculative_config"] == {**asked, "model": "/draft"}
    assert asked["model"] == "owner/draft"
    assert harness.engine_arguments({**job, "draft_path": None})["speculative_config"] == asked


def test_a_request_of_one_token_has_no_step_time(calls, monkeypatch):
    _, call = measure(calls, monkeypatch, [message(100.5, {"a": 1, "b": 1}, "NONE")])
    assert "decode_s_per_step" not in call
    assert call["seconds"] > 0


@pytest.fixture
def idle(monkeypatch):
    monkeypatch.syspath_prepend(str(HARNESS))
    import idle

    yield idle
    del sys.modules["idle"]


def test_a_turn_ends_once_the_engine_hardly_uses_a_processor(idle):
    used = iter([1.0, 1.1, 1.2, 1.25, 1.26, 2.0])
    slept: list[float] = []
    idle.wait_until_idle(lambda: next(used), slept.append)
    assert slept == [idle.LOOK_S] * 4
    assert next(used) == 2.0


def test_an_engine_that_never_rests_is_not_waited_for_for_ever(idle):
    used = iter(range(1000))
    slept: list[float] = []
    idle.wait_until_idle(lambda: float(next(used)), slept.append)
    assert len(slept) == idle.PATIENCE_LOOKS


class Condition:
    def __init__(self, is_reader, busy_loop_s=1):
        self.busy_loop_s = busy_loop_s


def test_queues_that_a_worker_opens_later_spin_briefly(idle):
    queues = SimpleNamespace(SpinCondition=Condition)
    assert idle.spin_briefly(queues)
    assert queues.SpinCondition(is_reader=True).busy_loop_s == idle.SPIN_S


@pytest.mark.parametrize("queues", [{}, {"SpinCondition": lambda is_reader: None}])
def test_queues_of_a_version_that_takes_no_time_stay_as_they_are(idle, queues):
    module = SimpleNamespace(**queues)
    assert not idle.spin_briefly(module)
    assert vars(module) == queues


def test_the_processor_time_of_the_processes_below_is_read(idle):
    spinning = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    before = idle.used_by_engine_s()
    with subprocess.Popen([sys.executable, "-c", spinning]) as child:
        try:
            # The grandchild alone uses that much.
            while idle.used_by_engine_s() < before + 0.5:
                assert child.poll() is None
            below = idle.descendants(child.pid)
            assert len(below) == 1
        finally:
            for process in [*idle.descendants(child.pid), child.pid]:
                os.kill(process, signal.SIGKILL)
