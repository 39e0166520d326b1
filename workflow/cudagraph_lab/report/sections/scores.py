"""Every prediction by family, with its verdicts."""

from cudagraph_lab.design.predictions import FORECAST
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index, count_verdicts, short_title
from cudagraph_lab.ledger.number_format import unit_of
from cudagraph_lab.ledger.verdicts import VERDICTS, WORDINGS, style_name
from cudagraph_lab.report.claims import (
    Claims,
    families,
    width_words,
)
from cudagraph_lab.report.markup import (
    About,
    Chip,
    Exempt,
    Line,
    Link,
    Strong,
    join,
    say,
)
from cudagraph_lab.report.numbers import (
    bounds,
    count,
    extent,
    judgement,
    label,
    point,
    value,
)
from cudagraph_lab.report.view import Block, Bullets, Family, Fold, Paragraph, Scores, Section

UNFOLDED = 1  # numbers of a verdict that a family lists; the appendix has all of them


def scores(index: Index, drawings: dict[str, Drawing]) -> Section:
    """A row per family of claims."""
    heading = "What was predicted, and what came of it?"
    found = families(index)
    if not found:
        none: list[Block] = [Paragraph(("Nothing was predicted of these data.",))]
        return Section("scores", "Scores", heading, none)
    counted = count_verdicts(index)
    counts = [
        say(
            "{n} {words}",
            n=count(counted[verdict], verdict),
            words=WORDINGS[verdict].words,
        )
        for verdict in VERDICTS
    ]
    lead = say(
        "Every prediction gives bounds, most of them written down before the measurement. By "
        "verdict, each once for a data set and by the worst of its numbers: {counts}. Of the "
        "confirmed, {n} were read from the same data and prove nothing; {late} predictions were "
        "written down only after the measurement. A row is what one source says of one quantity; "
        "open it for single numbers.",
        counts=join(counts),
        late=count(counted["post hoc"], "post hoc"),
        n=count(counted["confirmed in-sample"], "confirmed in-sample"),
    )
    rule = Paragraph(
        (
            "Confirmed: the whole measured interval lies inside the predicted bounds. Refuted: "
            "interval and bounds do not overlap. Not settled: they overlap in part. Weak: "
            "confirmed, but the upper bound is more than one and a half times the lower one. "
            "Bounds are narrow where the upper one is at most a quarter above the lower one, "
            "medium up to twice the lower one, wide beyond.",
        ),
        small=True,
    )
    measured = [f for f in found if f.worst != "not measured"]
    open_rows = [f for f in measured if f.counts["refuted"]]
    folded = [f for f in measured if f not in open_rows]
    columns = ["claim", "predicted", "measured", "verdict", "bounds"]
    blocks: list[Block] = [Paragraph(lead)]
    if open_rows:
        blocks.append(Scores(columns, [_family(index, f) for f in open_rows]))
    if folded:
        inside = Scores(columns, [_family(index, f) for f in folded])
        blocks.append(Fold((_OTHERS,), [inside]) if open_rows else inside)
    blocks.append(rule)
    rest = [f for f in found if f.worst == "not measured"]
    if rest:
        names = Bullets([(Exempt(f"{f.subject} ({f.speaker})", "claim"),) for f in rest])
        unmeasured = Scores(columns, [_family(index, f) for f in rest]) if len(rest) < 40 else names
        blocks.append(Fold(("Claims of which nothing was measured",), [unmeasured]))
    return Section("scores", "Scores", heading, blocks)


_OTHERS = "Claims of which none was refuted"


def _family(index: Index, claims: Claims) -> Family:
    counts = claims.counts
    total = count(len(claims.pairs), "all")
    verdicts = [
        say(
            "{n} {words}",
            n=count(counts[v], v),
            words=WORDINGS[v].words,
        )
        for v in VERDICTS
        if counts[v]
    ]
    alone = len(claims.pairs) == 1
    cells: list[Line] = [
        say(
            "{what} {who}",
            what=Strong((Exempt(claims.subject, "claim"),)),
            who=Exempt(f"({claims.speaker})"),
        ),
        _predicted(claims.pairs),
        _measured(claims.pairs),
        (Chip(claims.worst),) if alone else say("{counts} of {n}", counts=join(verdicts), n=total),
        (width_words(claims),),
    ]
    told = [(n, p) for n, p in claims.pairs if p.verdict != "not measured"]
    if claims.prefix == FORECAST:
        told = []
    listed = {
        verdict: [pair for pair in told if pair[1].verdict == verdict] for verdict in VERDICTS
    }
    kept = [pair for pairs in listed.values() for pair in pairs[:UNFOLDED]]
    lines: list[Line] = [
        (
            About(
                number.dataset,
                str(number.id),
                say(
                    "{where}{what}: {judgement}.",
                    where=_where(index, number),
                    what=label(index, number),
                    judgement=judgement(number, judged, about=False),
                ),
            ),
        )
        for number, judged in kept
    ]
    if len(told) > len(kept):
        lines.append(say("All of them: {link}.", link=Link("appendix", ("every number",))))
    if claims.prefix == FORECAST:
        lines.append((Link("appendix", ("Each stands in the table of all numbers.",)),))
    missing = [(n, p) for n, p in claims.pairs if p.verdict == "not measured"]
    if missing:
        reasons = dict.fromkeys(n.missing or "no reason is given" for n, _ in missing)
        lines.append(say("Not measured: {why}.", why=join([(Exempt(r),) for r in reasons])))
    sources = dict.fromkeys(judged.source for _, judged in claims.pairs)
    lines += [say("Source: {text}.", text=Exempt(text)) for text in sources]
    return Family(claims.key, cells, style_name(claims.worst), lines)


def _where(index: Index, number: Number) -> Line:
    if number.dataset not in index.datasets:
        return ()
    return say("{name}, ", name=Exempt(short_title(index, index.datasets[number.dataset])))


def _predicted(pairs: list[tuple[Number, Judged]]) -> Line:
    """The bounds that the family shares, or the widest of them."""
    alike = {(p.low, p.high, str(p.value) if isinstance(p.value, bool) else "") for _, p in pairs}
    if len(alike) == 1:
        return bounds(*pairs[0])
    return extent(pairs)


def _measured(pairs: list[tuple[Number, Judged]]) -> Line:
    """The one value, or the smallest and the largest of the family."""
    known = {(n.dataset, str(n.id)): n for n, p in pairs if p.verdict != "not measured"}
    numbers = [n for n in known.values() if n.value is not None]
    if not numbers:
        return ("a bracket",) if known else ("–",)
    if len({n.value for n in numbers}) == 1:
        return value(numbers[0]) if len(numbers) == 1 else point(numbers[0])
    if any(isinstance(n.value, bool) for n in numbers):
        return ("holds in some, not in others",)
    low = min(numbers, key=lambda n: float(n.value or 0))
    high = max(numbers, key=lambda n: float(n.value or 0))
    return say("{a} to {b}", a=point(low, unit=unit_of(low) != unit_of(high)), b=point(high))
