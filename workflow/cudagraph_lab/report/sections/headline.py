"""The sentence that answers: how much, where, and how sure."""

from cudagraph_lab.config.contrast import Role
from cudagraph_lab.ledger.index import (
    Index,
    contrast_of_role,
    having,
    ratios,
    short_device,
    short_model,
    short_title,
)
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Exempt, Line, join, say
from cudagraph_lab.report.numbers import batch, batches, level, noted

GAINS: dict[Role, str] = {
    "primary": "CUDA graphs and compilation together make",
    "graph": "CUDA graphs alone make",
    "graph_compiled": "CUDA graphs on compiled code make",
    "graph_uncompiled": "CUDA graphs alone make",
    "compile": "compilation alone makes",
}
LEADS = 2  # data sets that the sentence speaks of; the picture shows all
REASONS = 3  # that a sentence without numbers names


def headline(index: Index, role: Role | None, short: bool = False) -> Line:
    """How much, where, and how sure.

    Where every interval shows a gain, a `short` one names the first of several devices alone, since
    what it says of all of them is true of each. Of several models it names two all the same.
    """
    if role is None:
        reasons = dict.fromkeys(
            f"{short_title(index, d)}: {arm.reason}"
            for d in index.main
            for arm in d.arms.values()
            if arm.status != "ok" and arm.reason
        )
        why: Line = join([Exempt(reason) for reason in list(reasons)[:REASONS]], "; ")
        return say(
            "Nothing can be said: no arm was measured against another.{why}",
            why=(" ", *why) if why else (),
        )
    first, *others = leads(index, role)
    if short and _all_gain(index, role):
        others = [other for other in others if other.model != first.model]
    said = [_gain(index, first, role)]
    said += [_gain(index, other, role, same=other.model == first.model) for other in others]
    gains = GAINS[role]
    text = say("{gains} {said}.", gains=gains[0].upper() + gains[1:], said=join(said, "; "))
    return (*text, " ", *certainty(index, role))


def leads(index: Index, role: Role) -> list[Dataset]:
    """The data sets that the sentence is about: those measured here, else measured ones first."""
    here = index.ledger.measured_here
    found = having(index, role)
    own = [d for d in found if d.name in here]
    chosen = own or [d for d in found if d.kind != "transcribed"] or found
    if (
        len({d.model for d in chosen}) > 1
    ):  # the model that gains most, and the one that gains least

        def gain(dataset: Dataset) -> float:
            numbers = ratios(index, dataset.name, role)
            return float(numbers[min(numbers)].value or 0)

        most, least = max(chosen, key=gain), min(chosen, key=gain)
        return [most, least] if most is not least else [most]
    one_each = {short_device(d): d for d in reversed(chosen)}  # the first of each device
    return [d for d in chosen if one_each[short_device(d)] is d][:LEADS]


def _gain(index: Index, dataset: Dataset, role: Role, same: bool = False) -> Line:
    """The gain at the smallest and the largest batch; `same` where the model is named already."""
    numbers = ratios(index, dataset.name, role)
    sides = contrast_of_role(index, dataset.name, role)
    small, large = min(numbers), max(numbers)
    line = say(
        "on {device} {x} as fast at batch {size}"
        if same
        else "{model} decode {x} as fast as {other} on {device} at batch {size}",
        model=Exempt(short_model(dataset)),
        device=Exempt(_where(dataset)),
        x=noted(index, numbers[small]),
        other=Code(sides.denominator if sides else ""),
        size=batch(small),
    )
    if large == small:
        return line
    return (
        *line,
        *say(", and {x} at batch {size}", x=noted(index, numbers[large]), size=batch(large)),
    )


def _where(dataset: Dataset) -> str:
    name = short_device(dataset)
    article = "an " if name[:1] in "AEFHILMNORSX" else "a "
    kind = {"measured": "", "transcribed": " (published)", "simulated": " (SIMULATED)"}
    return f"{article}{name}{kind[dataset.kind]}"


def certainty(index: Index, role: Role) -> Line:
    """How sure: what the intervals of all points that the sentence speaks of allow."""
    if _all_gain(index, role):
        return say(
            "At every batch size measured the whole {level} interval shows a gain.",
            level=level(),
        )
    points = [
        (d.name, size, n)
        for d in leads(index, role)
        for size, n in ratios(index, d.name, role).items()
    ]
    single = [n for _, _, n in points if n.low is None]
    if len(single) == len(points):
        return ("These are single observations without an interval: nothing here is sure.",)
    shown = [(d, size) for d, size, n in points if n.low is not None and n.low > 1]
    slower = [(d, size) for d, size, n in points if n.high is not None and n.high < 1]
    open_at = sorted(
        {size for d, size, n in points if n.low is not None and (d, size) not in shown + slower}
    )
    if slower:
        sizes = sorted({size for _, size in slower})
        return say("At batch {at} it is slower, and the interval says so.", at=batches(sizes))
    if open_at and not shown:
        return say("No {level} interval shows a gain or a loss.", level=level())
    if single:
        return ("A number without an interval is one observation, and nothing about it is sure.",)
    return say(
        "At batch {at} a {level} interval includes no gain, so that a gain is not sure there; "
        "elsewhere the whole interval shows one.",
        at=batches(open_at),
        level=level(),
    )


def _all_gain(index: Index, role: Role) -> bool:
    """Whether the whole interval of each point that the sentence speaks of shows a gain."""
    numbers = [n for d in leads(index, role) for n in ratios(index, d.name, role).values()]
    return all(n.low is not None and n.low > 1 for n in numbers)
