"""What the ledger takes from the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The values of the configuration that numbers depend on.

    `batch_mix` maps a batch size to the steps at it. `headline` names a contrast to lead with
    in place of the one of role primary.
    """

    seed: int
    restarts_per_day: float
    ladder_rungs: int
    batch_mix: Mapping[int, int]
    headline: str | None = None
