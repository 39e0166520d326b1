"""What the data say of arms that are resident together."""

from cudagraph_lab.ledger.catalogue import CO_RESIDENT
from cudagraph_lab.ledger.index import Index, contrast_of_role, ratios, short_title, with_quantity
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted

QUESTION = Strong(("Do arms on one device slow each other down?",))


def co_residence(index: Index) -> list[Line]:
    """Arms in turn that were measured alone as well: in the same repeats, and on another day."""
    lines = _in_the_same_repeats(index)
    speeds, faster = [], False
    for dataset in index.main:
        numbers = with_quantity(index, dataset.name, CO_RESIDENT)
        if not numbers:
            continue
        smallest = min(int(n.id.batch) for n in numbers)
        speeds.append(
            say(
                "{name}, batch {size}, {arms}",
                name=Exempt(short_title(index, dataset)),
                size=batch(smallest),
                arms=join(
                    [
                        say("{arm} {x}", arm=Code(str(n.id.arm)), x=noted(index, n))
                        for n in numbers
                        if n.id.batch == smallest
                    ]
                ),
            )
        )
        faster = faster or any(n.low is not None and n.low > 1 for n in numbers)
    if speeds:
        lines.append(
            say(
                "{what} Speed beside the others over speed alone, measured on another day: "
                "{speeds}.{but}",
                what=QUESTION,
                speeds=join(speeds, "; ", "; "),
                but=(
                    " A neighbour cannot make an arm faster. The difference comes from the "
                    "machine, its load or the way of measuring; these data do not tell which."
                )
                if faster
                else (),
            )
        )
    return lines


def _in_the_same_repeats(index: Index) -> list[Line]:
    """A line for each data set that has an arm in turn and alone by its design."""
    lines = []
    for dataset in index.ledger.datasets:
        numbers = ratios(index, dataset.name, "co_resident")
        found = contrast_of_role(index, dataset.name, "co_resident")
        if not numbers or found is None:
            continue
        lines.append(
            say(
                "{what} {name}, in the same repeats, speed of {arm} beside the others over that of "
                "{alone}: {speeds}.",
                what=QUESTION,
                name=Exempt(short_title(index, dataset)),
                arm=Code(found[1].numerator),
                alone=Code(found[1].denominator),
                speeds=join(
                    [
                        say("{x} at batch {size}", x=noted(index, n), size=batch(size))
                        for size, n in numbers.items()
                    ]
                ),
            )
        )
    return lines
