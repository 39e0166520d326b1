"""What a killed workflow leaves in its directory, cleared by `cudagraph-lab clear-leftovers`.

Snakemake's lock and its marks of unfinished files outlive a Snakemake that was killed,
and nothing in them says whether it lives. So every instance also holds a lock of the
kernel for as long as it lives: who holds that alone knows that all of it is left over.
"""

import fcntl
import os
import shutil
from base64 import urlsafe_b64decode
from contextlib import suppress
from pathlib import Path

_held: dict[Path, int] = {}


def hold(directory: Path) -> None:
    """Hold the lock of a working directory until this process ends, together with others.

    Waits for who clears the directory at this moment. A directory that cannot be written
    is left as it is: what then needs to write says so.
    """
    if directory not in _held and (descriptor := _open(directory)) is not None:
        _held[directory] = descriptor
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def clear_leftovers(directory: Path) -> bool:
    """Clear a working directory in which no workflow lives; returns whether it was cleared.

    Cleared are Snakemake's locks on files of this workflow, its marks of records that are
    there (a record is written whole or not at all), and what was not renamed into place.
    """
    if (descriptor := _open(directory)) is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        state = directory / ".snakemake"
        with suppress(OSError):
            _clear_locks(state / "locks")
            _clear_marks(state / "incomplete", directory)
            _clear_results(directory / "results")
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _open(directory: Path) -> int | None:
    state = directory / ".snakemake"
    try:
        state.mkdir(exist_ok=True)
        # Closed with the process, and not inherited by what it starts.
        return os.open(state / "cudagraph-lab.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None


def _clear_locks(locks: Path) -> None:
    for lock in locks.glob("*.lock"):
        lines = lock.read_text(encoding="utf-8", errors="replace").splitlines()
        # One that names none of our files is another workflow's, which may be alive.
        if not lines or any(line.startswith("results/") for line in lines):
            lock.unlink()


def _clear_marks(marks: Path, directory: Path) -> None:
    for mark in [path for path in marks.rglob("*") if path.is_file()]:
        # Snakemake names a mark after the file, in base64, in parts where that is long.
        name = "".join(part.removeprefix("@") for part in mark.relative_to(marks).parts)
        with suppress(ValueError):
            path = Path(urlsafe_b64decode(name).decode())
            if path.match("results/*/runs/*/rep*.json") and (directory / path).exists():
                mark.unlink()


def _clear_results(results: Path) -> None:
    for work in results.glob("*/runs/*/.rep*.work"):
        if work.with_name(f"{work.stem[1:]}.json").exists():
            shutil.rmtree(work, ignore_errors=True)
    # As files.write_atomically names them; those of a record that is not there yet are left
    # to who measures it next, with the device's lock in hand.
    for temporary in results.rglob(".*.????????"):
        name, _, _ = temporary.name[1:].rpartition(".")
        if temporary.is_file() and temporary.with_name(name).exists():
            temporary.unlink()
