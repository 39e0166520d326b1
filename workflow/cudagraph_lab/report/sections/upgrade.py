"""What an upgrade of vLLM changed, where two versions were measured in one data set."""

from collections.abc import Iterator

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    GRAPHS_OF_ARM,
    RATIO,
    UPGRADE_CAPTURE_GIB,
    UPGRADE_FIRST_TOKEN,
    UPGRADE_KV_TOKENS,
    UPGRADE_STARTUP,
)
from cudagraph_lab.ledger.index import Index, ratios, value_at, with_quantity
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Chip, Code, Exempt, Line, join, say
from cudagraph_lab.report.numbers import batches, bounds, label, noted, value, worst
from cudagraph_lab.report.phrases import NONE, at_batch, bullets, table, title
from cudagraph_lab.report.view import Block, Fold, Paragraph, Section, Table

FOLDED = (  # beside the speeds, which all stand open
    UPGRADE_FIRST_TOKEN,
    UPGRADE_STARTUP,
    UPGRADE_CAPTURE_GIB,
    UPGRADE_KV_TOKENS,
)
HOW = (
    "Each version ran in processes of its own, in turn on one device where the design says so. A "
    "ratio is that of the newer version over the older one, of speed, seconds or bytes. Predicted "
    "is no change, so that a refuted ratio is a change."
)

# A version may keep its weights in a layout of its own, in which other values are drawn.
DRAWN = ", as random weights of two versions may"


def upgrade(index: Index, drawings: dict[str, Drawing]) -> Section | None:
    """Speed, first token, start-up, memory and outputs of two versions; None where none are."""
    shown = [d for d in index.ledger.datasets if d in index.main or d.series == "upgrade"]
    found = [d for d in shown if ratios(index, d.name, "upgrade")]
    if not found:
        return None
    blocks: list[Block] = []
    for dataset in found:
        blocks += [_speeds(index, dataset), *bullets(_lines(index, dataset))]
    blocks.append(Paragraph((HOW,), small=True))
    for dataset in found:
        caption: Line = (title(index, dataset), ": the other ratios of the versions")
        blocks.append(Fold(caption, [_table(index, dataset, caption)]))
    return Section("upgrade", "Upgrade", "Did the upgrade change it?", blocks)


def _upgrades(dataset: Dataset) -> list[tuple[str, Contrast]]:
    return [(name, one) for name, one in dataset.contrasts.items() if one.role == "upgrade"]


def _speeds(index: Index, dataset: Dataset) -> Table:
    """Speed by batch size, first token and outputs, a row for each pair of arms."""
    rows: list[list[Line]] = []
    for name, contrast in _upgrades(dataset):
        speeds, first = (_of(index, dataset, name, q) for q in (RATIO, UPGRADE_FIRST_TOKEN))
        if not speeds:
            continue
        new, old = (_arm(dataset, arm) for arm in (contrast.numerator, contrast.denominator))
        rows.append(
            [
                say("{new} over {old}", new=new, old=old),
                join([at_batch(index, number) for number in speeds]),
                at_batch(index, first[0]) if first else NONE,
                _outputs(dataset, contrast) or NONE,
            ]
        )
    return table((title(index, dataset),), ["arms", "speed", "first token", "outputs"], rows)


def _lines(index: Index, dataset: Dataset) -> Iterator[Line]:
    """Start-up, memory and graphs, where they were measured."""
    for name, contrast in _upgrades(dataset):
        if parts := [*_start(index, dataset, name), *_graphs(index, dataset, contrast)]:
            new = _arm(dataset, contrast.numerator)
            yield say("{new} against the older: {parts}.", new=new, parts=join(parts))


def _arm(dataset: Dataset, arm: str) -> Line:
    version = dataset.arms[arm].vllm if arm in dataset.arms else None
    return say(
        "{arm} on {version}", arm=Code(arm), version=Exempt(version or "an unrecorded version")
    )


def _start(index: Index, dataset: Dataset, name: str) -> list[Line]:
    compared = [
        *((UPGRADE_STARTUP(phase=phase, contrast=name), phase) for phase in ("boot", "capture")),
        (UPGRADE_CAPTURE_GIB(contrast=name), "memory of the graphs"),
        (UPGRADE_KV_TOKENS(contrast=name), "KV cache"),
    ]
    return [
        say("{what} {x}", what=words, x=noted(index, number))
        for name_of, words in compared
        if (number := value_at(index, dataset.name, name_of))
    ]


def _graphs(index: Index, dataset: Dataset, contrast: Contrast) -> list[Line]:
    new, old = (
        value_at(index, dataset.name, GRAPHS_OF_ARM(arm=arm))
        for arm in (contrast.numerator, contrast.denominator)
    )
    if new is None or old is None:
        return []
    return [say("{new} captured, by the older {old}", new=noted(index, new), old=noted(index, old))]


def _outputs(dataset: Dataset, contrast: Contrast) -> Line:
    """At which batch sizes both arms wrote the same tokens."""
    pair = {contrast.numerator, contrast.denominator}
    compared = [one for one in dataset.outputs if pair <= set(one.arms)]
    same = [one.batch for one in compared if any(pair <= set(arms) for arms in one.alike)]
    other = [one.batch for one in compared if one.batch not in same]
    if not compared:
        return ()
    if not other:
        return ("the same",)
    drawn = DRAWN if dataset.weights != "hub" else ""
    return say("differ at batch {sizes}{drawn}", sizes=batches(other), drawn=drawn)


def _table(index: Index, dataset: Dataset, caption: Line) -> Table:
    rows: list[list[Line]] = [
        [
            label(index, number),
            value(number),
            bounds(number, number.predictions[0]) if number.predictions else NONE,
            (Chip(verdict),) if (verdict := worst(number)) else ("not predicted",),
        ]
        for name, _ in _upgrades(dataset)
        for quantity in FOLDED
        for number in _of(index, dataset, name, quantity)
    ]
    return table(caption, ["what", "newer over older", "predicted", "verdict"], rows)


def _of(index: Index, dataset: Dataset, contrast: str, quantity: Quantity) -> list[Number]:
    """The numbers of a quantity and contrast that have a value."""
    return [
        number
        for number in with_quantity(index, dataset.name, quantity)
        if number.id.contrast == contrast
    ]
