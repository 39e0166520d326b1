"""The answer in at most three sentences, for the end of a call in a terminal."""

from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.selection import leading_role
from cudagraph_lab.report.advice import advise
from cudagraph_lab.report.markup import Line, say
from cudagraph_lab.report.sections.answer import NO_DATASET, advised, what_to_set
from cudagraph_lab.report.sections.headline import headline
from cudagraph_lab.report.sections.outcome import first_held


def short_answer(index: Index) -> list[Line]:
    """What graphs bring, the first claim that held and, where there are graphs, what to set."""
    if not index.main:
        return [NO_DATASET]
    said = [
        headline(index, leading_role(index), short=True),
        say("Held: {claim}", claim=first_held(index)),
    ]
    if any(advise(index, name).action != "cpu" for name in advised(index)):
        said.append(say("Set: {advice}", advice=what_to_set(index)))
    return said
