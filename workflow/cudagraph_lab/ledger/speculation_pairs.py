"""What page and figures show of speculative decoding: its steps beside the plain ones."""

from dataclasses import dataclass

from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import BUSY_S, DRAFT_BUSY_S, STEP, TOKENS_TO_PAY
from cudagraph_lab.ledger.index import Index, value_at
from cudagraph_lab.observations.dataset import Dataset


@dataclass(frozen=True)
class Speculated:
    """A speculating arm beside the plain one, at one batch size.

    `busy` is the GPU work of the speculative step and `draft_busy` the draft's part of it, where
    it was profiled.
    """

    arm: str
    plain_arm: str
    batch: int
    step: Number
    plain_step: Number
    needed: Number
    most: int | None  # tokens that a step can yield to a request; None where it is not known
    busy: Number | None
    plain_busy: Number | None
    draft_busy: Number | None

    @property
    def never_pays(self) -> bool:
        """Whether it pays at no acceptance: by the interval, or by the value of one repeat."""
        least = self.needed.low if self.needed.n > 1 else self.needed.value
        return self.most is not None and least is not None and least > self.most


def drafted(dataset: Dataset, arm: str) -> int | None:
    """Tokens that the arm drafts for a step, k; None where its arguments do not say."""
    asked = dataset.arms[arm].engine_args.get("speculative_config") if arm in dataset.arms else None
    tokens = asked.get("num_speculative_tokens") if isinstance(asked, dict) else None
    return tokens if isinstance(tokens, int) else None


def with_drafts(index: Index) -> list[Dataset]:
    """The data sets that the page shows of speculative decoding; those with intervals lead."""
    shown = [d for d in index.ledger.datasets if d in index.main or d.series == "speculation"]
    found = [d for d in shown if speculated(index, d.name)]
    return sorted(found, key=lambda d: all(s.needed.low is None for s in speculated(index, d.name)))


def speculated(index: Index, dataset: str) -> list[Speculated]:
    """Every measured pair of a data set, arm by arm and by batch size."""
    facts = index.datasets[dataset]
    found = []
    for contrast in facts.contrasts.values():
        if contrast.role != "speculation":
            continue
        arm, plain = contrast.numerator, contrast.denominator
        for batch in facts.batch_sizes:
            step = value_at(index, dataset, STEP(arm=arm, batch=batch))
            plain_step = value_at(index, dataset, STEP(arm=plain, batch=batch))
            needed = value_at(index, dataset, TOKENS_TO_PAY(arm=arm, batch=batch))
            if step is None or plain_step is None or needed is None:
                continue
            found.append(
                Speculated(
                    arm,
                    plain,
                    batch,
                    step,
                    plain_step,
                    needed,
                    None if (k := drafted(facts, arm)) is None else 1 + k,
                    value_at(index, dataset, BUSY_S(arm=arm, batch=batch)),
                    value_at(index, dataset, BUSY_S(arm=plain, batch=batch)),
                    value_at(index, dataset, DRAFT_BUSY_S(arm=arm, batch=batch)),
                )
            )
    return found
