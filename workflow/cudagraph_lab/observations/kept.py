"""Tables of shipped records, kept in the user's cache: neither records nor what reads them change.

Imports little, so that whoever finds a table waits for nothing else.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cudagraph_lab import REPOSITORY
from cudagraph_lab.files import sha256_of, write_atomically

SHIPPED = REPOSITORY / "resources"
Texts = tuple[str, str]  # the data set as JSON, its table as CSV


def kept_or_made(
    path: Path,
    records: Sequence[Path],
    asked: Mapping[str, Any],
    sources: Sequence[Path],
    make: Callable[[], Texts],
) -> Texts:
    """What `make` gives, from `path` where that holds it for the same contents.

    The contents are those of the records and of all beside them, of `sources`, and `asked`.
    Only what is shipped is kept. A `path` that cannot be read or written costs time alone.
    """
    if not all(record.is_relative_to(SHIPPED) for record in records):
        return make()
    key = key_of(records, asked, sources)
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return str(kept["dataset"]), str(kept["table"])
    dataset, table = make()
    with suppress(OSError):
        write_atomically(path, json.dumps({"key": key, "dataset": dataset, "table": table}))
    return dataset, table


def key_of(records: Sequence[Path], asked: Mapping[str, Any], sources: Sequence[Path]) -> str:
    """SHA-256 of all that a table is made of."""
    beside = {path for record in records for path in record.parent.iterdir() if path.is_file()}
    known = sorted(beside | {*records, *sources})
    # From the top of the repository, so that clones share what is kept.
    files = [(os.path.relpath(path, REPOSITORY), sha256_of(path)) for path in known]
    return hashlib.sha256(json.dumps([files, asked], sort_keys=True).encode()).hexdigest()
