"""What speculative decoding costs a step, with graphs and without, and what it must yield."""

from collections.abc import Iterator

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.catalogue import (
    ACCEPTED_SHARE,
    DRAFT_REPLAYED_SHARE,
    NEEDED_IN_EAGER,
    REPLAYED_SHARE,
)
from cudagraph_lab.ledger.index import Index, short_device, short_model, value_at
from cudagraph_lab.ledger.selection import plain_steps, sized
from cudagraph_lab.ledger.speculation_pairs import Speculated, speculated, with_drafts
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.phrases import title
from cudagraph_lab.report.view import Bullets, Picture, Section

SHOWN = 2  # data sets; their numbers are all in the appendix


def speculation(index: Index, drawings: dict[str, Drawing]) -> Section | None:
    """Steps with drafts beside plain ones; None where no such contrast was measured."""
    datasets = with_drafts(index)
    if not datasets:
        return None
    drawing = drawings["speculation"]
    lines = [_of(index, dataset) for dataset in datasets[:SHOWN]]
    lines += [*_beside(index, datasets[0]), *_elsewhere(index, datasets[0])]
    picture = Picture(drawing, heading=False, beside=[Bullets(lines)])
    return Section("speculation", "Drafts", drawing.title, [picture])


def _of(index: Index, dataset: Dataset) -> Line:
    """From how many tokens a step speculation pays, at the smallest batch size."""
    rows = speculated(index, dataset.name)
    size = min(row.batch for row in rows)
    at = [row for row in rows if row.batch == size]
    needs = [say("{x} in {arm}", x=noted(index, row.needed), arm=Code(row.arm)) for row in at]
    return say(
        "{name}, batch {size}: drafting pays once a step brings each request, on average, "
        "more than {needs}.{never}{mandate}",
        name=Strong((title(index, dataset),)),
        size=batch(size),
        needs=join(needs),
        never=_never(rows),
        mandate=_mandate(index, dataset, at),
    )


def _never(rows: list[Speculated]) -> Line:
    """The arms and batch sizes at which no acceptance pays."""
    lost: dict[str, list[Line]] = {}
    for row in rows:
        if row.never_pays:
            lost.setdefault(row.arm, []).append((batch(row.batch),))
    if not lost:
        return ()
    cells = [
        say("{arm} at batch {sizes}", arm=Code(arm), sizes=join(sizes))
        for arm, sizes in lost.items()
    ]
    return say(
        " On this host drafting costs more than it saves even where every draft token is "
        "accepted: {cells}.",
        cells=join(cells),
    )


def _mandate(index: Index, dataset: Dataset, rows: list[Speculated]) -> Line:
    """What eager needs over what graphs need."""
    for row in rows:
        number = NEEDED_IN_EAGER(arm=row.arm, batch=row.batch)
        if (ratio := value_at(index, dataset.name, number)) is not None:
            return say(" Eager needs {x} as many as graphs.", x=noted(index, ratio))
    return ()


def _beside(index: Index, dataset: Dataset) -> Iterator[Line]:
    """What the draft replayed where the target has graphs, and the acceptance that was met."""
    rows = speculated(index, dataset.name)
    size = min(row.batch for row in rows)
    for row in [row for row in rows if row.batch == size]:
        target, draft = (
            value_at(index, dataset.name, quantity(arm=row.arm, batch=row.batch))
            for quantity in (REPLAYED_SHARE, DRAFT_REPLAYED_SHARE)
        )
        if target is None or draft is None or not target.value:
            continue
        yield say(
            "{arm}: the target replays graphs in {x} of its steps, the draft in {y} of its "
            "passes{why}.",
            arm=Code(row.arm),
            x=noted(index, target),
            y=noted(index, draft),
            why="" if draft.value else ": the draft’s kernels are launched one by one",
        )
    accepted = [
        value_at(index, dataset.name, ACCEPTED_SHARE(arm=row.arm, batch=row.batch)) for row in rows
    ]
    if (first := next(filter(None, accepted), None)) is not None:
        random = "; the weights are random, so this says nothing of trained models"
        yield say(
            "{x} of the draft tokens were accepted{random}.",
            x=noted(index, first),
            random=random if dataset.weights == "dummy" else (),
        )


def _elsewhere(index: Index, dataset: Dataset) -> list[Line]:
    """The same model without drafts here and under “Sizes”, where the two differ in their runs."""
    here = plain_steps(index, dataset.name)
    rows = sized(index).get(short_device(dataset), [])
    there = [
        plain_steps(index, row.dataset)
        for row in rows
        if row.label == short_model(dataset) and row.dataset != dataset.name
    ]
    sizes = sorted(here.keys() & there[0].keys()) if there else []
    if not sizes:
        return []
    (x, slow, fast), (y, slow_there, fast_there) = here[sizes[0]], there[0][sizes[0]]
    return [
        say(
            "Without drafts, graphs make a step {x} as fast here at batch {size}, and {y} in the "
            "run under “Sizes”. With graphs a step took {fast} here and {fast2} there, in eager "
            "{slow} and {slow2}: the host’s work differs between the two runs.",
            size=batch(sizes[0]),
            x=noted(index, x),
            y=noted(index, y),
            fast=noted(index, fast),
            fast2=noted(index, fast_there),
            slow=noted(index, slow),
            slow2=noted(index, slow_there),
        )
    ]
