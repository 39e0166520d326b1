"""Proof of replay: against a plain simulation of which steps replay, and of public set-ups."""

from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.observations.steps import never_replayed
from cudagraph_lab.observations.validity import judge_arm
from cudagraph_lab.observations.warnings import foreign_load
from cudagraph_lab.records.call import Cell, StepCount
from cudagraph_lab.records.record import Conditions, Record
from cudagraph_lab.records.store import read_record

SHIPPED = Path(__file__).parents[3] / "resources/datasets/h100-opt-125m/runs"
GRAPHS = read_record(SHIPPED / "graphs/rep1.json")
EAGER = read_record(SHIPPED / "eager/rep1.json")


def simulate(batch: int, most: int, drafts: int, sizes: list[int], tokens: int) -> list[StepCount]:
    """Serve a batch step by step: who runs, what a step carries, and what it replays."""
    waiting, running = [tokens] * batch, list[int]()
    steps: Counter[tuple[str, int, int]] = Counter()
    while waiting or running:
        while waiting and len(running) < most:
            running.append(waiting.pop())
        carried = sum(1 + drafts for _ in running)
        at = bisect_left(sizes, carried)
        ran = ("FULL", carried, sizes[at]) if at < len(sizes) else ("NONE", carried, carried)
        steps[ran] += 1
        # No draft is accepted: every request gains one token.
        running = [left - 1 for left in running if left > 1]
    return [
        StepCount(mode=mode, unpadded_tokens=unpadded, padded_tokens=padded, count=count)
        for (mode, unpadded, padded), count in steps.items()
    ]


def record_of(
    base: Record,
    batches: dict[int, list[StepCount]],
    engine_args: dict[str, Any] | None = None,
    **resolved: Any,
) -> Record:
    timed = GRAPHS.cells[0].timed()[0]
    cells = [
        Cell(batch=batch, calls=[timed.model_copy(update={"steps": steps or None})])
        for batch, steps in batches.items()
    ]
    assert base.resolved is not None
    request = base.request
    if engine_args is not None:
        request = request.model_copy(update={"engine_args": engine_args})
    return base.model_copy(
        update={
            "cells": cells,
            "resolved": base.resolved.model_copy(update=resolved),
            "request": request,
        }
    )


SIZES = st.lists(st.integers(1, 64), min_size=1, max_size=6, unique=True).map(sorted)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 4), SIZES, st.integers(1, 5))
def test_judgement_agrees_with_a_simulation_of_the_steps(
    batch: int, most: int, drafts: int, sizes: list[int], tokens: int
) -> None:
    steps = simulate(batch, most, drafts, sizes, tokens)
    record = record_of(
        GRAPHS, {batch: steps}, capture_sizes=sizes, max_num_seqs=most, speculative_tokens=drafts
    )
    arm = judge_arm([record])
    assert (arm.status, arm.reason) == ("ok", None)
    outside = {step.unpadded_tokens for step in steps if step.mode == "NONE"}
    assert set(never_replayed(record, batch)) == outside
    flagged = [line for line in arm.warnings if "they ran without a graph" in line]
    assert len(flagged) == len(outside)
    assert all(line.startswith(f"batch {batch}: decode steps of ") for line in flagged)
    assert any("served in turn" in line for line in arm.warnings) == (batch > most)
    # The same steps, run in the other mode, are not what was expected.
    other = [
        step.model_copy(update={"mode": "FULL" if step.mode == "NONE" else "NONE"})
        for step in steps
    ]
    wrong = record_of(
        GRAPHS, {batch: other}, capture_sizes=sizes, max_num_seqs=most, speculative_tokens=drafts
    )
    assert judge_arm([wrong]).status == "invalid"
    # And steps of another size prove nothing.
    odd = [step.model_copy(update={"unpadded_tokens": 9_999}) for step in steps]
    unproven = judge_arm([
        record_of(GRAPHS, {batch: odd}, capture_sizes=sizes, max_num_seqs=most,
                  speculative_tokens=drafts)
    ])  # fmt: skip
    assert unproven.status == "unproven"
    assert unproven.reason is not None and "no step carried the" in unproven.reason


DRAFTS = {"speculative_config": {"method": "mtp", "num_speculative_tokens": 3}}


def test_with_drafts_a_small_capture_size_leaves_batches_outside_of_graphs() -> None:
    # Six requests and three drafts each, captured for no more than four tokens.
    sizes = [1, 2, 4]
    batches = {batch: simulate(batch, 6, 3, sizes, 8) for batch in (1, 2, 6)}
    posted = judge_arm([record_of(GRAPHS, batches, DRAFTS, capture_sizes=sizes, max_num_seqs=6)])
    assert posted.status == "ok"
    assert [line for line in posted.warnings if line.startswith("batch")] == [
        "batch 2: decode steps of 8 tokens are above the largest captured size (4): "
        "they ran without a graph",
        "batch 6: decode steps of 24 tokens are above the largest captured size (4): "
        "they ran without a graph",
    ]
    sizes = [4, 8, 16, 24]
    batches = {batch: simulate(batch, 6, 3, sizes, 8) for batch in (1, 2, 6)}
    fixed = judge_arm([record_of(GRAPHS, batches, DRAFTS, capture_sizes=sizes, max_num_seqs=6)])
    assert fixed.status == "ok"
    assert not [line for line in fixed.warnings if line.startswith("batch")]


