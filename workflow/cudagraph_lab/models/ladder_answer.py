"""The answer to "which sizes should I capture?": for an engine, a mix of steps, and a log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cudagraph_lab.engine.capture_sizes import (
    full_decode_sizes,
    own_capture_sizes,
    vllm_capture_sizes,
)
from cudagraph_lab.engine.startup_facts import StartupFacts
from cudagraph_lab.engine.step_log import StepLog
from cudagraph_lab.errors import LabError
from cudagraph_lab.models.ladder import LadderCost, best_ladder, ladder_cost


@dataclass(frozen=True)
class Engine:
    """The engine that an answer is for; its limits decide which steps there can be."""

    vllm: str
    max_num_seqs: int
    max_num_batched_tokens: int
    speculative_tokens: int
    max_capture_size: int | None

    @property
    def most_tokens(self) -> int:
        """What a decode step can carry at most: every request with its draft tokens."""
        return self.max_num_seqs * (1 + self.speculative_tokens)

    def own_sizes(self) -> tuple[int, ...]:
        """The sizes that vLLM chooses by itself; see `vllm_capture_sizes` for the errors."""
        return vllm_capture_sizes(
            self.max_num_seqs,
            self.max_num_batched_tokens,
            self.vllm,
            self.speculative_tokens,
            self.max_capture_size,
        )


@dataclass(frozen=True)
class Outside:
    """Steps of one size that ran without a graph, and the likely reason."""

    tokens: int
    steps: int
    prefill: bool
    reason: str


@dataclass(frozen=True)
class Today:
    """What a log says of the steps as they ran; None where its lines do not tell."""

    counted: str
    captured_sizes: tuple[int, ...] | None
    mode: str | None
    steps: int
    replayed_steps: int | None
    padded_tokens: int | None
    padded_share: float | None
    steps_outside_a_graph: tuple[Outside, ...]
    piecewise_steps: int | None


@dataclass(frozen=True)
class Saving:
    """What fewer graphs save at start-up; seconds and GiB None where `reason` says why."""

    graphs_in_use: int
    graphs_best: int
    seconds: float | None
    gib: float | None
    reason: str | None


@dataclass(frozen=True)
class LadderAnswer:
    """The ladders over one mix of steps; counts are of the decode steps in the mix."""

    engine: Engine
    batches_are: str
    today: Today | None
    default: LadderCost | None  # vLLM's own choice
    default_unknown: str | None
    in_use: LadderCost | None  # one's own list, or what the log says is captured
    in_use_from: str | None
    best: LadderCost
    rungs_allowed: int
    saving: Saving
    option: str


def tokens_of_requests(histogram: Mapping[int, int], engine: Engine) -> dict[int, int]:
    """A histogram of requests per step as tokens per step.

    Raises LabError for more requests than the engine runs at a time.
    """
    if (most := max(histogram)) > engine.max_num_seqs:
        raise LabError(
            f"batches: {most} requests in a step, but max_num_seqs is {engine.max_num_seqs}: "
            "raise --max-num-seqs, or leave out --requests if these are tokens per step"
        )
    return {batch * (1 + engine.speculative_tokens): n for batch, n in histogram.items()}


def today_of(log: StepLog, engine: Engine) -> Today:
    """What ran how, by the log's own counts."""
    steps = sum(log.steps.values())
    if log.kind == "batchsize":
        counted = "tokens per step after padding (Batchsize lines)"
        return Today(counted, log.sizes, log.mode, steps, None, None, None, (), None)
    replays = {key: n for key, n in log.steps.items() if key[2] != "NONE"}
    padding = sum((padded - tokens) * n for (tokens, padded, _), n in replays.items())
    computed = sum(padded * n for (_, padded, _), n in replays.items())
    outside: dict[int, int] = {}
    for (tokens, _, mode), n in log.steps.items():
        if mode == "NONE":
            outside[tokens] = outside.get(tokens, 0) + n
    by_full = log.mode is not None and log.mode.startswith("FULL")
    piecewise = sum(n for (_, _, mode), n in replays.items() if mode == "PIECEWISE")
    plural = "" if log.tables == 1 else "s"
    return Today(
        counted=f"tokens per step ({log.tables} window{plural} of CUDAGraph Stats)",
        captured_sizes=log.sizes,
        mode=log.mode,
        steps=steps,
        replayed_steps=sum(replays.values()),
        padded_tokens=padding,
        padded_share=padding / computed if computed else None,
        steps_outside_a_graph=tuple(
            _outside(tokens, n, log.sizes, engine) for tokens, n in sorted(outside.items())
        ),
        piecewise_steps=piecewise if by_full else None,
    )


