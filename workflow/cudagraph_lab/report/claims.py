"""Predictions by family: who claimed what kind of thing, and what came of it."""

from collections import Counter
from dataclasses import dataclass, replace

from cudagraph_lab.config.contrast import Role
from cudagraph_lab.design.predictions import FORECAST, LAB, predicted_by
from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.ledger.verdicts import VERDICTS, Verdict

# Who predicted, by the first word of a prediction's id; a sentence opens with the second, "that"
# follows.
SPEAKERS: dict[str, tuple[str, str]] = {
    LAB: ("the course lab", "the course lab said"),
    "claim": ("the course lab", "the course lab said"),
    "vllm": ("vLLM’s own rules", "vLLM’s own rules say"),
    "code": ("vLLM’s source code", "vLLM’s source code says"),
    "expect": ("our expectation", "we expected"),
    "trial": (
        "a trial on the same kind of device",
        "after a trial on the same kind of device, we expected",
    ),
    "model": ("our extrapolation", "our extrapolation said"),
    "extrapolation": ("our extrapolation", "our extrapolation said"),
    "shipped": (
        "earlier runs on the same kind of device",
        "after earlier runs on the same kind of device, we expected",
    ),
    FORECAST: ("our step model", "our step model forecast"),
    "step-model": ("our step model", "our step model said"),
    "backtest": ("our step model", "our step model says"),
    "transfer": (
        "carried over from another device",
        "after runs on another device, we expected",
    ),
    "upgrade": (
        "“an upgrade changes nothing”",
        "we took an upgrade to change nothing, so",
    ),
}
ROLE_WORDS: dict[Role, str] = {
    "primary": "graphs and compilation together",
    "graph": "graphs alone",
    "compile": "compilation alone",
    "a_a": "an arm against itself",
    "co_resident": "an arm in turn over the same arm alone",
    "observer": "an arm without vLLM’s statistics",
    "piecewise": "piecewise graphs over the default",
    "graph_compiled": "graphs on compiled code",
    "graph_uncompiled": "graphs without compilation",
    "compile_graphed": "compilation beside graphs",
    "compile_ungraphed": "compilation without graphs",
    "upgrade": "one version of vLLM over another",
    "other": "another contrast",
}
# What a reader wants to know first, and in which words.
IMPORTANT: dict[Quantity, str] = {
    catalogue.NO_INVERSION: "never slower at any batch size",
    catalogue.FADE: "the gain falls steadily with the batch",
    catalogue.RATIO: "speed-up",
    catalogue.CAPTURE_S: "seconds of capture",
    catalogue.CAPTURE_GIB: "memory of the graphs",
    catalogue.REPLAYED_SHARE: "which steps replay a full graph",
    catalogue.SHAPES_PIECEWISE: "sizes captured piecewise",
    catalogue.SHAPES_FULL: "sizes captured in full",
    catalogue.SPREAD_BETWEEN: "spread between processes",
    catalogue.KERNELS: "kernels a step",
}


@dataclass(frozen=True)
class Claims:
    """A family: one speaker's predictions of one quantity and role."""

    prefix: str
    quantity: Quantity
    role: Role | None
    pairs: list[tuple[Number, Judged]]

    @property
    def key(self) -> str:
        """What tells the family from the others, as counts on the page name it."""
        return key_of(self.prefix, self.quantity, self.role)

    @property
    def speaker(self) -> str:
        """Who predicted."""
        return SPEAKERS.get(self.prefix, (self.prefix, ""))[0]

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        words = IMPORTANT.get(self.quantity, self.quantity.label)
        return f"{words}, {ROLE_WORDS[self.role]}" if self.role else words

    @property
    def counts(self) -> Counter[Verdict]:
        """How many ended in each verdict."""
        return Counter(judged.verdict for _, judged in self.pairs)

    @property
    def worst(self) -> Verdict:
        """The verdict that a reader should see first."""
        return next(verdict for verdict in VERDICTS if self.counts[verdict])

    @property
    def refuted(self) -> list[tuple[Number, Judged]]:
        """Those that the data refuted, other than the data that they were read from."""
        return [pair for pair in self.tested if pair[1].verdict == "refuted"]

    @property
    def alike(self) -> bool:
        """Whether all of them say the same."""
        said = {(p.low, p.high, isinstance(p.value, bool) and p.value) for _, p in self.pairs}
        return len(said) == 1

    @property
    def tested(self) -> list[tuple[Number, Judged]]:
        """Those that were measured and that the data could have refuted."""
        return [
            (number, judged)
            for number, judged in self.pairs
            if judged.verdict != "not measured" and not judged.in_sample
        ]


def key_of(prefix: str, quantity: Quantity, role: Role | None = None) -> str:
    """What tells a family from the others, as counts on the page name it."""
    return f"{prefix}|{quantity.template}|{role or ''}"


def importance(claims: Claims) -> tuple[int, bool]:
    """The place of a family among what a reader wants to know first."""
    order = list(IMPORTANT)
    place = order.index(claims.quantity) if claims.quantity in order else len(order)
    return place, claims.role != "primary"


def lab_first(claims: Claims) -> tuple[bool, tuple[int, bool]]:
    """The place of a family where the course lab's claims come first, then the important ones."""
    return claims.speaker != SPEAKERS[LAB][0], importance(claims)


def families(index: Index) -> list[Claims]:
    """All families, those with refuted predictions first."""
    found: dict[tuple[str, Quantity, Role | None], list[tuple[Number, Judged]]] = {}
    for number in index.ledger.numbers:
        key = number.id
        role: Role | None = None
        if key.contrast and number.dataset in index.datasets:
            contrast = index.datasets[number.dataset].contrasts.get(key.contrast)
            role = contrast.role if contrast else "other"
        for judged in number.predictions:
            prefix = predicted_by(judged.id)
            found.setdefault((prefix, key.quantity, role), []).append((number, judged))
    claims = [Claims(*key, pairs) for key, pairs in found.items()]
    return sorted(claims, key=lambda family: VERDICTS.index(family.worst))


def told_first(index: Index) -> list[Claims]:
    """The families of what was measured here, with these numbers alone; all where there is none."""
    here, found = index.ledger.measured_here, families(index)
    own = [
        replace(family, pairs=pairs)
        for family in found
        if (pairs := [pair for pair in family.pairs if pair[0].dataset in here])
    ]
    own.sort(key=lambda family: VERDICTS.index(family.worst))
    return own if any(family.tested for family in own) else found


def width_words(claims: Claims) -> str:
    """How much a family's bounds would have let through, in words."""
    finite = [
        (judged.low, judged.high)
        for _, judged in claims.pairs
        if judged.low is not None and judged.high is not None
    ]
    if any(isinstance(judged.value, bool) for _, judged in claims.pairs):
        return "yes or no"
    if not finite:
        return "one-sided"
    if all(low == high for low, high in finite):
        return "exact"
    if any(low <= 0 for low, _ in finite):
        return "from zero up"
    widest = max(high / low for low, high in finite)
    return "narrow" if widest <= 1.25 else "medium" if widest <= 2 else "wide"
