"""What to set, by rule from the intervals of one contrast."""

from dataclasses import dataclass
from typing import Literal

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.engine.graph_modes import asks_for_graphs
from cudagraph_lab.ledger.catalogue import NO_INVERSION, RATIO
from cudagraph_lab.ledger.index import Index, find, short_title, with_quantity
from cudagraph_lab.report.markup import Exempt, Line, Strong, say
from cudagraph_lab.report.numbers import batches

Action = Literal["on", "points_on", "off", "cannot_tell", "cpu", "unmeasured", "nothing"]


@dataclass(frozen=True)
class Advice:
    """What to set, and the batch sizes that decide it."""

    action: Action
    batches: list[int]


def graphs_against_none(index: Index, dataset: str) -> str | None:
    """A measured contrast of an arm with graphs over one without; the primary one first."""
    facts = index.datasets[dataset]
    measured = {number.id.contrast for number in with_quantity(index, dataset, RATIO)}

    def fits(contrast: Contrast) -> bool:
        sides = [facts.arms.get(contrast.numerator), facts.arms.get(contrast.denominator)]
        with_graphs = [
            arm is not None and asks_for_graphs(arm.engine_args, arm.vllm) != "no" for arm in sides
        ]
        return facts.platform == "cuda" and None not in sides and with_graphs == [True, False]

    fitting = [
        (contrast.role not in ("primary", "graph"), contrast.role != "primary", name)
        for name, contrast in facts.contrasts.items()
        if name in measured and fits(contrast)
    ]
    return min(fitting)[2] if fitting else None


def advise(index: Index, dataset: str) -> Advice:
    """What to set: `on` needs every interval above 1 and a verdict that leaves no doubt.

    A single observation only ever points. An interval that lies below 1 at any batch size says
    `off`, for those batch sizes.
    """
    facts = index.datasets[dataset]
    contrast = graphs_against_none(index, dataset)
    if contrast is None:
        counts = any(arm.status == "ok" for arm in facts.arms.values())
        if not counts or not any(
            n.value is not None for n in index.ledger.numbers if n.dataset == dataset
        ):
            return Advice("nothing", [])
        return Advice("cpu" if facts.platform == "cpu" else "unmeasured", [])
    numbers = {
        int(n.id.batch): n
        for n in with_quantity(index, dataset, RATIO)
        if n.id.contrast == contrast
    }
    below = [size for size, n in numbers.items() if n.high is not None and n.high < 1]
    if below:
        return Advice("off", below)
    if all(number.n == 1 for number in numbers.values()):
        slower = [size for size, n in numbers.items() if float(n.value or 0) <= 1]
        return Advice("cannot_tell", slower) if slower else Advice("points_on", list(numbers))
    unsettled = [size for size, n in numbers.items() if n.low is None or n.low <= 1]
    claim = find(index, dataset, NO_INVERSION(contrast=contrast))
    doubted = claim is not None and any(
        p.verdict in ("inconclusive", "refuted") for p in claim.predictions
    )
    if unsettled or doubted:
        return Advice("cannot_tell", unsettled)
    return Advice("on", list(numbers))


def advice_sentence(index: Index, dataset: str) -> Line:
    """What to set for one data set."""
    advice = advise(index, dataset)
    name = Exempt(short_title(index, index.datasets[dataset]))
    at = batches(advice.batches)
    match advice.action:
        case "on":
            return say(
                "{what} On {name} every interval shows a gain, at every batch size ({at}).",
                what=Strong(("Leave graphs on.",)),
                name=name,
                at=at,
            )
        case "points_on":
            return say("{name}: single observations point to leaving graphs on.", name=name)
        case "off":
            return say(
                "{what} On {name} the arm with graphs was slower at batch {at}.",
                what=Strong(("Measure before you leave graphs on.",)),
                name=name,
                at=at,
            )
        case "cannot_tell" if advice.batches:
            return say(
                "{name}: not settled; the interval includes no gain at batch {at}.",
                name=name,
                at=at,
            )
        case "cannot_tell":
            return say("{name}: not settled; whether graphs ever hurt is open.", name=name)
        case "cpu":
            return say("{name}: CUDA graphs do not exist on a CPU.", name=name)
        case "unmeasured":
            return say("{name}: graphs were not measured against an arm without.", name=name)
        case "nothing":
            return say("{name}: no arm has a number that counts.", name=name)
