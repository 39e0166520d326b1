"""What graphs cost at start-up, by model size and number of GPUs."""

from cudagraph_lab.ledger.catalogue import CAPTURE_GIB, CAPTURE_S, KV_TOKENS_LOST, STARTUP
from cudagraph_lab.ledger.index import Index, contrast_of_role, find, value_at
from cudagraph_lab.ledger.selection import Sized, ranked, sized
from cudagraph_lab.report.markup import Exempt, Line, join, say
from cudagraph_lab.report.numbers import noted
from cudagraph_lab.report.sections.payoff import cell
from cudagraph_lab.report.view import Block, Paragraph, Row, Table

COLUMNS = (
    "GPUs, model",
    "boot in eager",
    "boot with graphs",
    "of which compiling",
    "of which capture",
    "memory of the graphs",
    "KV cache lost",
)


def sized_starts(index: Index) -> list[Block]:
    """A row for each measured size whose two arms booted alone; nothing where only one did."""
    chosen = [(device, row) for device, rows in sized(index).items() for row in rows]
    chosen += [
        (device, row)
        for (device, _), rows in ranked(index).items()
        for row in rows
        if row.ranks > 1
    ]
    rows = [made for device, row in chosen if (made := _row(index, device, row)) is not None]
    if len(rows) < 2:
        return []
    blocks: list[Block] = [Table(("Start-up by model size",), COLUMNS, rows)]
    reasons = dict.fromkeys(
        number.missing
        for _, row in chosen
        if (number := find(index, row.dataset, KV_TOKENS_LOST())) is not None and number.missing
    )
    if reasons:
        why = join([(Exempt(reason),) for reason in reasons], "; ", "; ")
        blocks.append(Paragraph(say("KV cache lost, where there is none: {why}.", why=why), True))
    return blocks


def _row(index: Index, device: str, row: Sized) -> Row | None:
    pair = contrast_of_role(index, row.dataset, "primary")
    if pair is None:
        return None
    eager, graphs = pair[1].denominator, pair[1].numerator
    boots = [
        value_at(index, row.dataset, STARTUP(phase="boot", arm=arm)) for arm in (eager, graphs)
    ]
    if None in boots:
        return None
    compiling = [
        say("{x}, {words}", x=noted(index, number), words=words)
        for phase, words in (("compile_cold", "cache empty"), ("compile_warm", "cached"))
        if (number := value_at(index, row.dataset, STARTUP(phase=phase, arm=graphs)))
    ]
    cells: list[Line] = [
        say(
            "{n} {device}, {model}",
            n=Exempt(str(row.ranks), "key"),
            device=Exempt(device),
            model=Exempt(row.label),
        ),
        *(cell(index, number) for number in boots),
        join(compiling, "; ", "; ") or ("–",),
        *(
            cell(index, value_at(index, row.dataset, quantity()))
            for quantity in (CAPTURE_S, CAPTURE_GIB, KV_TOKENS_LOST)
        ),
    ]
    return Row(cells)
