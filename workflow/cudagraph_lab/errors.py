"""The one exception that a user's mistake ends in, and how it reaches the user."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def printable(text: str) -> str:
    """One line of `text` that does nothing to a terminal: what it holds may be from anywhere."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


class LabError(ValueError):
    """A mistake a person can mend: one line that says what, where, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def say(message: str) -> None:
    """One line on standard error; nothing ends because nobody reads it any more."""
    with suppress(OSError):
        print(printable(message), file=sys.stderr, flush=True)


@contextmanager
def one_line_errors(log: str | None = None) -> Iterator[None]:
    """Turn a mistake into one line on standard error and in `log`, and exit code 1.

    What the machine refuses (a full disk, a directory that cannot be written) is one too,
    and so is an interruption. A reader of standard output that has seen enough is none.
    """
    try:
        yield
    except LabError as error:
        message = f"cudagraph-lab: {error}"
    except BrokenPipeError:
        # Nothing is left to say it to, and the interpreter would try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message = f"cudagraph-lab: {where}{error.strerror or error}; mend that and run again"
    except KeyboardInterrupt:
        message = "cudagraph-lab: interrupted; nothing half-done is kept, the same command goes on"
    else:
        return
    if log:
        with suppress(OSError):
            Path(log).write_text(message + "\n", encoding="utf-8")
    sys.exit(printable(message))
