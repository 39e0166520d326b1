"""Start-up logs given as lines, where a test has no file."""

from collections.abc import Iterable

from cudagraph_lab.engine import startup_log
from cudagraph_lab.engine.startup_facts import EngineLog, StartupFacts


def parse_engines(lines: Iterable[str]) -> list[EngineLog]:
    r"""As `read_engines`, from lines, which may hold `\r` and `\n` themselves."""
    return startup_log.parse_engines(
        (number, part)
        for number, line in enumerate(lines, start=1)
        for part in line.replace("\r", "\n").split("\n")
    )


def parse_startup_log(lines: Iterable[str]) -> StartupFacts:
    """As `read_startup_log`, from lines."""
    engines = parse_engines(lines)
    return engines[0].facts if engines else startup_log.NOTHING
