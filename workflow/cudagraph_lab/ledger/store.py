"""The ledger as files: read and refused by name, and as a table for spreadsheets."""

from pathlib import Path
from typing import TYPE_CHECKING

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import Ledger

if TYPE_CHECKING:
    import pandas as pd


def read_ledger(path: Path) -> Ledger:
    """Read a ledger file; raises LabError naming it where it is not one."""
    try:
        return Ledger.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(
            f"{path}: not a ledger ({type(error).__name__}); run `make report`"
        ) from None


def ledger_table(ledger: Ledger) -> "pd.DataFrame":
    """The ledger as a table: a row per number and prediction, for spreadsheets."""
    import pandas as pd

    rows = []
    for number in ledger.numbers:
        row = number.model_dump(exclude={"predictions", "baselines"})
        row["id"] = str(number.id)
        row["files"] = " ".join(number.files)
        judged = [prediction.model_dump() for prediction in number.predictions] or [{}]
        rows += [
            row | {f"prediction_{key}": value for key, value in said.items()} for said in judged
        ]
    return pd.DataFrame(rows)
