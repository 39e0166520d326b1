"""What of the predictions held and what did not, each as a sentence with what was measured."""

from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.ledger.verdict_counts import count_verdicts
from cudagraph_lab.report.claims import Claims, importance, told_first
from cudagraph_lab.report.extents import span
from cudagraph_lab.report.markup import Line, Link, join, plain, say
from cudagraph_lab.report.numbers import count, point
from cudagraph_lab.report.statements import clause, farthest, one_batch, place, said

NAMED = 3  # families that a line names


def held(index: Index) -> Line:
    """Families of claims of which all were confirmed and that the data could have refuted."""
    counted = count_verdicts(index.ledger)
    if not counted["confirmed"]:
        return ("No prediction was confirmed.",)
    total = say("In all, {n} numbers were confirmed", n=count(counted["confirmed"], "confirmed"))
    kept = _throughout(index)
    if not kept:
        return (*total, ", but no kind of claim throughout.")
    weak = counted["confirmed in-sample"]
    return say(
        "{families} {total}{weak}.",
        families=_named([_kept(index, f) for f in kept[:NAMED]]),
        total=total,
        weak=say(
            ", {n} of them by the data that they were read from",
            n=count(weak, "confirmed in-sample"),
        )
        if weak
        else (),
    )


def first_held(index: Index) -> Line:
    """The first family that `held` names; what it says where it names none."""
    kept = _throughout(index)
    return _named([_kept(index, kept[0])]) if kept else held(index)


def _throughout(index: Index) -> list[Claims]:
    """The families of which all were confirmed, one of each quantity, the most important first."""
    told = told_first(index)
    open_or_missed = {f.subject for f in told if f.counts["refuted"] or f.counts["inconclusive"]}
    return _one_per_quantity(
        [f for f in told if f.tested and f.alike and f.subject not in open_or_missed]
    )


def failed(index: Index) -> Line:
    """What was refuted, and how much is not settled."""
    counted = count_verdicts(index.ledger)
    missed = [f for f in told_first(index) if f.refuted]
    tail: Line = ()
    if counted["inconclusive"]:
        tail = say(" Not settled: {n}.", n=count(counted["inconclusive"], "inconclusive"))
    if not missed:
        of_here = " of what was measured here" if counted["refuted"] else ""
        return (f"No prediction{of_here} was refuted.", *tail)
    return say(
        "{families} In all, {n} numbers were refuted, {link}.{tail}",
        families=_named([_missed(index, f) for f in _told_apart(missed)[:NAMED]]),
        link=Link("wrong", ("each kind in words",)),
        n=count(counted["refuted"], "refuted"),
        tail=tail,
    )


def _told_apart(missed: list[Claims]) -> list[Claims]:
    """A family of each quantity, and of those that were missed alike the first."""
    found: dict[tuple[float | None, float | None, float | bool | None], Claims] = {}
    for family in _one_per_quantity(missed):
        number, judged = farthest(family.refuted)
        found.setdefault((judged.low, judged.high, number.value), family)
    return list(found.values())


def _kept(index: Index, claims: Claims) -> tuple[str, Line, Line]:
    """Who said what of a family that held, and what was measured of it."""
    pairs = claims.tested
    what = clause(index, claims, pairs[0])
    if isinstance(pairs[0][1].value, bool):
        return said(claims.prefix), what, ("so it was wherever it could be judged",)
    measured = say("measured {x}", x=span([number for number, _ in pairs]))
    return said(claims.prefix), what, measured


def _missed(index: Index, claims: Claims) -> tuple[str, Line, Line]:
    """Who said what of a family that was refuted, and the number farthest from it."""
    number, judged = farthest(claims.refuted)
    where = place(index, number, size=not one_batch(claims, judged))
    found: Line = ("otherwise",) if isinstance(judged.value, bool) else point(number)
    measured = say("measured {x}{where}", x=found, where=where)
    return said(claims.prefix), clause(index, claims, (number, judged)), measured


def _named(told: list[tuple[str, Line, Line]]) -> Line:
    """A sentence for each speaker; claims of which the same was measured stand together."""
    by_speaker: dict[str, dict[str, tuple[list[Line], Line]]] = {}
    for who, what, measured in told:
        alike = by_speaker.setdefault(who, {}).setdefault(plain(measured), ([], measured))
        alike[0].append(what)
    sentences = []
    for who, parts in by_speaker.items():
        said_of = [
            say("{what}: {x}", what=join(claims, ", ", ", and that "), x=measured)
            for claims, measured in parts.values()
        ]
        told_by = join(said_of, "; that ", "; and that ")
        sentences.append(say("{who} that {parts}.", who=who, parts=told_by))
    return join(sentences, " ")


def _one_per_quantity(claims: list[Claims]) -> list[Claims]:
    """The most important family of each quantity, in the order of importance."""
    found: dict[Quantity, Claims] = {}
    for family in sorted(claims, key=importance):
        found.setdefault(family.quantity, family)
    return list(found.values())
