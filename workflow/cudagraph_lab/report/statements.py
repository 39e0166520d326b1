"""Predictions as sentences: who said what of a number, and what was measured instead."""

from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.index import Index, short_model, short_title
from cudagraph_lab.ledger.quantity import Quantity
from cudagraph_lab.report.claims import ROLE_WORDS, SPEAKERS, Claims
from cudagraph_lab.report.markup import Code, Exempt, Line, say
from cudagraph_lab.report.numbers import batch, bounds

# What is said of a quantity: {b} are the bounds, {role} is what the contrast compares.
CLAIMS: dict[Quantity, str] = {
    catalogue.NO_INVERSION: "with {role}, decoding is never slower, at any batch size",
    catalogue.FADE: "the gain of {role} falls steadily as the batch grows",
    catalogue.RATIO: "the speed-up of {role} is {b}",
    catalogue.STEP_RATIO: "{role} make a decode step {b} as fast",
    catalogue.SPREAD_BETWEEN: "repeats of one arm differ by {b}",
    catalogue.POSITION_OF_B8: "the gain at batch {middle} lies {b} of the way from that at batch "
    "{large} to that at batch {small}",
    catalogue.PASSES: "capture takes {b}",
    catalogue.PASSES_OF_ARM: "capture takes {b}",
    catalogue.GRAPHS_OF_ARM: "vLLM captures {b}",
    catalogue.LAUNCH_BREAK_EVEN: "capture pays, in launches, at {b}",
    catalogue.CAPTURE_TAX: "captures at restarts cost {b}",
    catalogue.ACCEPTED_SHARE: "{b} of the drafted tokens are accepted",
    catalogue.PADDED_TOKENS: "a step is padded to {b}",
    catalogue.ENERGY: "a token takes {b}",
    catalogue.LAUNCHES: "a step needs {b}",
    catalogue.BUSY_S: "the GPU works {b} a step",
    catalogue.CAPTURE_S: "capture takes {b}",
    catalogue.CAPTURE_GIB: "the graphs take {b}",
    catalogue.SHAPES_PIECEWISE: "vLLM captures {b} piecewise",
    catalogue.SHAPES_FULL: "vLLM captures {b} in full",
    catalogue.REPLAYED_SHARE: "{b} of steps replay a full graph",
    catalogue.DRAFT_REPLAYED_SHARE: "{b} of the draft’s passes replay a graph",
    catalogue.KERNELS: "a step runs {b}",
    catalogue.GRAPH_LAUNCHES: "a step needs {b} for replays",
    catalogue.LAUNCH_SPEED_UP: "fewer launches can gain at most {b}",
    catalogue.US_PER_LAUNCH: "a launch costs {b}",
    catalogue.STEP: "a decode step takes {b}",
    catalogue.BACKTEST: "a published speed-up is {b}",
    catalogue.TOKENS_TO_PAY: "a speculative step must yield {b} to pay",
    catalogue.NEEDED_IN_EAGER: "eager needs {b} the tokens that graphs need to pay",
    catalogue.GRAPHS_NEED_LESS: "speculation needs fewer tokens to pay with graphs than in eager",
    catalogue.UPGRADE_FIRST_TOKEN: "the newer version’s first token takes {b} the older’s time",
    catalogue.UPGRADE_CAPTURE_GIB: "the newer version’s graphs take {b} the older’s memory",
    catalogue.UPGRADE_KV_TOKENS: "the newer version’s KV cache is {b} the older’s",
}


def said(prefix: str) -> str:
    """Who said it, as the opening of a sentence."""
    _, opening = SPEAKERS.get(prefix, (prefix, f"{prefix} said"))
    return opening if opening.startswith("vLLM") else opening[:1].upper() + opening[1:]


def clause(index: Index, claims: Claims, pair: tuple[Number, Judged], model: bool = True) -> Line:
    """What a family of predictions says, with the bounds of one of them.

    One that is of a single batch size says so, and of which model unless `model` is false.
    """
    number, judged = pair
    template = CLAIMS.get(claims.quantity, "{subject} is {b}")
    line = say(
        template,
        b=bounds(number, judged),
        subject=Exempt(claims.subject, "claim"),
        role=ROLE_WORDS[claims.role] if claims.role else "",
        small=batch(1),
        middle=batch(8),
        large=batch(64),
    )
    if one_batch(claims, judged):
        line += say(" at batch {size}", size=batch(int(number.id.batch)))
        if model and number.dataset in index.datasets:
            name = short_model(index.datasets[number.dataset])
            line += say(" for {model}", model=Exempt(name))
    return line


def one_batch(claims: Claims, judged: Judged) -> bool:
    """Whether a prediction is of one batch size, which then belongs to what it says."""
    sizes = {number.id.batch for number, other in claims.pairs if other.id == judged.id}
    return len(sizes - {None}) == 1


def place(index: Index, number: Number, title: bool = True, size: bool = True) -> Line:
    """Where a number was measured: its arm and, if wanted, its batch size and data set."""
    key = number.id
    line: Line = ()
    if key.arm:
        line += say(" for {arm}", arm=Code(str(key.arm)))
    if key.pair or key.model:
        line += say(" for {name}", name=Exempt(str(key.pair or key.model), "key"))
    if size and key.batch is not None:
        line += say(" at batch {size}", size=batch(int(key.batch)))
    if title and number.dataset in index.datasets:
        name = short_title(index, index.datasets[number.dataset])
        line += say(" ({name})", name=Exempt(name))
    return line


def distance(number: Number, judged: Judged) -> float:
    """How far a refuted number surely lies outside the bounds, as a factor; 1 at the bound."""
    if isinstance(judged.value, bool) or number.value is None:
        return 1.0
    low, high = (
        float(number.value) if end is None else float(end) for end in (number.low, number.high)
    )
    if judged.high is not None and low > judged.high:
        return low / judged.high if judged.high > 0 else float("inf")
    if judged.low is not None and high < judged.low:
        return judged.low / high if high > 0 else float("inf")
    return 1.0


def farthest(pairs: list[tuple[Number, Judged]]) -> tuple[Number, Judged]:
    """Of refuted predictions the one that the measurement is farthest from."""
    return max(pairs, key=lambda pair: distance(*pair))
