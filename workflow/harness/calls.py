"""One call: what is timed, and what the engine core's messages tell of it afterwards."""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any


def keep_outputs(llm: Any) -> list[Any]:
    """Where every message of the engine core is kept from now on, to be read after the call.

    A message carries its time and, where statistics are on, the graph mode and padding of
    its step. vLLM's own bookkeeping of them in this process is switched off: it works per
    step and per request inside the timed call, which the engine core's part does not.
    """
    kept: list[Any] = []
    engine = llm.llm_engine
    engine.log_stats = engine.output_processor.log_stats = False
    engine.logger_manager = None
    get_output = getattr(engine.engine_core, "get_output", None)
    if get_output is None:
        print("messages: this version does not hand them out one by one", file=sys.stderr)
        return kept

    def get_and_keep() -> Any:
        message = get_output()
        kept.append(message)
        return message

    engine.engine_core.get_output = get_and_keep
    return kept


def graph_steps(messages: list[Any]) -> list[dict[str, Any]] | None:
    """How often each graph mode and padding ran; None where the arm turns statistics off."""
    working = [message for message in messages if message.outputs]
    if not any(message.scheduler_stats for message in working):
        return None
    stats = [m.scheduler_stats.cudagraph_stats for m in working if m.scheduler_stats]
    steps = Counter(
        (stat.runtime_mode, stat.num_unpadded_tokens, stat.num_padded_tokens)
        for stat in stats
        if stat is not None
    )
    return [
        {"mode": mode, "unpadded_tokens": unpadded, "padded_tokens": padded, "count": count}
        for (mode, unpadded, padded), count in sorted(steps.items())
    ]


def token_times(messages: list[Any]) -> dict[str, list[tuple[float, int]]]:
    """Of every request: when the engine core had new tokens for it (monotonic), and how many."""
    times: dict[str, list[tuple[float, int]]] = {}
    for message in messages:
        for output in message.outputs:
            if output.new_token_ids:
                entry = (message.timestamp, len(output.new_token_ids))
                times.setdefault(output.request_id, []).append(entry)
    return times


def acceptance(messages: list[Any]) -> dict[str, Any] | None:
    """Drafts that were verified and accepted; None where none was verified."""
    stats = [getattr(m.scheduler_stats, "spec_decoding_stats", None) for m in messages]
    met = [one for one in stats if one is not None]
    if not met:
        return None
    return {
        "verifications": sum(one.num_drafts for one in met),
        "draft_tokens": sum(one.num_draft_tokens for one in met),
        "accepted_tokens": sum(one.num_accepted_tokens for one in met),
        "accepted_by_position": [
            sum(counts)
            for counts in zip(*(one.num_accepted_tokens_per_pos for one in met), strict=True)
        ],
    }


def step_durations_us(messages: list[Any]) -> list[int]:
    """Microseconds between the engine core's messages with new tokens: the steps after the first.

    A message carries the time at which its step's outputs were ready.
    """
    times = [m.timestamp for m in messages if any(o.new_token_ids for o in m.outputs)]
    return [round((later - earlier) * 1e6) for earlier, later in pairwise(times)]


def make_call(
    llm: Any,
    kept: list[Any],
    prompts: list[Any],
    sampling: Any,
    clock_zero_s: float = 0.0,
    read_energy_j: Callable[[], float | None] = lambda: None,
    take_steps: Callable[[], list[dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Time one `generate`; what the engine said meanwhile is read afterwards.

    `take_steps` gives the steps where the worker counts them, since the messages lack them.
    """
    kept.clear()
    energy_before = read_energy_j()
    monotonic = time.monotonic()
    begun = time.perf_counter()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.perf_counter() - begun
    energy_after = read_energy_j()
    call: dict[str, Any] = {
        "seconds": seconds,
        "tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
        "started_s": monotonic - clock_zero_s,
        "steps": take_steps() if take_steps else graph_steps(kept),
        "step_us": step_durations_us(kept) or None,
        "acceptance": acceptance(kept),
        "energy_j": energy_after - energy_before
        if energy_before is not None and energy_after is not None
        else None,
    }
    requests = list(token_times(kept).values())
    if requests and all(len(times) > 1 for times in requests):
        # A step brings a message: with speculation it may hold several tokens of a request.
        call["decode_s_per_step"] = [
            (times[-1][0] - times[0][0]) / (len(times) - 1) for times in requests
        ]
        if any(count > 1 for times in requests for _, count in times[1:]):
            call["decode_steps"] = [len(times) - 1 for times in requests]
        call["first_token_s"] = [times[0][0] - monotonic for times in requests]
    ids = [list(output.outputs[0].token_ids) for output in outputs]
    digests = [hashlib.sha256(json.dumps(one).encode()).hexdigest() for one in ids]
    return {"call": call, "output_sha256": digests, "output_token_ids": [ids[0]]}
