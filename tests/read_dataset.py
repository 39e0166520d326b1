"""Records as what the ledger is made of."""

from typing import Any

from cudagraph_lab.observations.dataset import Dataset, collect
from cudagraph_lab.observations.table import as_table


def read_dataset(*given: Any) -> tuple[Dataset, Any]:
    """What `collect` gives for the same arguments, its rows as a table."""
    dataset, rows = collect(*given)
    return dataset, as_table(rows)
