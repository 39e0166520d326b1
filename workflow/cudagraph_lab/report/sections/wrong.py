"""The predictions that were refuted, each in words."""

from cudagraph_lab.design.predictions import FORECAST, LAB, predicted_by
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index, short_title
from cudagraph_lab.report.claims import IMPORTANT, SPEAKERS, families, refuted_by_prediction
from cudagraph_lab.report.markup import Chip, Code, Exempt, Line, Strong, join, plain, say
from cudagraph_lab.report.numbers import batch, bounds, count, label, point, value
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Section

LISTED = 3  # numbers that a refuted prediction names; of more it says how many
TOLD = 12  # refuted predictions that stand open, the course lab's first


def wrong(index: Index, drawings: dict[str, Drawing]) -> Section:
    """The refuted predictions, each in a sentence."""
    heading = "What did we get wrong?"
    missed = refuted_by_prediction(index)
    if not missed:
        none: list[Block] = [Paragraph(("No prediction was refuted.",))]
        return Section("wrong", "Wrong", heading, none)
    tested = [
        (name, [(n, p) for n, p in pairs if not p.in_sample]) for name, pairs in missed.items()
    ]
    told = [(name, pairs) for name, pairs in tested if pairs]
    told.sort(key=lambda one: _place(*one))
    alone = [one for one in told if predicted_by(one[0]) != FORECAST]
    lines = [_miss(index, name, pairs) for name, pairs in alone]
    missed_steps = [pair for one in told if one not in alone for pair in one[1]]
    forecasts = _forecasts_missed(index, missed_steps)
    if len(forecasts) <= LISTED:
        lines, forecasts = [*lines, *forecasts], []
    own = [
        _miss(index, name, pairs)
        for name, pairs in missed.items()
        if all(p.in_sample for _, p in pairs)
    ]
    blocks: list[Block] = [Bullets(lines[:TOLD])] if lines else []
    if lines[TOLD:]:
        blocks.append(Fold(("More predictions that were refuted",), [Bullets(lines[TOLD:])]))
    if forecasts:
        blocks.append(Fold(("What our step model forecast wrongly",), [Bullets(forecasts)]))
    if own:
        blocks += [Paragraph(("Refuted by the very data that they were read from:",)), Bullets(own)]
    return Section("wrong", "Wrong", heading, blocks)


def _place(name: str, pairs: list[tuple[Number, Judged]]) -> tuple[bool, int]:
    """The course lab's claims first, and what a reader wants to know first."""
    order = list(IMPORTANT)
    quantity = pairs[0][0].id.quantity
    lab = SPEAKERS.get(predicted_by(name)) == SPEAKERS[LAB]
    return not lab, order.index(quantity) if quantity in order else len(order)


def _forecasts_missed(index: Index, pairs: list[tuple[Number, Judged]]) -> list[Line]:
    """The step model's misses, a line per data set and quantity: one in full, the others named."""
    alike: dict[tuple[str, str], list[tuple[Number, Judged]]] = {}
    for number, judged in pairs:
        alike.setdefault((number.dataset, number.id.quantity.label), []).append((number, judged))
    lines = []
    for (dataset, what), missed in alike.items():
        number, judged = missed[0]
        others = [_cell(n) for n, _ in missed[1:]]
        lines.append(
            say(
                "{what} of {name}: our step model predicted {bounds} for {cell}, measured {x}: "
                "{chip}.{others}",
                what=Strong((Exempt(what, "label"),)),
                name=Exempt(short_title(index, index.datasets[dataset])),
                bounds=bounds(number, judged),
                cell=_cell(number),
                x=value(number),
                chip=Chip("refuted"),
                others=say(" It also missed {cells}.", cells=join(others)) if others else (),
            )
        )
    return lines


def _cell(number: Number) -> Line:
    arm = str(number.id.arm or number.id.contrast)
    return say("{arm} at batch {size}", arm=Code(arm), size=batch(int(number.id.batch)))


def _miss(index: Index, name: str, pairs: list[tuple[Number, Judged]]) -> Line:
    number, judged = pairs[0]
    prefix = predicted_by(name)
    if len(pairs) > LISTED:
        whole = [
            p
            for n in index.ledger.numbers
            for p in n.predictions
            if p.id == name and p.verdict != "not measured"
        ]
        low = min((n for n, _ in pairs), key=lambda n: float(n.value or 0))
        high = max((n for n, _ in pairs), key=lambda n: float(n.value or 0))
        outcome = say(
            "{n} of the {all} measured numbers lie outside, {where}",
            n=count(len(pairs), "refuted", prediction=name),
            all=count(len(whole), "measured", prediction=name),
            where=say("at {x}", x=point(low))
            if low.value == high.value
            else say("from {low} to {high}", low=point(low), high=point(high)),
        )
    else:
        outcome = say("measured {all}", all=_outcomes(index, [n for n, _ in pairs]))
    what = (
        label(index, number)
        if len(pairs) <= LISTED
        else (Exempt(_family_label(index, name), "claim"),)
    )
    return say(
        "{what}: {who} predicted {bounds}, {outcome}: {chip}. ({source}{weak})",
        who=Exempt(SPEAKERS.get(prefix, prefix)),
        chip=Chip("refuted"),
        bounds=bounds(number, judged),
        what=Strong(what),
        outcome=outcome,
        source=Exempt(judged.source),
        weak="; registered after the measurement" if judged.post_hoc else "",
    )


def _family_label(index: Index, name: str) -> str:
    for claims in families(index):
        if any(judged.id == name for _, judged in claims.pairs):
            return claims.subject
    return name


def _outcomes(index: Index, numbers: list[Number]) -> Line:
    """The values, each once, with the data sets that they were measured in."""
    alike: dict[str, list[Number]] = {}
    for number in numbers:
        alike.setdefault(plain(value(number)), []).append(number)
    return join(
        [say("{x}{where}", x=value(same[0]), where=_on(index, same)) for same in alike.values()]
    )


def _on(index: Index, numbers: list[Number]) -> Line:
    known = [index.datasets[n.dataset] for n in numbers if n.dataset in index.datasets]
    if not known:
        return ()
    names = dict.fromkeys(short_title(index, dataset) for dataset in known)
    return say(" on {names}", names=join([(Exempt(name),) for name in names]))
