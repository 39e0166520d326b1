"""`cudagraph-lab ladder`: which sizes to capture, for a mix of steps or a server's log."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cudagraph_lab.errors import LabError


def add_ladder(commands: Any) -> None:
    """Add the command to a parser's commands."""
    ladder = commands.add_parser(
        "ladder", help="the best capture sizes for a mix of steps or a server's log"
    )
    given = ladder.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="log of a server that ran with --cudagraph-metrics or VLLM_LOG_BATCHSIZE_INTERVAL",
    )
    given.add_argument(
        "--batches", type=Path, metavar="FILE", help="tokens per step and number of steps per line"
    )
    ladder.add_argument(
        "--requests", action="store_true", help="--batches counts requests per step, not tokens"
    )
    ladder.add_argument("--rungs", type=int, help="capture sizes allowed (as many as are in use)")
    ladder.add_argument("--sizes", type=int, nargs="+", metavar="SIZE", help="a list to compare")
    ladder.add_argument("--vllm", metavar="VERSION", help="of the engine (the log's, else ours)")
    ladder.add_argument("--max-num-seqs", type=int, default=256, help="of the engine (%(default)s)")
    ladder.add_argument(
        "--max-num-batched-tokens", type=int, default=8192, help="of the engine (%(default)s)"
    )
    ladder.add_argument(
        "--speculative-tokens", type=int, default=0, help="drafts per request (%(default)s)"
    )
    ladder.add_argument("--max-capture-size", type=int, help="max_cudagraph_capture_size, if set")
    ladder.add_argument("--json", action="store_true", help="print JSON")
    ladder.set_defaults(run=_ladder)


def _ladder(options: argparse.Namespace) -> None:
    from cudagraph_lab.engine.startup_log import read_engines
    from cudagraph_lab.engine.step_log import read_step_log
    from cudagraph_lab.engine.versions import VLLM_VERSION
    from cudagraph_lab.models import ladder_answer as answers
    from cudagraph_lab.models.ladder import read_histogram

    engines = read_engines(options.log) if options.log else []
    facts = engines[0].facts if len(engines) == 1 else None
    engine = answers.Engine(
        vllm=options.vllm or (facts and facts.vllm_version) or VLLM_VERSION,
        max_num_seqs=options.max_num_seqs,
        max_num_batched_tokens=options.max_num_batched_tokens,
        speculative_tokens=options.speculative_tokens,
        max_capture_size=options.max_capture_size,
    )
    today = None
    if options.log:
        if options.requests:
            raise LabError("--requests: a log counts tokens per step; leave it out")
        log = read_step_log(options.log)
        today = answers.today_of(log, engine)
        histogram, counted = answers.decode_histogram(log, engine), today.counted
    else:
        histogram, counted = read_histogram(options.batches), "tokens per step"
        if options.requests:
            histogram = answers.tokens_of_requests(histogram, engine)
            counted = "requests per step"
    answer = answers.answer_ladder(
        engine, histogram, counted, options.rungs, options.sizes, today, facts
    )
    if options.json:
        print(json.dumps(asdict(answer), indent=1))
    else:
        print("\n".join(_lines(answer)))


def _lines(answer: Any) -> list[str]:
    engine = answer.engine
    drafts = engine.speculative_tokens
    lines = [
        f"Engine: vLLM {engine.vllm}, max_num_seqs {engine.max_num_seqs}, "
        f"max_num_batched_tokens {engine.max_num_batched_tokens}, "
        f"{drafts or 'no'} speculative token{'' if drafts == 1 else 's'}",
        f"Steps: in {answer.batches_are}",
    ]
    if (today := answer.today) is not None:
        lines += _today_lines(today)
    title = {"--sizes": "Your sizes", "the log": "Captured sizes"}.get(answer.in_use_from)
    for name, cost in (
        (title, answer.in_use),
        ("vLLM's own choice", answer.default),
        (f"Best of at most {answer.rungs_allowed}", answer.best),
    ):
        if cost is not None:
            share = cost.padded_share
            padding = "nothing replayed" if share is None else f"{share:.1%} of tokens padding"
            lines.append(
                f"{name}: {len(cost.sizes)} sizes up to {cost.sizes[-1]}, {padding}, "
                f"{cost.missed_steps} of {cost.steps} steps above the top"
            )
    if answer.default_unknown:
        lines.append(f"vLLM's own choice: not known: {answer.default_unknown}")
    saving = answer.saving
    fewer = saving.graphs_in_use - saving.graphs_best
    what = f"Graphs: {saving.graphs_best} instead of {saving.graphs_in_use}"
    if saving.reason:
        lines.append(f"{what}; start-up seconds and memory not known: {saving.reason}")
    else:
        gib = "memory not known" if saving.gib is None else f"{saving.gib:.2f} GiB"
        word = "saves" if fewer >= 0 else "changes"
        lines.append(
            f"{what}, {word} about {saving.seconds:.1f} s of start-up and {gib} (every graph alike)"
        )
    if answer.best.sizes[-1] < engine.most_tokens:
        lines.append(
            f"Decode steps of more than {answer.best.sizes[-1]} tokens (none here; at most "
            f"{engine.most_tokens}) would run without a graph"
        )
    return [*lines, answer.option]


def _today_lines(today: Any) -> list[str]:
    if today.replayed_steps is None:
        return [
            f"Today: {today.steps} steps; these lines do not say what ran in a graph, and "
            "sizes are after padding: --cudagraph-metrics tells both"
        ]
    share = "" if today.padded_share is None else f", {today.padded_share:.1%} of tokens padding"
    mode = "" if today.mode is None else f" ({today.mode})"
    lines = [f"Today{mode}: {today.replayed_steps} of {today.steps} steps replayed a graph{share}"]
    if today.piecewise_steps:
        lines.append(f"  {today.piecewise_steps} of them piecewise: a prefill was in them")
    for one in today.steps_outside_a_graph:
        lines.append(f"  {one.steps} steps of {one.tokens} tokens without a graph: {one.reason}")
    return lines
