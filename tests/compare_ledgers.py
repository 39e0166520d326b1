"""Compare two ledgers: the guard of a change that must not change a number.

    python tests/compare_ledgers.py BEFORE.json AFTER.json

Prints what left, what came and what changed; exits with 1 where anything did.
"""

import json
import sys
from pathlib import Path

# What a reader can act on; files may move.
FIELDS = ("value", "unit", "n", "low", "high", "method", "note", "missing", "predictions")


def read_numbers(path: Path) -> dict[tuple[str, str], dict[str, object]]:
    """The numbers of a ledger file by data set and id."""
    numbers = json.loads(path.read_text(encoding="utf-8"))["numbers"]
    return {(number["dataset"], number["id"]): number for number in numbers}


def differences(before: Path, after: Path) -> list[str]:
    """One line for each number that left, came or differs in one of FIELDS."""
    old, new = read_numbers(before), read_numbers(after)
    lines = [f"left     {dataset} {name}" for dataset, name in old if (dataset, name) not in new]
    lines += [f"came     {dataset} {name}" for dataset, name in new if (dataset, name) not in old]
    for key in old.keys() & new.keys():
        for field in FIELDS:
            if old[key].get(field) != new[key].get(field):
                lines.append(
                    f"changed  {' '.join(key)}: {field} "
                    f"{old[key].get(field)!r} -> {new[key].get(field)!r}"
                )
    return sorted(lines)


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(found) or "the same numbers")
    sys.exit(bool(found))
