"""A process that has imported Snakemake once and runs it, in a fork each time it is asked to.

Most calls of Snakemake in the tests are dry-runs, of which two thirds are imports. Each call still
is a process of its own, with the environment, the directory and the output that it is given.

    python warm_snakemake.py    reads a request a line, as JSON, and answers with the exit code
"""

import json
import os
import sys
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
            from snakemake.cli import main

            main()
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


if __name__ == "__main__":
    _import_snakemake()
    for line in sys.stdin:
        print(json.dumps({"returncode": _answer(json.loads(line))}), flush=True)
