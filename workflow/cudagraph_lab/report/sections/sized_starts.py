"""What graphs cost at start-up, by model size and number of GPUs."""

from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import CAPTURE_GIB, CAPTURE_S, KV_TOKENS_LOST, STARTUP
from cudagraph_lab.ledger.index import (
    Index,
    contrast_of_role,
    find,
    short_device,
    short_model,
    short_title,
    value_at,
)
from cudagraph_lab.ledger.selection import ranked, sized
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Exempt, Line, join, say
from cudagraph_lab.report.numbers import noted
from cudagraph_lab.report.sections.payoff import cell
from cudagraph_lab.report.view import Block, Paragraph, Row, Table

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
    table = Table(
        ("Start-up by model size; compiling and capture are parts of the boot with graphs",),
        COLUMNS,
        [_row(index, dataset) for dataset in chosen],
    )
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
        why = join([(Exempt(reason),) for reason in reasons], "; ", "; ")
        notes.append(say("A dash under “KV cache lost”: {why}.", why=why))
    return [table, *([Paragraph(join(notes, " ", " "), small=True)] if notes else [])]


def _boots(index: Index, dataset: Dataset) -> list[Number]:
    """Seconds of the boot in eager and with graphs; empty where one of them is not known."""
    pair = contrast_of_role(index, dataset.name, "primary")
    if pair is None or dataset.platform != "cuda":
        return []
    found = [
        value_at(index, dataset.name, STARTUP(phase="boot", arm=arm))
        for arm in (pair[1].denominator, pair[1].numerator)
    ]
    return [number for number in found if number is not None] if None not in found else []


def _row(index: Index, dataset: Dataset) -> Row:
    boots = _boots(index, dataset)
    compiling = [
        say("{x} {words}", x=noted(index, number), words=words)
        for phase, words in (("compile_cold", "cold"), ("compile_warm", "warm"))
        if (number := value_at(index, dataset.name, STARTUP(phase=phase, arm=str(boots[1].id.arm))))
    ]
    # The title tells hosts apart, of which there are several with several GPUs.
    cells: list[Line] = [
        say("{title}", title=Exempt(short_title(index, dataset)))
        if dataset.tensor_parallel_size > 1
        else say(
            "{model}, {n} {device}",
            model=Exempt(short_model(dataset)),
            n=Exempt(str(dataset.tensor_parallel_size), "key"),
            device=Exempt(short_device(dataset)),
        ),
        *(noted(index, number) for number in boots),
        join(compiling, "; ", "; ") or ("–",),
        *(
            cell(index, value_at(index, dataset.name, quantity()))
            for quantity in (CAPTURE_S, CAPTURE_GIB, KV_TOKENS_LOST)
        ),
    ]
    return Row(cells)
