"""What of the predictions held and what did not, a line each."""

from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index, count_verdicts, short_title
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.report.claims import Claims, importance, told_first
from cudagraph_lab.report.markup import Exempt, Line, Link, join, say
from cudagraph_lab.report.numbers import bounds, count, value

NAMED = 3  # families that a line names


def held(index: Index) -> Line:
    """Families of claims of which all were confirmed and that the data could have refuted."""
    kept = [
        f
        for f in told_first(index)
        if f.tested and all(j.verdict in ("confirmed", "not measured") for _, j in f.pairs)
    ]
    counted = count_verdicts(index)
    total = count(counted["confirmed"], "confirmed")
    doubted = {
        f.subject for f in told_first(index) if f.counts["inconclusive"] or f.counts["refuted"]
    }
    kept = [f for f in kept if f.subject not in doubted] or kept
    if not counted["confirmed"]:
        return ("No prediction was confirmed.",)
    if not kept:
        return say("{n} predictions, but no kind of claim throughout.", n=total)
    weak = counted["confirmed in-sample"]
    return say(
        "{families}. Over all data {n} predictions were confirmed{weak}.",
        families=_named(kept),
        n=total,
        weak=say(
            "; {n} of these were read from the same data and prove nothing",
            n=count(weak, "confirmed in-sample"),
        )
        if weak
        else (),
    )


def failed(index: Index) -> Line:
    """What was refuted, and how much is not settled."""
    counted = count_verdicts(index)
    missed = [f for f in told_first(index) if any(j.verdict == "refuted" for _, j in f.tested)]
    tail: Line = ()
    waiting = [f for f in told_first(index) if f.counts["inconclusive"]]
    if waiting:
        first = min(waiting, key=importance)
        tail = say(
            " {n} are not settled, since interval and bounds overlap only in part: “{what}” "
            "({who}) for one.",
            who=Exempt(first.speaker),
            n=count(counted["inconclusive"], "inconclusive"),
            what=Exempt(first.subject, "claim"),
        )
    if not missed:
        of_here = " of what was measured here" if counted["refuted"] else ""
        return (f"No prediction{of_here} was refuted.", *tail)
    return say(
        "{families}. Over all data {n} predictions were refuted: {link}.{tail}",
        families=join([_miss(index, f) for f in _told_apart(missed)[:NAMED]], "; ", "; "),
        link=Link("wrong", ("each in words",)),
        n=count(counted["refuted"], "refuted"),
        tail=tail,
    )


def _refuted(claims: Claims) -> tuple[Number, Judged]:
    """The first number of a family that was missed."""
    return next(pair for pair in claims.tested if pair[1].verdict == "refuted")


def _told_apart(missed: list[Claims]) -> list[Claims]:
    """A family of each quantity, and of those that were missed alike the first."""
    found: dict[tuple[float | None, float | None, float | bool | None], Claims] = {}
    for family in _one_per_quantity(missed).values():
        number, judged = _refuted(family)
        found.setdefault((judged.low, judged.high, number.value), family)
    return list(found.values())


def _miss(index: Index, claims: Claims) -> Line:
    """The first number of a family that was missed, without what is beside it."""
    number, judged = _refuted(claims)
    return say(
        "{what}: {who} predicted {b}, measured {x}{where}",
        what=Exempt(claims.subject, "claim"),
        who=Exempt(claims.speaker),
        b=bounds(number, judged),
        x=value(number),
        where=say(" on {name}", name=Exempt(short_title(index, index.datasets[number.dataset])))
        if number.dataset in index.datasets
        else (),
    )


def _named(claims: list[Claims]) -> Line:
    """Families by what they claim and who claimed it, one of each quantity."""
    names = []
    for family in list(_one_per_quantity(claims).values())[:NAMED]:
        bounds_alike = {(judged.low, judged.high, judged.value) for _, judged in family.pairs}
        shared = len(bounds_alike) == 1 and not isinstance(family.pairs[0][1].value, bool)
        names.append(
            say(
                "{what}{bounds} ({who})",
                what=Exempt(family.subject, "claim"),
                bounds=say(", {b}", b=bounds(*family.pairs[0])) if shared else (),
                who=Exempt(family.speaker),
            )
        )
    return (*join(names, "; ", "; "), *(("; and others",) if len(claims) > NAMED else ()))


def _one_per_quantity(claims: list[Claims]) -> dict[Quantity, Claims]:
    """The most important family of each quantity, in the order of importance."""
    found: dict[Quantity, Claims] = {}
    for family in sorted(claims, key=importance):
        found.setdefault(family.quantity, family)
    return found
