"""The one exception that a user's mistake ends in, and how it reaches the user."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LabError(ValueError):
    """A mistake a person can mend: one line that says what, where, and what to do."""


@contextmanager
def one_line_errors(log: str | None = None) -> Iterator[None]:
    """Turn a LabError into one line on standard error and in `log`, and exit code 1."""
    try:
        yield
    except LabError as error:
        message = f"cudagraph-lab: {error}"
        if log:
            Path(log).write_text(message + "\n", encoding="utf-8")
        sys.exit(message)