@given(st.integers(1, 4), st.integers(0, 20), st.integers(0, 20), st.integers(1, 6))
def test_steps_with_fewer_drafts_than_can_be_are_accounted_for(
    drafts: int, full: int, bare: int, batch: int
) -> None:
    tokens = batch * (1 + drafts)
    steps = [
        StepCount(mode=mode, unpadded_tokens=carried, padded_tokens=carried, count=count)
        for mode, carried, count in (("FULL", tokens, full), ("PIECEWISE", batch, bare))
        if count
    ]
    sizes, arguments = [batch, tokens], {"speculative_config": {"num_speculative_tokens": drafts}}
    record = record_of(GRAPHS, {batch: steps}, arguments, capture_sizes=sizes)
    arm = judge_arm([record])
    said = [line for line in arm.warnings if "with all" in line]
    assert said == [
        f"repeat 1, batch {batch}: {full} of {full + bare} steps carried the {tokens} tokens of a "
        f"step with all {drafts} drafts; of the others {bare} ran as PIECEWISE"
    ] * (bare > full)
    # Without a single full step nothing shows what a full step replays.
    assert arm.status == ("unproven" if bare and not full else "ok")


def test_batches_above_max_num_seqs_are_said_and_nothing_untrue_is() -> None:
    batches = {batch: simulate(batch, 1, 0, [1, 2], 8) for batch in (1, 8, 64)}
    arm = judge_arm([record_of(GRAPHS, batches, capture_sizes=[1, 2], max_num_seqs=1)])
    assert arm.status == "ok"
    assert [line for line in arm.warnings if line.startswith("batch")] == [
        f"batch {batch}: vLLM ran at most 1 requests at a time (max_num_seqs), so its numbers "
        "are those of batch 1, served in turn"
        for batch in (8, 64)
    ]


def test_drafts_of_unknown_number_are_unproven() -> None:
    steps = simulate(2, 6, 3, [4, 8], 8)
    arm = judge_arm(
        [record_of(GRAPHS, {2: steps}, {"speculative_config": {"method": "ngram"}},
                   capture_sizes=[4, 8], max_num_seqs=6)]
    )  # fmt: skip
    assert arm.status == "unproven"
    assert arm.reason is not None and "speculative decoding carries is not known" in arm.reason


def test_without_graphs_every_step_is_proof_also_of_drafts() -> None:
    steps = [StepCount(mode="NONE", unpadded_tokens=n, padded_tokens=n, count=3) for n in (2, 5)]
    arguments = EAGER.request.engine_args | {"speculative_config": {"method": "ngram"}}
    assert judge_arm([record_of(EAGER, {2: steps}, arguments)]).status == "ok"
    one = StepCount(mode="FULL", unpadded_tokens=3, padded_tokens=4, count=3)
    assert judge_arm([record_of(EAGER, {2: [*steps, one]}, arguments)]).status == "invalid"


def test_an_arm_without_optimisation_is_valid_without_graphs() -> None:
    step = StepCount(mode="NONE", unpadded_tokens=1, padded_tokens=1, count=8)
    arguments = {"optimization_level": 0}
    assert judge_arm([record_of(EAGER, {1: [step]}, arguments)]).status == "ok"


@pytest.mark.parametrize("arguments", [{"compilation_config": 3}])
def test_what_vllm_decides_is_valid_either_way(arguments: dict[str, Any]) -> None:
    for mode, kind in (("NONE", "NONE"), ("FULL_DECODE_ONLY", "FULL")):
        step = StepCount(mode=kind, unpadded_tokens=1, padded_tokens=1, count=8)
        arm = judge_arm([record_of(GRAPHS, {1: [step]}, arguments, cudagraph_mode=mode)])
        assert arm.status == "ok"


def test_a_call_whose_steps_nobody_saw_is_said_to_be_unobserved() -> None:
    arm = judge_arm([record_of(GRAPHS, {1: [], 600: []}, capture_sizes=[1, 512])])
    assert arm.status == "ok"
    assert "repeat 1: which graphs were replayed was not observed" in arm.warnings
    assert (
        "batch 600: decode steps of 600 tokens are above the largest captured size (512): they "
        "were expected to run (not observed) without a graph"
    ) in arm.warnings


@pytest.mark.parametrize(
    ("platform", "threads", "cores", "load", "said"),
    [
        ("cpu", 1, 2, 6.0, "load average 6.0 on 2 cores, of which the run itself makes about 2"),
        ("cpu", 1, 2, 4.0, None),
        ("cpu", 31, 32, 40.0, None),
        ("cuda", 16, 16, 3.3, None),
        ("cuda", 16, 16, 9.0, "load average 9.0 on 16 cores"),
        ("cpu", None, None, 9.0, None),  # what the run uses is not known
    ],
)
def test_a_host_that_others_load_is_said(
    platform: str, threads: int | None, cores: int | None, load: float, said: str | None
) -> None:
    environment = GRAPHS.environment.model_copy(
        update={"platform": platform, "threads": threads, "cores": cores}
    )
    moments = [Conditions(at="before", seconds=0.0, load_average=0.1),
               Conditions(at="during", seconds=1.0, load_average=load),
               Conditions(at="after", seconds=2.0)]  # fmt: skip
    record = GRAPHS.model_copy(update={"environment": environment, "conditions": moments})
    found = foreign_load(record)
    assert (said is None) == (found is None)
    assert said is None or (found is not None and said in found)
    assert any("loaded by others" in line for line in judge_arm([record]).warnings) == (
        said is not None
    )
