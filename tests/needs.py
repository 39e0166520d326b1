"""What the tests need beside Python: installed on Debian or Ubuntu as root, else said all at once.

    python3 needs.py [ARGS of make test]

`make test` calls it before anything else. Where ARGS choose tests, nothing is asked for: a test
that lacks something says so itself. Only the standard library, since nothing is set up yet.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from cudagraph_lab import packages

WITHOUT = "ARGS='-m \"not browser and not slurm\"'"


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 where the tests can begin."""
    missing = packages.missing(packages.TESTS)
    if not missing or arguments:
        return 0
    how = packages.provide(missing, "the tests")
    if not how:
        return 0
    print(
        f"make test: not here: {', '.join(missing)}\n  {how}\n"
        f"  or the rest alone: make test {WITHOUT}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
