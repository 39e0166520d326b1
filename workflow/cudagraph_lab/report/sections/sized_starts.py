"""What graphs cost at start-up, by model size and number of GPUs."""

from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import CAPTURE_GIB, CAPTURE_S, KV_TOKENS_LOST, STARTUP
from cudagraph_lab.ledger.index import Index, find, of_primary, short_device, short_model
from cudagraph_lab.ledger.selection import ranked, sized
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Exempt, Line, join, say
from cudagraph_lab.report.phrases import NONE, cell, cell_at, compiling, key, table, title
from cudagraph_lab.report.view import Block, Paragraph

COLUMNS = (
    "model, GPUs",
    "boot, eager",
    "boot, graphs",
    "compiling",
    "capture",
    "graphs’ memory",
    "KV cache lost",
)


def sized_starts(index: Index) -> list[Block]:
    """A row for each size whose two arms booted apart; nothing where only one size did."""
    every = [*sized(index).values(), *ranked(index).values()]
    parameters = {row.label: row.parameters for rows in every for row in rows}
    booted = [d for d in index.ledger.datasets if short_model(d) in parameters and _boots(index, d)]
    # On one GPU the first data set counts; on several, hosts differ.
    one_each = {
        (short_device(d), short_model(d), d.tensor_parallel_size > 1 and d.name): d
        for d in reversed(booted)
    }
    chosen = sorted(
        one_each.values(),
        key=lambda d: (short_device(d), parameters[short_model(d)], d.tensor_parallel_size),
    )
    if len({short_model(dataset) for dataset in chosen}) < 2:
        return []
    caption = "Start-up by model size; compiling and capture are parts of the boot with graphs"
    rows = table((caption,), COLUMNS, [_row(index, dataset) for dataset in chosen])
    reasons = dict.fromkeys(
        number.missing
        for dataset in chosen
        if (number := find(index, dataset.name, KV_TOKENS_LOST())) is not None and number.missing
    )
    notes: list[Line] = []
    if any(dataset.weights == "dummy" for dataset in chosen):
        notes.append(
            (
                "The weights are random and made on the device: no boot here reads weights from a "
                "disk or a network, which comes on top in every arm.",
            )
        )
    if reasons:
        why = join([Exempt(reason) for reason in reasons], "; ")
        notes.append(say("A dash under “KV cache lost”: {why}.", why=why))
    return [rows, *([Paragraph(join(notes, " "), small=True)] if notes else [])]


def _boots(index: Index, dataset: Dataset) -> tuple[Number, Number] | None:
    """Seconds of the boot in eager and with graphs; None where one of them is not known."""
    if dataset.platform != "cuda":
        return None
    return of_primary(index, dataset.name, STARTUP, phase="boot")


def _row(index: Index, dataset: Dataset) -> list[Line]:
    eager, graphs = _boots(index, dataset) or (None, None)
    # The title tells hosts apart, of which there are several with several GPUs.
    name = (
        (title(index, dataset),)
        if dataset.tensor_parallel_size > 1
        else say(
            "{model}, {n} {device}",
            model=Exempt(short_model(dataset)),
            n=key(dataset.tensor_parallel_size),
            device=Exempt(short_device(dataset)),
        )
    )
    return [
        name,
        cell(index, eager),
        cell(index, graphs),
        compiling(index, dataset.name, str(graphs.id.arm)) if graphs else NONE,
        *(
            cell_at(index, dataset.name, quantity())
            for quantity in (CAPTURE_S, CAPTURE_GIB, KV_TOKENS_LOST)
        ),
    ]
