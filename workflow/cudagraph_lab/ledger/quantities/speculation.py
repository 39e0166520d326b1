"""What speculation costs a step, and what it must yield to pay.

A step of speculative decoding drafts k tokens and verifies them, and yields 1 to 1 + k tokens to
a request. It pays where it yields more tokens than it takes plain steps.
"""

from collections.abc import Iterator

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger.catalogue import CAN_PAY, GRAPHS_NEED_LESS, NEEDED_IN_EAGER, TOKENS_TO_PAY
from cudagraph_lab.ledger.cells import NOT_RUN, missing_of
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.results import Result, absent, contrasted
from cudagraph_lab.ledger.speculation_pairs import drafted
from cudagraph_lab.ledger.throughputs import Throughputs, compared, sample_of_arms
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.shapes import ratio_samples


def speculating(dataset: Dataset) -> dict[str, tuple[str, str]]:
    """By name, the contrasts of role speculation: the speculating arm and the plain one."""
    return {
        name: (contrast.numerator, contrast.denominator)
        for name, contrast in dataset.contrasts.items()
        if contrast.role == "speculation"
    }


def speculation_results(dataset: Dataset, known: Throughputs) -> Iterator[Result]:
    """Tokens to pay of every speculating arm and batch size, and whether graphs make them fewer.

    `known` holds rates of decode steps, see `read_throughputs` with `decode_alone`.
    """
    pairs = speculating(dataset)
    for arm, plain in pairs.values():
        yield from _of_pair(dataset, arm, plain, known)
    primary = next((c for c in dataset.contrasts.values() if c.role == "primary"), None)
    if primary is not None:
        eager = next((arm for arm, plain in pairs.values() if plain == primary.denominator), None)
        graphs = [arm for arm, plain in pairs.values() if plain == primary.numerator]
        for arm in graphs if eager is not None else []:
            arms = (str(eager), primary.denominator, arm, primary.numerator)
            yield from _against_eager(dataset, arms, known)


def _of_pair(dataset: Dataset, arm: str, plain: str, known: Throughputs) -> Iterator[Result]:
    sides = compared(dataset, Contrast(numerator=plain, denominator=arm), known)
    if sides is None:
        reason = missing_of(dataset, arm, plain) or NOT_RUN
        yield from (absent(TOKENS_TO_PAY(arm=arm, batch=b), reason) for b in dataset.batch_sizes)
        return
    arms, most = [*sides.denominator, *sides.numerator], drafted(dataset, arm)
    for batch, sample in ratio_samples(sides).items():
        needed = contrasted(TOKENS_TO_PAY(arm=arm, batch=batch), sample, known.ratio_priors, arms)
        yield needed
        if most is not None:
            note = f"a step yields at most {1 + most} tokens to a request"
            yield _claim(CAN_PAY(arm=arm, batch=batch), needed, 1.0 + most, note)


def _against_eager(
    dataset: Dataset, arms: tuple[str, str, str, str], known: Throughputs
) -> Iterator[Result]:
    """Tokens to pay in eager over those with graphs; above 1 graphs make speculation cheaper."""
    # Rates: plain over speculative in eager, over the same with graphs.
    weights = dict(zip(arms, (-1.0, 1.0, 1.0, -1.0), strict=True))
    note = "the claim is that the tokens to pay in eager exceed those with graphs"
    for batch in dataset.batch_sizes:
        number = NEEDED_IN_EAGER(arm=arms[2], batch=batch)
        sample = sample_of_arms(known, weights, batch, "tokens to pay")
        if sample is None:
            yield absent(number, missing_of(dataset, *arms) or NOT_RUN)
        else:
            found = contrasted(number, sample, known.ratio_priors, list(arms))
            yield found
            yield _claim(GRAPHS_NEED_LESS(arm=arms[2], batch=batch), found, 1.0, note, above=True)


def _claim(number: NumberId, of: Result, bound: float, note: str, *, above: bool = False) -> Result:
    """Whether a number lies on one side of a bound, and whether its interval settles that."""
    if not isinstance(of.value, float):
        return absent(number, of.missing or NOT_RUN)
    holds = of.value > bound if above else of.value < bound
    outcome = "not settled"
    if of.low is not None and of.high is not None and not of.low <= bound <= of.high:
        outcome = "supported" if holds else "contradicted"
    return Result(id=number, value=holds, n=of.n, note=note, outcome=outcome, arms=of.arms)
