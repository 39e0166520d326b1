"""The one exception that a user's mistake ends in, and how it reaches the user."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class LabError(ValueError):
    """A mistake a person can mend: one line that says what, where, and what to do."""


@contextmanager
def one_line_errors(log: str | None = None) -> Iterator[None]:
    """Turn a mistake into one line on standard error and in `log`, and exit code 1.

    What the machine refuses (a full disk, a directory that cannot be written) is one too.
    """
    try:
        yield
    except LabError as error:
        message = f"cudagraph-lab: {error}"
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message = f"cudagraph-lab: {where}{error.strerror or error}; mend that and run again"
    else:
        return
    if log:
        with suppress(OSError):
            Path(log).write_text(message + "\n", encoding="utf-8")
    sys.exit(message)
