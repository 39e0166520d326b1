"""What the data say of arms that are resident together."""

from collections.abc import Iterator

from cudagraph_lab.ledger.catalogue import CO_RESIDENT
from cudagraph_lab.ledger.index import Index, contrast_of_role, ratios, with_quantity
from cudagraph_lab.report.markup import Code, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.phrases import at_batch, title

QUESTION = Strong(("Do arms on one device slow each other down?",))


def co_residence(index: Index) -> Iterator[Line]:
    """Arms in turn that were measured alone as well: in the same repeats, and on another day."""
    yield from _in_the_same_repeats(index)
    speeds, faster = [], False
    for dataset in index.main:
        numbers = with_quantity(index, dataset.name, CO_RESIDENT)
        if not numbers:
            continue
        smallest = min(int(n.id.batch) for n in numbers)
        arms = [
            say("{arm} {x}", arm=Code(str(n.id.arm)), x=noted(index, n))
            for n in numbers
            if n.id.batch == smallest
        ]
        speeds.append(
            say(
                "{name}, batch {size}, {arms}",
                name=title(index, dataset),
                size=batch(smallest),
                arms=join(arms),
            )
        )
        faster = faster or any(n.low is not None and n.low > 1 for n in numbers)
    if speeds:
        yield say(
            "{what} Speed beside the others over speed alone, measured on another day: "
            "{speeds}.{but}",
            what=QUESTION,
            speeds=join(speeds, "; "),
            but=(
                " A neighbour cannot make an arm faster. The difference comes from the "
                "machine, its load or the way of measuring; these data do not tell which."
            )
            if faster
            else (),
        )


def _in_the_same_repeats(index: Index) -> Iterator[Line]:
    """A line on the data sets that have an arm in turn and alone by their design."""
    speeds = []
    for dataset in index.ledger.datasets:
        numbers = ratios(index, dataset.name, "co_resident")
        sides = contrast_of_role(index, dataset.name, "co_resident")
        if numbers and sides is not None:
            speeds.append(
                say(
                    "{name}, {arm} over {alone} {speeds}",
                    name=title(index, dataset),
                    arm=Code(sides.numerator),
                    alone=Code(sides.denominator),
                    speeds=join([at_batch(index, number) for number in numbers.values()]),
                )
            )
    if speeds:
        yield say(
            "{what} Speed beside the others over speed alone, in the same repeats: {speeds}.",
            what=QUESTION,
            speeds=join(speeds, "; "),
        )
