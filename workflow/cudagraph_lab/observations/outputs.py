"""Whether the arms of a data set wrote the same tokens."""

from pydantic import Field

from cudagraph_lab.forms import Form
from cudagraph_lab.records.call import Cell
from cudagraph_lab.records.record import Record


class Outputs(Form):
    """Whether all timed arms wrote the same greedy tokens at one batch size."""

    batch: int
    arms: list[str]  # those compared, the reference first
    differing: dict[str, str]  # arm to where its first request forks from the reference's
    alike: list[list[str]] = Field([])  # arms that wrote the same in all requests of all repeats
    distinct_tokens: int  # in the reference's first request: few make equality weak evidence


def compare_outputs(records: list[Record]) -> list[Outputs]:
    """Compare the greedy outputs of all arms, batch by batch, with the first arm's by name.

    An arm differs where any request of any of its repeats does; batches without kept
    outputs are left out.
    """
    by_batch: dict[int, list[tuple[str, Cell]]] = {}
    for record in sorted(records, key=lambda record: (record.arm, record.repeat)):
        for cell in record.cells:
            if cell.output_sha256 and cell.output_token_ids:
                by_batch.setdefault(cell.batch, []).append((record.arm, cell))
    compared = []
    for batch, cells in sorted(by_batch.items()):
        _, reference = cells[0]
        tokens = (reference.output_token_ids or [[]])[0]
        differing: dict[str, str] = {}
        for arm, cell in cells[1:]:
            if cell.output_sha256 == reference.output_sha256 or arm in differing:
                continue
            own = (cell.output_token_ids or [[]])[0]
            fork = next((i for i, pair in enumerate(zip(tokens, own, strict=False), 1)
                         if pair[0] != pair[1]), None)  # fmt: skip
            differing[arm] = (
                f"at token {fork} of the first request"
                if fork
                else ("in another request than the first, whose tokens are not kept")
            )
        compared.append(
            Outputs(
                batch=batch,
                arms=list(dict.fromkeys(arm for arm, _ in cells)),
                differing=differing,
                alike=_alike(cells),
                distinct_tokens=len(set(tokens)),
            )
        )
    return compared


def _alike(cells: list[tuple[str, Cell]]) -> list[list[str]]:
    """The arms in groups of equal outputs; an arm whose repeats differ is equal to none."""
    written: dict[str, set[tuple[str, ...]]] = {}
    for arm, cell in cells:
        written.setdefault(arm, set()).add(tuple(cell.output_sha256 or ()))
    groups: dict[tuple[str, ...], list[str]] = {}
    for arm, outputs in written.items():
        if len(outputs) == 1:
            groups.setdefault(next(iter(outputs)), []).append(arm)
    return list(groups.values())
