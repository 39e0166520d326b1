"""Snakemake as `make lab` and `make report` call it: with this logger from the first line on.

    python -m snakemake_logger_plugin_lab --logger lab ARGUMENTS OF SNAKEMAKE

What an earlier call left behind when it was killed is cleared first. Snakemake names its profile
before any logger begins; that line is kept back, unless Snakemake's own lines are asked for. After
Ctrl-C `make` is sent the signal too and this process ends without an error, so that `make` ends by
the signal and reports no failed recipe.

Snakemake leaves a timer of a second behind, which would only wake its queue; this process does not
wait for that.
"""

import io
import os
import shutil
import signal
import sys
import threading
from contextlib import redirect_stderr
from pathlib import Path

from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.measure.leftovers import clear_leftovers
from cudagraph_lab.terminal.words import wrapped
from snakemake_logger_plugin_lab import LogHandler

FROM_MAKE = "CUDAGRAPH_LAB_FROM_MAKE"  # set by the Makefile: the parent process is `make`


def main() -> int:
    """Run Snakemake; the exit code."""
    from snakemake.cli import args_to_api, parse_args, print_exception

    by_make = os.environ.pop(FROM_MAKE, None) is not None
    with one_line_errors():
        clear_leftovers(Path.cwd())
    done = interrupted = False
    said = io.StringIO()
    try:
        try:
            with redirect_stderr(said):
                parser, options = parse_args(sys.argv[1:])
        except BaseException:
            sys.stderr.write(said.getvalue())
            raise
        if options.verbose:
            sys.stderr.write(said.getvalue())
        done = args_to_api(options, parser)
    except KeyboardInterrupt:
        interrupted = True
    except Exception as error:
        print_exception(error)
    if LogHandler.current is not None:
        LogHandler.current.close()
        interrupted |= LogHandler.current.interrupted
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
    if interrupted and by_make:
        os.kill(os.getppid(), signal.SIGINT)
        return 0
    return 0 if done else 1


def _wrap(left: SystemExit) -> None:
    """Wrap a mistake in the configuration, as Snakemake has closed the logger that would do it."""
    if isinstance(left.code, str) and sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        left.code = "\n".join(wrapped(left.code, width, "  "))


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as left:
        _wrap(left)
        raise
    sys.exit(code)
