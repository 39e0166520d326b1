"""What speculative decoding did in a cell: acceptance, tokens of a step, replays of the draft."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

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


def draft_passes(cell: Cell) -> Counter[str]:
    """Passes of the draft model by graph mode, over the calls in which they were counted."""
    counted: Counter[str] = Counter()
    for call in cell.calls:
        for one in call.draft_passes or []:
            counted[one.mode] += one.count
    return counted


def replayed_share(cell: Cell) -> float | None:
    """Share of the draft's passes that replayed a graph; None where they were not counted."""
    counted = draft_passes(cell)
    total = counted.total()
    return (total - counted["NONE"]) / total if total else None


def draft_warnings(records: Iterable[Record]) -> Iterator[str]:
    """What to know of the draft's graphs where the target has some: unknown, or not replayed."""
    for record in records:
        resolved = record.resolved
        if resolved is None or resolved.draft is None or resolved.cudagraph_mode == "NONE":
            continue
        if resolved.draft.cudagraph_mode == "NONE":
            yield "vLLM captured no graphs for the draft: its passes ran without"
            continue
        for cell in record.cells:
            counted = draft_passes(cell)
            where, total = f"repeat {record.repeat}, batch {cell.batch}", counted.total()
            if not total:
                yield (
                    f"{where}: whether the draft replayed graphs is unknown: its passes were not "
                    "counted"
                )
            elif (without := counted["NONE"]) > total / 20:
                yield f"{where}: {without} of {total} passes of the draft ran without a graph"
