"""What speculative decoding did in a cell: acceptance, tokens of a step, replays of the draft."""

from collections.abc import Sequence

from cudagraph_lab.records.call import Call, Cell
from cudagraph_lab.records.record import Record


def accepted_share(calls: Sequence[Call]) -> float | None:
    """Accepted over drafted tokens of these calls; None where nothing was drafted."""
    met = [call.acceptance for call in calls if call.acceptance is not None]
    drafted = sum(one.draft_tokens for one in met)
    return sum(one.accepted_tokens for one in met) / drafted if drafted else None


def tokens_per_step(calls: Sequence[Call], output_tokens: int) -> float | None:
    """Tokens that a step after the first token yielded to a request; None without speculation."""
    if not any(call.acceptance is not None for call in calls):
        return None
    steps = tokens = 0
    for call in calls:
        requests = len(call.decode_s_per_step or [])
        steps += sum(call.decode_steps or [output_tokens - 1] * requests)
        tokens += (output_tokens - 1) * requests
    return tokens / steps if steps else None


def draft_passes(cell: Cell) -> dict[str, int]:
    """Passes of the draft model by graph mode, over the calls in which they were counted."""
    counted: dict[str, int] = {}
    for call in cell.calls:
        for one in call.draft_passes or []:
            counted[one.mode] = counted.get(one.mode, 0) + one.count
    return counted


def replayed_share(cell: Cell) -> float | None:
    """Share of the draft's passes that replayed a graph; None where they were not counted."""
    counted = draft_passes(cell)
    total = sum(counted.values())
    return (total - counted.get("NONE", 0)) / total if total else None


def draft_warnings(records: Sequence[Record]) -> list[str]:
    """What to know of the draft's graphs where the target has some: unknown, or not replayed."""
    warnings: dict[str, None] = {}
    for record in records:
        resolved = record.resolved
        if resolved is None or resolved.draft is None or resolved.cudagraph_mode == "NONE":
            continue
        if resolved.draft.cudagraph_mode == "NONE":
            warnings["vLLM captured no graphs for the draft: its passes ran without"] = None
            continue
        for cell in record.cells:
            counted = draft_passes(cell)
            where, total = f"repeat {record.repeat}, batch {cell.batch}", sum(counted.values())
            if not total:
                warnings[
                    f"{where}: whether the draft replayed graphs is unknown: its passes were not "
                    "counted"
                ] = None
            elif (without := counted.get("NONE", 0)) > total / 20:
                ran = f"{without} of {total} passes of the draft ran without a graph"
                warnings[f"{where}: {ran}"] = None
    return list(warnings)
