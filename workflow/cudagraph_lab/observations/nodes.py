"""Which arms ran on which nodes: a contrast between nodes holds their difference too."""

from collections.abc import Mapping

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.records.record import Record


def nodes_of(records: list[Record]) -> dict[str, dict[str, list[int]]]:
    """Where each repeat of each arm ran: {host and device: {arm: its repeats}}.

    Both as the records know them, hashed; records that name no host are left out.
    """
    nodes: dict[str, dict[str, list[int]]] = {}
    for record in sorted(records, key=lambda record: (record.arm, record.repeat)):
        where = record.environment
        if where.host is None:
            continue
        node = f"{where.host}/{where.device_id}" if where.device_id else where.host
        nodes.setdefault(node, {}).setdefault(record.arm, []).append(record.repeat)
    return nodes


def apart(
    nodes: Mapping[str, Mapping[str, list[int]]], contrasts: Mapping[str, Contrast]
) -> list[str]:
    """One line per contrast whose two arms did not run on the same nodes, so that it holds
    their difference as well; an arm that was not measured is not apart.
    """
    lines = []
    for name, contrast in contrasts.items():
        on = [
            {node for node, arms in nodes.items() if side in arms}
            for side in (contrast.numerator, contrast.denominator)
        ]
        if all(on) and on[0] != on[1]:
            how = "never ran on the same node" if not on[0] & on[1] else "ran on different nodes"
            some = "some repeats of " if on[0] & on[1] else ""
            lines.append(
                f"{name}: {some}{contrast.numerator} and {contrast.denominator} {how}, "
                "so that their ratio holds the difference between the nodes too"
            )
    return lines
