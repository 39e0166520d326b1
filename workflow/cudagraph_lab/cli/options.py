"""Options that several commands share."""

import argparse


def add_engine(parser: argparse.ArgumentParser) -> None:
    """How the engine that is asked about runs its model, and drafts for it."""
    parser.add_argument("--tp", type=int, default=1, help="tensor parallelism (%(default)s)")
    parser.add_argument("--dtype", choices=["bf16", "fp16", "fp8"], default="bf16")
    parser.add_argument("--draft", help="draft model of speculative decoding, as --model; or ngram")
    parser.add_argument(
        "--speculative-tokens", type=int, default=3, help="drafted for a step (%(default)s)"
    )
    parser.add_argument(
        "--async-scheduling",
        action="store_true",
        help="vLLM is told to schedule asynchronously beside --draft",
    )
    parser.add_argument(
        "--draft-graphs",
        action="store_true",
        help="the draft replays graphs, as vLLM 0.22.1 does not let a draft model do",
    )
