"""Every prediction: by family, with what was measured and how it was judged."""

from cudagraph_lab.design.predictions import FORECAST
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.verdict_counts import count_claims, count_verdicts
from cudagraph_lab.ledger.verdicts import VERDICTS, WORDINGS, style_name
from cudagraph_lab.report.claims import Claims, families, lab_first, width_words
from cudagraph_lab.report.extents import extent, span
from cudagraph_lab.report.markup import About, Chip, Exempt, Line, Link, Strong, join, say
from cudagraph_lab.report.numbers import bounds, count, judgement, label, point
from cudagraph_lab.report.phrases import title
from cudagraph_lab.report.statements import farthest, place
from cudagraph_lab.report.view import Block, Bullets, Family, Fold, Paragraph, Scores, Section

TOLD = 10  # families with refuted numbers that stand open, the course lab's first
UNFOLDED = 1  # numbers of a verdict that a family lists; the appendix has all of them


def scores(index: Index, drawings: dict[str, Drawing]) -> Section:
    """A row per family of claims."""
    heading = "What was predicted, and what came of it?"
    found = families(index)
    if not found:
        none: list[Block] = [Paragraph(("Nothing was predicted of these data.",))]
        return Section("scores", "Scores", heading, none)
    counted, claimed = count_verdicts(index.ledger), count_claims(index.ledger)
    counts, claims = (
        [
            say("{n} {words}", n=count(of[verdict], verdict, **by), words=WORDINGS[verdict].words)
            for verdict in VERDICTS
        ]
        for of, by in ((counted, {}), (claimed, {"by": "claim"}))
    )
    lead = say(
        "Every prediction gives bounds, most of them written down before the measurement. A row "
        "is what one source says of one quantity, and counts every number that it says it of: "
        "each arm, batch size and data set. All rows together, also "
        "the folded ones: {counts}. Numbers of one data set "
        "come from the same processes, so they often miss together: as claims, each once for a "
        "data set and by the worst of its numbers, they are {claims}. Of the confirmed, {n} were "
        "read from the same data, which proves nothing; {late} were predicted only after the "
        "measurement. Where numbers were refuted, the row shows the one farthest from its bounds; "
        "open a row for single numbers.",
        counts=join(counts),
        claims=join(claims),
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
    missed = sorted((f for f in measured if f.counts["refuted"]), key=lab_first)
    kept = [f for f in measured if not f.counts["refuted"]]
    columns = ["claim", "predicted", "measured", "verdict", "bounds"]
    blocks: list[Block] = [Paragraph(lead)]
    open_rows = missed[:TOLD] or kept
    blocks.append(Scores(columns, [_family(index, f) for f in open_rows]))
    for words, rows in ((_MORE, missed[TOLD:]), (_OTHERS, kept if missed else [])):
        if rows:
            blocks.append(Fold((words,), [Scores(columns, [_family(index, f) for f in rows])]))
    blocks.append(rule)
    rest = [f for f in found if f.worst == "not measured"]
    if rest:
        names = Bullets([(Exempt(f"{f.subject} ({f.speaker})", "claim"),) for f in rest])
        unmeasured = Scores(columns, [_family(index, f) for f in rest]) if len(rest) < 40 else names
        blocks.append(Fold(("Claims of which nothing was measured",), [unmeasured]))
    return Section("scores", "Scores", heading, blocks)


_MORE = "More claims of which a number was refuted"
_OTHERS = "Claims of which none was refuted"


def _family(index: Index, claims: Claims) -> Family:
    counts = claims.counts
    total = count(len(claims.pairs), "all")
    verdicts = [
        say("{n} {words}", n=count(counts[v], v), words=WORDINGS[v].words)
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
        _predicted(claims),
        _measured(index, claims),
        (Chip(claims.worst),) if alone else say("{counts} of {n}", counts=join(verdicts), n=total),
        (width_words(claims),),
    ]
    told = [(n, p) for n, p in claims.pairs if p.verdict != "not measured"]
    if claims.prefix == FORECAST:
        told = []
    listed = {
        verdict: [pair for pair in told if pair[1].verdict == verdict] for verdict in VERDICTS
    }
    # Two verdicts have an example, the worst first.
    shown = [pairs[:UNFOLDED] for pairs in listed.values() if pairs]
    kept = [pair for pairs in shown[:2] for pair in pairs]
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
        lines.append(say("Not measured: {why}.", why=join([Exempt(r) for r in reasons])))
    sources = dict.fromkeys(judged.source for _, judged in claims.pairs)
    lines.append(say("Source: {texts}.", texts=join([Exempt(t) for t in sources], "; ")))
    return Family(claims.key, cells, style_name(claims.worst), lines)


def _where(index: Index, number: Number) -> Line:
    if number.dataset not in index.datasets:
        return ()
    return say("{name}, ", name=title(index, number.dataset))


def _predicted(claims: Claims) -> Line:
    """The bounds that the family shares; else those that were missed by most, or the widest."""
    if claims.alike:
        return bounds(*claims.pairs[0])
    if claims.refuted:
        return bounds(*farthest(claims.refuted))
    return extent(claims.pairs)


def _measured(index: Index, claims: Claims) -> Line:
    """The number farthest from its bounds; where none is refuted, the span of them all."""
    known = {(n.dataset, str(n.id)): n for n, p in claims.pairs if p.verdict != "not measured"}
    numbers = [n for n in known.values() if n.value is not None]
    if not numbers:
        return ("a bracket",) if known else ("–",)
    if claims.refuted and len(numbers) > 1:
        number, judged = farthest(claims.refuted)
        if isinstance(judged.value, bool):
            return point(number)
        return say("{x}{where}", x=point(number), where=place(index, number))
    return span(numbers)
