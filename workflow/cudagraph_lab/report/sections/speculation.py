"""What speculative decoding costs a step, with graphs and without, and what it must yield."""

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.catalogue import (
    ACCEPTED_SHARE,
    CAN_PAY,
    DRAFT_REPLAYED_SHARE,
    GRAPHS_NEED_LESS,
    NEEDED_IN_EAGER,
)
from cudagraph_lab.ledger.index import Index, short_title, value_at
from cudagraph_lab.ledger.speculated import Speculated, speculated
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.view import Bullets, Picture, Section


def speculation(index: Index, drawings: dict[str, Drawing]) -> Section | None:
    """Steps with drafts beside plain ones; None where no such contrast was measured."""
    lines = [line for dataset in index.main for line in _of(index, dataset)]
    if not lines:
        return None
    drawing = drawings["speculation"]
    picture = Picture(drawing, heading=False, beside=[Bullets(lines)])
    return Section("speculation", "Drafts", drawing.title, [picture])


def _of(index: Index, dataset: Dataset) -> list[Line]:
    rows = speculated(index, dataset.name)
    if not rows:
        return []
    size = min(row.batch for row in rows)
    at = [row for row in rows if row.batch == size]
    needs = [
        say("{x} against {arm}", x=noted(index, row.needed), arm=Code(row.plain_arm)) for row in at
    ]
    first = say(
        "{name}, batch {size}: a step with drafts pays where it yields a request on average more "
        "than {needs}.{never}"
        "{mandate}",
        name=Strong((Exempt(short_title(index, dataset)),)),
        size=batch(size),
        needs=join(needs, ", ", " and "),
        never=_never(index, dataset, rows),
        mandate=_mandate(index, dataset, at),
    )
    return [first, *_beside(index, dataset, at)]


def _never(index: Index, dataset: Dataset, rows: list[Speculated]) -> Line:
    """The cells in which no acceptance pays."""
    lost = []
    for row in rows:
        can = value_at(index, dataset.name, CAN_PAY(arm=row.arm, batch=row.batch))
        if can is not None and can.value is False:
            lost.append(say("{arm} at batch {b}", arm=Code(row.arm), b=batch(row.batch)))
    if not lost:
        return ()
    return say(
        " On this host speculation cannot pay even where every draft is accepted: {cells}.",
        cells=join(lost),
    )


def _mandate(index: Index, dataset: Dataset, rows: list[Speculated]) -> Line:
    """Whether graphs make speculation cheaper, with what eager needs over what graphs need."""
    for row in rows:
        key: dict[str, str | int] = {"arm": row.arm, "batch": row.batch}
        ratio = value_at(index, dataset.name, NEEDED_IN_EAGER(**key))
        claim = value_at(index, dataset.name, GRAPHS_NEED_LESS(**key))
        if ratio is not None and claim is not None:
            return say(
                " Eager needs {x} what graphs need{claim}.",
                x=noted(index, ratio),
                claim=say(": {holds}", holds=noted(index, claim)) if claim.predictions else (),
            )
    return ()


def _beside(index: Index, dataset: Dataset, rows: list[Speculated]) -> list[Line]:
    """The acceptance met, and what the draft replayed."""
    said: list[Line] = []
    for row in rows:
        key: dict[str, str | int] = {"arm": row.arm, "batch": row.batch}
        accepted = value_at(index, dataset.name, ACCEPTED_SHARE(**key))
        replayed = value_at(index, dataset.name, DRAFT_REPLAYED_SHARE(**key))
        parts = [say("{x} of the drafts accepted", x=noted(index, accepted))] if accepted else []
        if replayed is not None:
            parts.append(
                say("graphs replayed in {x} of the draft’s passes", x=noted(index, replayed))
            )
        if parts:
            said.append(say("{arm}: {parts}", arm=Code(row.arm), parts=join(parts, ", ", ", ")))
    if not said:
        return []
    random = " The weights are random: this acceptance says nothing of a real pair."
    return [
        say("{said}.{random}", said=join(said, "; ", "; "),
            random=random if dataset.weights == "dummy" else ())
    ]  # fmt: skip
