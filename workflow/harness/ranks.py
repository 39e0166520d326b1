"""From what each rank of an engine tells to what the record holds of them."""

from typing import Any


def startup_of(
    ranks: list[dict[str, Any]], begun: float, imported_s: float, boot: tuple[float, float]
) -> dict[str, Any]:
    """The `startup` of the record, as far as the workers tell it.

    `begun` is when the process began, on the clock of the workers' spans; the other seconds count
    from there. `boot` is begin and end.

    Ranks do the same work at the same time: the first one tells the phases, the slowest one the
    capture, and the engine has the KV cache that fits on each of them.
    """
    facts = ranks[0]
    spans = [
        {"name": "import", "start_s": 0.0, "seconds": imported_s},
        {"name": "boot", "start_s": boot[0], "seconds": boot[1] - boot[0]},
    ] + [
        {
            "name": span["name"],
            "start_s": span["begun"] - begun,
            "seconds": span["ended"] - span["begun"],
        }
        for span in facts["spans"]
    ]
    blocks, size = facts["resolved"]["num_gpu_blocks"], facts["resolved"]["block_size"]
    slowest = max(ranks, key=lambda rank: (rank["capture"] or {"seconds": 0.0})["seconds"])
    capture = slowest["capture"]
    available = [rank["available_kv_cache_bytes"] for rank in ranks]
    return {
        "spans": spans,
        "compile_seconds": facts["compile_seconds"] or None,
        "capture": capture
        and {
            **capture,
            "estimate_bytes": slowest["capture_estimate_bytes"],
            "graphs": slowest["graphs"],
        },
        "kv_cache_tokens": blocks * size if blocks and size else None,
        "available_kv_cache_bytes": None if None in available else min(available),
        "model_bytes": facts["model_bytes"],
    }


def ranks_of(ranks: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """What each of several ranks spent, and which settings it resolved as the first did not."""
    if len(ranks) == 1:
        return None
    resolved = ranks[0]["resolved"]
    return [
        {
            "rank": facts["rank"],
            "capture_seconds": facts["capture"] and facts["capture"]["seconds"],
            "pool_bytes": facts["capture"] and facts["capture"]["pool_bytes"],
            "graphs": len(facts["graphs"]),
            "compile_seconds": facts["compile_seconds"] or None,
            "model_bytes": facts["model_bytes"],
            "available_kv_cache_bytes": facts["available_kv_cache_bytes"],
            "differs": sorted(
                key for key, value in facts["resolved"].items() if value != resolved[key]
            ),
        }
        for facts in ranks
    ]
