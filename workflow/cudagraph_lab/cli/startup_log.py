"""`cudagraph-lab startup-log`: the facts of a vLLM start-up log."""

import argparse
import json
from pathlib import Path
from typing import Any

from cudagraph_lab.errors import LabError


def add_startup_log(commands: Any) -> None:
    """Add the command to a parser's commands."""
    log = commands.add_parser("startup-log", help="facts of a vLLM start-up log, as JSON")
    log.add_argument("file", type=Path, metavar="FILE")
    log.add_argument(
        "--sources", action="store_true", help="also the line that each fact was read from"
    )
    log.add_argument("--json", action="store_true", help="print JSON, as without it")
    log.set_defaults(run=_startup_log)


def _startup_log(options: argparse.Namespace) -> None:
    """Print one object for a log of one engine, a list of them with names for several."""
    from cudagraph_lab.engine.startup_log import read_engines

    engines = read_engines(options.file)
    if not engines:
        raise LabError(
            f"{options.file}: no line of a vLLM start-up in it that is known here; "
            "name the log with stdout and stderr of the engine"
        )
    found: list[dict[str, Any]] = []
    for one in engines:
        entry: dict[str, Any] = {} if len(engines) == 1 else {"engine": one.engine}
        entry |= one.facts.model_dump(mode="json")
        if options.sources:
            dumped = one.model_dump(mode="json", include={"sources"})
            entry |= dumped
        found.append(entry)
    print(json.dumps(found[0] if len(found) == 1 else found, indent=1, ensure_ascii=False))
