"""What was predicted wrongly, a sentence for each kind of claim, and what would have been right."""

from collections.abc import Iterator

from cudagraph_lab.design.predictions import FORECAST
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.report.claims import Claims, families, lab_first
from cudagraph_lab.report.markup import Code, Exempt, Line, Piece, Strong, join, plain, say
from cudagraph_lab.report.numbers import batches, bounds, count, point, value
from cudagraph_lab.report.phrases import title
from cudagraph_lab.report.statements import clause, farthest, one_batch, place, said
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Section

LISTED = 3  # numbers that a sentence names; of more it says how many
TOLD = 10  # kinds of claims that stand open, the course lab's first


def wrong(index: Index, drawings: dict[str, Drawing]) -> Section:
    """The refuted predictions, each kind in a sentence."""
    heading = "What was predicted wrongly?"
    missed = [family for family in families(index) if family.counts["refuted"]]
    if not missed:
        none: list[Block] = [Paragraph(("No prediction was refuted.",))]
        return Section("wrong", "Wrong", heading, none)
    told = sorted((f for f in missed if f.refuted), key=lab_first)
    lines = [_sentence(index, f) for f in told if f.prefix != FORECAST]
    forecasts = [line for f in told if f.prefix == FORECAST for line in _by_dataset(index, f)]
    if len(forecasts) <= LISTED:
        lines, forecasts = [*lines, *forecasts], []
    blocks: list[Block] = [Bullets(lines[:TOLD])] if lines else []
    if lines[TOLD:]:
        blocks.append(Fold(("More predictions that were refuted",), [Bullets(lines[TOLD:])]))
    if forecasts:
        blocks.append(Fold(("What our step model forecast wrongly",), [Bullets(forecasts)]))
    own = [_in_sample(index, f) for f in missed if not f.refuted]
    if own:
        blocks += [Paragraph(("Refuted by the very data that they were read from:",)), Bullets(own)]
    return Section("wrong", "Wrong", heading, blocks)


def _sentence(index: Index, claims: Claims) -> Line:
    """Who said what, what was measured, where it held, and who was right instead."""
    pairs = claims.refuted
    pair = farthest(pairs)
    who = said(claims.prefix)
    weak = "; registered after the measurement" if all(p.post_hoc for _, p in pairs) else ""
    return say(
        "{claim}: {outcome}.{held}{right} ({source}{weak})",
        claim=Strong(say("{who} that {what}", who=who, what=clause(index, claims, pair))),
        outcome=_outcome(index, claims),
        held=_held(index, claims),
        right=_right(pairs),
        source=Exempt(pair[1].source),
        weak=weak,
    )


def _outcome(index: Index, claims: Claims) -> Line:
    pairs = claims.refuted
    if isinstance(pairs[0][1].value, bool):
        return say("it is not so{where}", where=place(index, pairs[0][0]))
    if len(pairs) <= LISTED and claims.alike:
        return say(
            "measured {all}",
            all=_values(index, [n for n, _ in pairs], size=not one_batch(claims, pairs[0][1])),
        )
    number, judged = farthest(pairs)
    tested = [p for _, p in claims.pairs if p.verdict != "not measured"]
    return say(
        "measured {x}{where}; {n} of the {all} numbers measured lie outside their bounds",
        x=point(number),
        where=place(index, number, size=not one_batch(claims, judged)),
        n=count(claims.counts["refuted"], "refuted", family=claims.key),
        all=count(len(tested), "measured", family=claims.key),
    )


def _values(index: Index, numbers: list[Number], size: bool) -> Line:
    """The values, each once, with where they were measured."""
    alike: dict[str, list[Number]] = {}
    for number in numbers:
        alike.setdefault(plain(value(number)), []).append(number)
    said_once = []
    for same in alike.values():
        names = _titles(index, same)
        where = say(" on {names}", names=join(names, "; ", " and "))
        cell = place(index, same[0], title=False, size=size) if len(same) == 1 else ()
        said_once.append(
            say("{x}{cell}{where}", x=value(same[0]), cell=cell, where=where if names else ())
        )
    return join(said_once, "; ")


def _titles(index: Index, numbers: list[Number]) -> list[Piece]:
    """The data sets of numbers, each once."""
    known = (n.dataset for n in numbers if n.dataset in index.datasets)
    return list(dict.fromkeys(title(index, dataset) for dataset in known))


def _held(index: Index, claims: Claims) -> Line:
    """Where the same prediction was confirmed by data that could have refuted it."""
    ids = {judged.id for _, judged in claims.refuted}
    held = [n for n, p in claims.tested if p.verdict == "confirmed" and p.id in ids]
    names = _titles(index, held)
    if not names or len(names) > LISTED:
        return ()
    return say(" It held on {names}.", names=join(names))


def _right(pairs: list[tuple[Number, Judged]]) -> Line:
    """Who else had predicted the same number, and was confirmed."""
    for number, judged in pairs:
        for other in number.predictions:
            if other.verdict == "confirmed" and not other.in_sample and other.id != judged.id:
                return say(
                    " {who} {b}, which was right.",
                    who=said(other.id.partition("/")[0]),
                    b=bounds(number, other),
                )
    return ()


def _in_sample(index: Index, claims: Claims) -> Line:
    pair = next(pair for pair in claims.pairs if pair[1].verdict == "refuted")
    return say(
        "{who} that {what}: measured {x}.",
        who=said(claims.prefix),
        what=clause(index, claims, pair),
        x=value(pair[0]),
    )


def _by_dataset(index: Index, claims: Claims) -> Iterator[Line]:
    """The step model's misses of one quantity, a line per data set: the worst, others named."""
    alike: dict[str, list[tuple[Number, Judged]]] = {}
    for pair in claims.refuted:
        alike.setdefault(pair[0].dataset, []).append(pair)
    for dataset, missed in alike.items():
        number, judged = farthest(missed)
        others = [n for n, _ in missed if n is not number]
        outcome: Line = ("it is not so",)
        if not isinstance(judged.value, bool):
            outcome = say("measured {x}", x=value(number))
        yield say(
            "{name}: our step model forecast that {what}: {outcome}{cell}.{others}",
            name=Strong((title(index, dataset),)),
            what=clause(index, claims, (number, judged), model=False),
            outcome=outcome,
            cell=place(index, number, title=False, size=not one_batch(claims, judged)),
            others=say(" It also missed {cells}.", cells=_cells(others)) if others else (),
        )


def _cells(numbers: list[Number]) -> Line:
    """Arms, each with its batch sizes; batch sizes alone where there is no arm."""
    sizes: dict[str, list[int]] = {}
    for number in numbers:
        sizes.setdefault(str(number.id.arm or ""), []).append(int(number.id.batch))
    cells = [
        say("{arm}batch {sizes}", arm=(Code(arm), " at ") if arm else (), sizes=batches(at))
        for arm, at in sizes.items()
    ]
    return join(cells, "; ")
