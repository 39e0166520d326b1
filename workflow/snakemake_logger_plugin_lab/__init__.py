"""`snakemake --logger lab`: the terminal as a page; Snakemake's own lines are in its log.

An adapter: cudagraph_lab.terminal decides what is said. With --verbose, and in a dry-run, whose
list of jobs is what was asked for, all is as without it. What jobs write to standard error comes
through a pipe, since a line that moves and lines of others cannot share a terminal.
"""

import atexit
import os
import sys
import threading
from logging import Handler, LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from cudagraph_lab.terminal.page import Page
from cudagraph_lab.terminal.screen import Screen

NOTHING = "Nothing to be done"
ENDING = "Terminating processes on user request"
PATIENCE_S = 2.0  # for what jobs wrote last


class LogHandler(LogHandlerBase):
    """Passes what Snakemake logs, and what its jobs write to standard error, to a page."""

    current: "LogHandler | None" = None  # of this process

    def __post_init__(self) -> None:
        """Take over standard error, unless Snakemake's own lines are asked for."""
        LogHandler.current = self
        self._own: Handler | None = None
        if self.common_settings.verbose or self.common_settings.dryrun:
            self._own = _snakemakes_own(self)
            return
        self._descriptor = os.dup(2)
        os.set_inheritable(self._descriptor, False)
        stream = os.fdopen(self._descriptor, "w", encoding="utf-8", errors="replace")
        self._page = Page(Screen(stream))
        read, write = os.pipe()
        sys.stderr.flush()
        os.dup2(write, 2)
        os.close(write)
        self._reader = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._reader.start()
        self._given_back = False
        atexit.register(self.close)  # also where the workflow is left by sys.exit

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._page.heard(line.rstrip())

    def emit(self, record: LogRecord) -> None:
        """Tell the page of one record."""
        try:
            if self._own is not None:
                self._own.handle(record)
            else:
                self._tell(record)
        except Exception:
            self.handleError(record)

    def _tell(self, record: LogRecord) -> None:
        page, said = self._page, record.__dict__
        event = said.get("event")
        if plan := said.get("lab_plan"):
            page.plan([record.getMessage()], **plan)
        elif said.get("lab"):
            page.stay(record.getMessage())
        elif event == LogEvent.RUN_INFO:
            page.begin({k: v for k, v in said["stats"].items() if k != "total"})
        elif event == LogEvent.JOB_INFO:
            page.job_starts(said["jobid"], said["rule_name"])
        elif event == LogEvent.JOB_FINISHED:
            page.job_ends(said["job_id"])
        elif event == LogEvent.JOB_ERROR:
            page.job_fails(said["rule_name"], list(said["log"] or []))
        elif event == LogEvent.ERROR:
            page.error(record.getMessage(), said.get("exception"))
        elif event is None and str(record.msg).startswith(NOTHING):
            page.nothing_to_do()
        elif event is None and str(record.msg).startswith(ENDING):
            page.interrupted = True

    def close(self) -> None:
        """Give standard error back and say how it ended, once."""
        super().close()
        if self._own is not None or self._given_back:
            return
        self._given_back = True
        sys.stderr.flush()
        os.dup2(self._descriptor, 2)
        self._reader.join(PATIENCE_S)
        self._page.end()

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it."""
        return self._own is None and self._page.interrupted

    @property
    def writes_to_stream(self) -> bool:
        """It is the one handler that writes to the terminal."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake's log stays its own."""
        return False

    @property
    def has_filter(self) -> bool:
        """What is shown is decided here."""
        return True

    @property
    def has_formatter(self) -> bool:
        """What is shown is worded here."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """The graph of the rules is not shown."""
        return False


def _snakemakes_own(handler: LogHandlerBase) -> Handler:
    """The handler that Snakemake has without a plugin."""
    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    asked = handler.common_settings
    own: Handler = ColorizingTextHandler(nocolor=asked.nocolor, stream=sys.stderr)
    own.addFilter(
        DefaultFilter(
            asked.quiet, asked.debug_dag, asked.verbose, asked.dryrun, asked.printshellcmds
        )
    )
    own.setFormatter(DefaultFormatter(asked.quiet, asked.show_failed_logs))
    return own
