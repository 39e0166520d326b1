"""The decode steps of a call: how many tokens they carry, and in which graph mode they ran."""

from collections import Counter
from collections.abc import Mapping

from cudagraph_lab.records.call import Call
from cudagraph_lab.records.record import Record, Resolved


def speculative_tokens(record: Record) -> int | None:
    """Draft tokens per request and step: what vLLM resolved, else what was asked.

    0 without speculative decoding; None where it is in use and the number is not known.
    """
    if record.resolved is not None and record.resolved.speculative_tokens is not None:
        return record.resolved.speculative_tokens
    asked = record.request.engine_args.get("speculative_config")
    if not asked:
        return 0
    tokens = asked.get("num_speculative_tokens") if isinstance(asked, Mapping) else None
    return tokens if isinstance(tokens, int) else None


def waves(batch: int, max_num_seqs: int | None) -> list[int]:
    """How many requests run together when `batch` of equal length are served, the largest first.

    At most `max_num_seqs` run at a time: full waves, then the rest.
    """
    most = min(batch, max_num_seqs or batch)
    rest = batch % most
    return [most, rest] if rest else [most]


def step_tokens(record: Record, batch: int) -> int | None:
    """Tokens that a decode step of this batch carries: running requests x (1 + draft tokens).

    None where the number of draft tokens is not known.
    """
    drafts = speculative_tokens(record)
    limit = record.resolved.max_num_seqs if record.resolved else None
    return None if drafts is None else waves(batch, limit)[0] * (1 + drafts)


def expected_decode_mode(resolved: Resolved, tokens: int) -> str:
    """The runtime mode of a pure decode step of so many tokens.

    Source: vLLM's dispatcher: above the largest captured size nothing is replayed.
    """
    if tokens > max(resolved.capture_sizes, default=0):
        return "NONE"
    return "FULL" if resolved.cudagraph_mode.startswith("FULL") else resolved.cudagraph_mode


def decode_steps(call: Call, tokens: int | None) -> Counter[tuple[str, int]]:
    """Steps that carried exactly so many tokens: (mode, padded tokens) to count."""
    counted: Counter[tuple[str, int]] = Counter()
    for step in call.steps or []:
        if step.unpadded_tokens == tokens:
            counted[step.mode, step.padded_tokens] += step.count
    return counted


def share_in_mode(call: Call, tokens: int | None, mode: str) -> float | None:
    """Share of the steps of so many tokens that ran in this graph mode; None without any."""
    counted = decode_steps(call, tokens)
    total = counted.total()
    if not total:
        return None
    return sum(count for (ran, _), count in counted.items() if ran == mode) / total


def never_replayed(record: Record, batch: int) -> list[int]:
    """Tokens of those decode steps of a batch that no captured size holds, the largest first.

    Steps of every wave count: with `max_num_seqs` below the batch the last wave is smaller.
    Empty for an arm without graphs and where the draft tokens are not known.
    """
    resolved, drafts = record.resolved, speculative_tokens(record)
    if resolved is None or drafts is None or resolved.cudagraph_mode == "NONE":
        return []
    sizes = (running * (1 + drafts) for running in waves(batch, resolved.max_num_seqs))
    return [tokens for tokens in sizes if expected_decode_mode(resolved, tokens) == "NONE"]
