"""What speaks for the numbers, and against them."""

from collections.abc import Iterator

from cudagraph_lab.engine.graph_modes import asks_for_graphs
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    OUTPUTS_DIFFERING,
    REPLAYED_SHARE,
    SPREAD_BETWEEN,
    SPREAD_NODES,
)
from cudagraph_lab.ledger.index import Index, having, ratios, with_quantity
from cudagraph_lab.ledger.selection import differs_from_itself
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, batches, noted
from cudagraph_lab.report.phrases import title, titles
from cudagraph_lab.report.sections.conditions import conditions, notes_and_warnings, prose
from cudagraph_lab.report.sections.raw_calls import raw_calls
from cudagraph_lab.report.sections.residence import co_residence
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Section

LISTED = 4  # data sets that stand open; the others are folded


def trust(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Resolution, proof of replay, order, conditions, failures."""
    heading = "Can I trust it?"
    datasets = index.main
    if not datasets:
        none: list[Block] = [Paragraph(("There is nothing to trust or to doubt: no data set.",))]
        return Section("trust", "Trust", heading, none)
    checked = [*_spread(index), *_replay(index), *_outputs(index), *co_residence(index)]
    blocks: list[Block] = [
        Paragraph(
            (
                Strong(("How small an effect could be seen?",)),
                " An arm against itself should come out at one. What lies inside its interval "
                "cannot be told from noise",
                "; the first picture shows it in grey." if having(index, "a_a") else ".",
            )
        ),
        Bullets(list(_resolution(index))),
        *_unseen(index),
        *raw_calls(index),
        Paragraph((Strong(("What was checked:",)),)),
        Bullets(checked),
    ]
    alike: dict[str, list[Dataset]] = {}
    for d in datasets:
        if d.caveat:
            alike.setdefault(d.caveat, []).append(d)
    caveats = [
        say("{names}: {text}", names=Strong(titles(index, of, "; ")), text=prose(text))
        for text, of in alike.items()
    ]
    simulated = [
        say(
            "{name}: simulated, not measured. Every number of it comes from a program.",
            name=Strong((title(index, d),)),
        )
        for d in datasets
        if d.kind == "simulated"
    ]
    lacking = [line for d in datasets for line in _lacking(index, d)]
    for words, lines in (
        ("Know before you believe a number:", simulated + caveats),
        ("Arms without numbers:", lacking),
    ):
        if lines:
            rest = lines[2 * LISTED :]
            blocks += [Paragraph((words,)), Bullets(lines[: 2 * LISTED])]
            blocks += [Fold(("More of them",), [Bullets(rest)])] if rest else []
    rows = conditions(index)
    blocks.append(Fold(rows.caption, [rows]) if len(datasets) > LISTED + 1 else rows)
    blocks += notes_and_warnings(index)
    return Section("trust", "Trust", heading, blocks)


def _unseen(index: Index) -> list[Block]:
    """What no number of the page speaks of."""
    measured = [d for d in index.ledger.datasets if d.kind == "measured"]
    if not measured:
        return []
    unseen = [
        "a service under load, since every call is one batch that starts together",
        "your host, since graphs save the host’s work and a quicker host has less to save",
    ]
    if all(d.weights == "dummy" for d in measured):
        unseen.insert(0, "trained weights, since all were random, and so are the texts")
    what = Strong(("What it cannot see:",))
    return [Paragraph(say("{what} {all}.", what=what, all=join(unseen, "; ", "; and ")))]


def _resolution(index: Index) -> Iterator[Line]:
    for dataset in having(index, "a_a"):
        numbers = ratios(index, dataset.name, "a_a")
        widest = max(numbers, key=lambda size: _width(numbers[size]))
        doubt: Line = ()
        if apart := differs_from_itself(index, dataset.name):
            doubt = say(
                " At batch {at} the arm differs from itself by more than chance, so doubt "
                "the numbers of that batch size.",
                at=batches(apart),
            )
        yield say(
            "{name}: {x} at batch {size}, where it is least precise.{doubt}",
            name=title(index, dataset),
            size=batch(widest),
            x=noted(index, numbers[widest]),
            doubt=doubt,
        )
    if without := [d for d in index.main if d not in having(index, "a_a")]:
        yield say(
            "{names}: no arm was run against itself, so the noise is not known.",
            names=titles(index, without),
        )


def _width(number: Number) -> float:
    if number.low is None or number.high is None or number.low <= 0:
        return 0.0
    return number.high / number.low


def _replay(index: Index) -> Iterator[Line]:
    """The least share of steps replayed where graphs were asked for, the most where not."""
    asked: list[Number] = []
    unasked: list[Number] = []
    for dataset in index.main:
        for number in with_quantity(index, dataset.name, REPLAYED_SHARE):
            arm = dataset.arms.get(str(number.id.arm))
            if arm is None or arm.purpose != "timed":
                continue
            if "FULL" in (arm.resolved or ""):
                asked.append(number)
            elif asks_for_graphs(arm.engine_args, arm.vllm) == "no":
                unasked.append(number)
    if asked:
        least = min(asked, key=lambda n: float(n.value or 0))
        yield say(
            "{what} vLLM reports the mode of every step. The arm with full graphs that "
            "replayed them least did so in {x} of its steps ({arm}, {name}).",
            what=Strong(("Were graphs really replayed?",)),
            x=noted(index, least),
            arm=Code(str(least.id.arm)),
            name=title(index, least.dataset),
        )
    if unasked:
        most = max(unasked, key=lambda n: float(n.value or 0))
        yield say(
            "The arm without graphs that replayed them most did so in {x} of its steps.",
            x=noted(index, most),
        )
    if not asked and not unasked:
        yield ("Whether graphs were really replayed was not observed.",)


def _spread(index: Index) -> Iterator[Line]:
    """How far repeats differ at most, and nodes where there were several."""
    for quantity, words in (
        (SPREAD_BETWEEN, "Repeats of one arm"),
        (SPREAD_NODES, "The means of an arm on different devices or machines"),
    ):
        by_dataset = [with_quantity(index, d.name, quantity) for d in index.main]
        largest = [max(some, key=lambda n: float(n.value or 0)) for some in by_dataset if some]
        shown = [
            say("{x} ({name})", x=noted(index, n, interval=False), name=title(index, n.dataset))
            for n in largest[:LISTED]
        ]
        if shown:
            yield say(
                "{what} differ, in the arm and batch size where they differ most, by {all}.",
                what=Strong((words,)),
                all=join(shown),
            )


def _outputs(index: Index) -> Iterator[Line]:
    numbers = [n for d in index.main for n in with_quantity(index, d.name, OUTPUTS_DIFFERING)]
    if not numbers:
        return
    what = Strong(("Do all arms write the same tokens?",))
    worst = max(numbers, key=lambda n: float(n.value or 0))
    if worst.value:
        yield say(
            "{what} No: {x} differ at batch {size} on {name}.",
            what=what,
            x=noted(index, worst),
            size=batch(int(worst.id.batch)),
            name=title(index, worst.dataset),
        )
    else:
        yield say(
            "{what} Yes, in every data set and at every batch size. With random weights "
            "that is weak evidence ({note}).",
            what=what,
            note=Exempt(worst.note or ""),
        )


def _lacking(index: Index, dataset: Dataset) -> list[Line]:
    return [
        say(
            "{name}, {arm}: {status}{why}.",
            name=title(index, dataset),
            arm=Code(arm),
            status=Strong((Exempt(facts.status.replace("_", " ")),)),
            why=say(", {reason}", reason=Exempt(facts.reason)) if facts.reason else (),
        )
        for arm, facts in dataset.arms.items()
        if facts.status != "ok"
    ]