def _outside(tokens: int, steps: int, sizes: Sequence[int] | None, engine: Engine) -> Outside:
    if tokens > engine.most_tokens:
        reason = f"more likely a prefill (decode carries at most {engine.most_tokens})"
        return Outside(tokens, steps, True, reason)
    if sizes and tokens > sizes[-1]:
        reason = f"above the largest captured size ({sizes[-1]})"
        return Outside(tokens, steps, False, reason)
    reason = "not above the captured sizes: a prefill in it, or a step that vLLM could not replay"
    return Outside(tokens, steps, sizes is not None, reason)


def decode_histogram(log: StepLog, engine: Engine) -> dict[int, int]:
    """The log's steps that a decode step can be, in tokens; raises LabError where none is."""
    histogram: dict[int, int] = {}
    for (tokens, _, _), n in log.steps.items():
        if 0 < tokens <= engine.most_tokens and n:
            histogram[tokens] = histogram.get(tokens, 0) + n
    if not histogram:
        raise LabError(
            f"log: no step of at most {engine.most_tokens} tokens in it, so no decode step; "
            "raise --max-num-seqs if the engine's is higher"
        )
    return histogram


def answer_ladder(
    engine: Engine,
    histogram: Mapping[int, int],
    batches_are: str,
    rungs: int | None,
    own: Sequence[int] | None = None,
    today: Today | None = None,
    facts: StartupFacts | None = None,
) -> LadderAnswer:
    """Compare vLLM's sizes, those in use, and the best, over {tokens per step: steps}.

    `rungs` None allows as many sizes as are in use. Raises LabError for what the engine cannot
    be, and for a version whose rule is not known where no sizes are given.
    """
    captured = today.captured_sizes if today else None
    sizes, source = None, None
    if own is not None:
        sizes = own_capture_sizes(own, engine.max_num_batched_tokens, engine.max_capture_size)
        source = "--sizes"
    elif captured:
        sizes, source = captured, "the log"
    default, unknown = None, None
    try:
        default = ladder_cost(histogram, engine.own_sizes())
    except LabError as error:
        if sizes is None:
            raise
        unknown = str(error)
    in_use = None if sizes is None else ladder_cost(histogram, sizes)
    compared = in_use or default
    assert compared is not None  # noqa: S101 - without sizes an unknown rule was raised
    allowed = len(compared.sizes) if rungs is None else rungs
    best = ladder_cost(histogram, best_ladder(histogram, allowed))
    return LadderAnswer(
        engine=engine,
        batches_are=batches_are,
        today=today,
        default=default,
        default_unknown=unknown,
        in_use=in_use,
        in_use_from=source,
        best=best,
        rungs_allowed=allowed,
        saving=_saving(engine, compared, best, facts, today.mode if today else None),
        option="--compilation-config "
        f"'{json.dumps({'cudagraph_capture_sizes': list(best.sizes)})}'",
    )


def _saving(
    engine: Engine,
    compared: LadderCost,
    best: LadderCost,
    facts: StartupFacts | None,
    mode: str | None,
) -> Saving:
    def graphs(cost: LadderCost) -> int:
        full = len(full_decode_sizes(cost.sizes, engine.max_num_seqs, engine.speculative_tokens))
        every = len(cost.sizes)
        # vLLM's default mode, FULL_AND_PIECEWISE, where the mode is not known.
        known = {"NONE": 0, "PIECEWISE": every, "FULL": every, "FULL_DECODE_ONLY": full}
        return known.get(mode or "", every + full)

    now, then = graphs(compared), graphs(best)
    if facts is None or not facts.capture_complete or facts.capture_seconds is None:
        return Saving(now, then, None, None, "the log of the start, with the capture, would tell")
    counted = [one.shapes for one in facts.passes]
    captured = sum(n for n in counted if n is not None)
    if not captured or None in counted:
        return Saving(now, then, None, None, "the log does not say how many graphs were captured")
    fewer = now - then
    gib = None if facts.capture_gib is None else facts.capture_gib / captured * fewer
    return Saving(now, then, facts.capture_seconds / captured * fewer, gib, None)
