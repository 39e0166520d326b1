"""Every call of the arms that are compared, before any mean."""

from cudagraph_lab.ledger.index import Index, short_title
from cudagraph_lab.ledger.selection import leading_role
from cudagraph_lab.report.markup import Exempt, Strong
from cudagraph_lab.report.strip import strip, strip_arms, strip_words
from cudagraph_lab.report.view import Block, Paragraph, Strips

SHOWN = 4  # data sets


def raw_calls(index: Index) -> list[Block]:
    """The calls of the leading contrast over time, a strip a data set."""
    role = leading_role(index)
    strips = []
    for dataset in index.main:
        if role and (arms := strip_arms(index, dataset, role)):
            name = Exempt(short_title(index, dataset))
            words = (Exempt(strip_words(index, dataset, arms)),)
            strips.append(((name,), words, strip(dataset, arms)))
    if not strips:
        return []
    lead = Paragraph(
        (
            Strong(("Every timed call at the smallest batch size, in the order of time.",)),
            " A dot is one call, its height the tokens a second. Where the dots of all arms rise "
            "and fall together, the host changed; where those of one arm alone do, that arm did.",
        )
    )
    return [lead, Strips(strips[:SHOWN])]
