"""What graphs cost at a start, and when that has paid for itself."""

from cudagraph_lab.ledger.catalogue import (
    BREAK_EVEN_S,
    BREAK_EVEN_STEPS,
    CAPTURE_SHARE,
    DEPLOY_TAX,
    SAVED_MS,
    START_COST,
)
from cudagraph_lab.ledger.index import Index, value_at, with_quantity
from cudagraph_lab.ledger.selection import differs_from_itself
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Exempt, Line, join, say
from cudagraph_lab.report.numbers import batch, batches, noted
from cudagraph_lab.report.phrases import at_batch, cell_at, table, title
from cudagraph_lab.report.view import Block, Fold, Paragraph

LISTED = 4  # data sets that stand open; the others are folded


def start_costs(index: Index) -> list[Block]:
    """What a start with graphs takes longer, the capture's part of it, and what a day loses."""
    rows = [row for d in index.main for row in _start_rows(index, d.name)]
    if not rows:
        return []
    columns = ["data set, cache", "a start takes longer by", "of which capture", "lost a day"]
    costs = table(("What graphs cost at a start, and a day",), columns, rows)
    per_day = (n.note for d in index.main for n in with_quantity(index, d.name, DEPLOY_TAX))
    said = say(
        "A start takes longer by the seconds of a boot with graphs minus those of a boot in eager. "
        "Lost a day: {per}. {bounds}",
        per=Exempt(next((note for note in per_day if note), "")),
        bounds=_bounded(index),
    )
    note = Paragraph(said, small=True)
    return [Fold(costs.caption, [costs, note])] if len(rows) > 2 * LISTED else [costs, note]


def _start_rows(index: Index, dataset: str) -> list[list[Line]]:
    return [
        [
            say("{name}, {start}", name=title(index, dataset), start=cost.id.start),
            noted(index, cost),
            cell_at(index, dataset, CAPTURE_SHARE(start=cost.id.start)),
            cell_at(index, dataset, DEPLOY_TAX(start=cost.id.start)),
        ]
        for cost in with_quantity(index, dataset, START_COST)
    ]


def _bounded(index: Index) -> Line:
    """Which costs are bounds only, and why data sets with a speed-up have none."""
    alike: dict[str, list[Line]] = {}
    for dataset in index.main:
        if not with_quantity(index, dataset.name, SAVED_MS):
            continue
        for cost in index.by_quantity.get((dataset.name, START_COST), []):
            why = cost.note or (cost.missing if cost.id.start == "warm" else None)
            if why:
                name = say("{name}, {start}", name=title(index, dataset), start=cost.id.start)
                alike.setdefault(why, []).append(name)
    lines = [
        say("{names}: {why}.", names=join(names, "; "), why=Exempt(why))
        for why, names in alike.items()
    ]
    return join(lines, " ")


def break_even(index: Index) -> list[Block]:
    """After how many steps a warm and a cold start have paid, at the ends of the batch sizes."""
    rows = [row for d in index.main for row in _break_even_rows(index, d.name)]
    if not rows:
        return []
    columns = ["data set, batch", "a step saves", *_PAID]
    paid = table(("When a start with graphs has paid for itself",), columns, rows)
    blocks: list[Block] = [Fold(paid.caption, [paid])] if len(rows) > 2 * LISTED else [paid]
    doubts = [line for d in index.main if (line := _doubt(index, d))]
    return [*blocks, Paragraph(join(doubts, " "), small=True)] if doubts else blocks


def _doubt(index: Index, dataset: Dataset) -> Line:
    """What to doubt of the savings of a data set, and what was measured of them in turn."""
    shown = {int(n.id.batch) for n in with_quantity(index, dataset.name, BREAK_EVEN_STEPS)}
    sizes = [s for s in differs_from_itself(index, dataset.name) if s in (min(shown), max(shown))]
    if not sizes:
        return ()
    steadier = [
        other.name
        for other in index.main
        if other.measured == "in_turn"
        and (other.device, other.model) == (dataset.device, dataset.model)
        and all(value_at(index, other.name, SAVED_MS(batch=size)) for size in sizes)
    ]
    saved = [
        at_batch(index, number)
        for size in sizes
        for name in steadier[:1]
        if (number := value_at(index, name, SAVED_MS(batch=size)))
    ]
    return say(
        "{name}: at batch {at} an arm differs from itself by more than chance, see “Trust”.{saved}",
        name=title(index, dataset),
        at=batches(sizes),
        saved=say(" With the arms in turn a step saves {x}.", x=join(saved)) if saved else (),
    )


_PAID = ["steps, warm start", "serving until then", "steps, cold start", "serving until then"]


def _break_even_rows(index: Index, dataset: str) -> list[list[Line]]:
    """The smallest and the largest batch size."""
    sizes = {int(n.id.batch) for n in with_quantity(index, dataset, BREAK_EVEN_STEPS)}
    return [
        [
            say("{name}, {size}", name=title(index, dataset), size=batch(size)),
            cell_at(index, dataset, SAVED_MS(batch=size)),
            *(
                cell_at(index, dataset, quantity(start=start, batch=size))
                for start in ("warm", "cold")
                for quantity in (BREAK_EVEN_STEPS, BREAK_EVEN_S)
            ),
        ]
        for size in sorted({min(sizes), max(sizes)} if sizes else ())
    ]
