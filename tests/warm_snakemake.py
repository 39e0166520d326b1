"""A process that has imported Snakemake once and runs it, in a fork each time it is asked to.

Most calls of Snakemake in the tests are dry-runs, of which two thirds are imports. Each call still
is a process of its own, with the environment, the directory and the output that it is given.

    python warm_snakemake.py    reads a request a line, as JSON, and answers with the exit code
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any


def _import_snakemake() -> None:
    """What a dry-run imports of others; nothing of the project, which may be another clone's."""
    import jsonschema  # noqa: F401
    import psutil  # noqa: F401
    import pulp  # noqa: F401
    import pydantic  # noqa: F401
    import snakemake.api
    import snakemake.cli
    import snakemake.dag
    import snakemake.scheduling.job_scheduler
    import snakemake.utils
    import snakemake.workflow  # noqa: F401
    import yaml  # noqa: F401


def _become(request: dict[str, Any]) -> None:
    """Be the process that `python -m snakemake` would have been, up to its first line."""
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, target)
    os.chdir(request["directory"])
    os.setsid()  # so that whoever waits can end it with all that it started
    sys.stdin = os.fdopen(0, "r", closefd=False)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    path = [p for p in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if p]
    sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
    sys.argv[:] = ["snakemake", *request["arguments"]]


def _answer(request: dict[str, Any]) -> int:
    """The exit code of Snakemake with these arguments."""
    child = os.fork()
    if child == 0:
        code = 70  # not one of Snakemake's
        try:
            _become(request)
            code = importlib.import_module(request["module"]).main() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(json.dumps({"pid": child}), flush=True)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


class WarmSnakemake:
    """Runs Snakemake in forks of a process that has imported it."""

    def __init__(self) -> None:
        # Without the project on its path: each call brings the path that it is to have.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )

    def run(
        self,
        arguments: list[str],
        environment: dict[str, str],
        timeout_s: float,
        module: str = "snakemake.cli",
        directory: Path | None = None,
    ) -> Any:
        """What `subprocess.run` gives for `main` of a module: that of `python -m snakemake`."""
        assert self._process.stdin is not None
        with tempfile.NamedTemporaryFile() as said:
            request = {
                "arguments": arguments,
                "environment": environment,
                "module": module,
                "directory": str(directory or Path.cwd()),
                "output": said.name,
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            pid = self._answer()["pid"]
            end = threading.Timer(timeout_s, os.killpg, (pid, signal.SIGKILL))
            end.start()
            returncode = self._answer()["returncode"]
            end.cancel()
            text = Path(said.name).read_text(encoding="utf-8", errors="replace")
        if returncode == -signal.SIGKILL:
            raise subprocess.TimeoutExpired(arguments, timeout_s, text)
        return subprocess.CompletedProcess(arguments, returncode, text)

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


if __name__ == "__main__":
    _import_snakemake()
    for line in sys.stdin:
        print(json.dumps({"returncode": _answer(json.loads(line))}), flush=True)
