"""The state of one call of `make lab` or `make report`, and what is said of it."""

from collections.abc import Mapping
from pathlib import Path

from cudagraph_lab.terminal.screen import Screen
from cudagraph_lab.terminal.words import (
    INTERRUPTED,
    MISTAKE,
    building,
    error_lines,
    kept_beside_failure,
    moving_line,
    of_any_repeat,
    progress_of,
    stopped,
    wrapped,
)

REPORT = Path("results/report/lab_report.html")
ANSWER = REPORT.with_name("answer.txt")
WORDS = {
    "build_environment": "vLLM's environment",
    "choose_weights": "the model's weights",
    "register_predictions": "the register of predictions",
    "collect_observations": "reading the records",
    "collect_shipped": "reading the shipped records",
    "build_ledger": "computing the ledger",
    "plot_figures": "drawing the figures",
    "render_report": "writing the report",
}


class Page:
    """Told of events, in any order and from any thread; writes to a screen."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.interrupted = False
        self.failed = False
        self._said: set[str] = set()
        self._mistakes: set[str] = set()  # of any repeat
        self._explained = False  # whether a job said in one line what is wrong
        self._rules: dict[int, str] = {}
        self._measuring: set[int] = set()
        self._runs: list[Path] = []  # the records of the design
        self._planned: list[str] = []
        self._seconds: float | None = None  # of a job that measures
        self._jobs = self._jobs_done = 0  # that measure
        self._report = False  # whether it is up to date

    def plan(self, lines: list[str], runs: list[str], seconds_of_job: float | None) -> None:
        """What could be measured: the lines to say if it is, the records, seconds of a job."""
        self._planned += lines
        self._runs += map(Path, runs)
        self._seconds = seconds_of_job or self._seconds

    def begin(self, jobs_by_rule: Mapping[str, int]) -> None:
        """How many jobs of each rule there will be."""
        self._jobs = sum(n for rule, n in jobs_by_rule.items() if rule.startswith("measure"))
        if self._jobs:
            for line in self._planned:
                self.stay(line)

    def nothing_to_do(self) -> None:
        """All targets are up to date."""
        self._report = REPORT.exists()

    def job_starts(self, job: int, rule: str) -> None:
        """A job begins."""
        self._rules[job] = rule
        if rule.startswith("measure"):
            self._measuring.add(job)
        elif rule in WORDS and self.screen.moves:
            self.screen.move(WORDS[rule], WORDS[rule])

    def job_ends(self, job: int) -> None:
        """A job succeeded."""
        self._jobs_done += job in self._measuring
        self._report |= self._rules.get(job) == "render_report"

    def job_fails(self, rule: str, logs: list[str]) -> None:
        """A job failed; why, it has said itself."""
        self.failed = True
        if not self.interrupted and not self._explained and logs:
            self.stay(f"{rule} failed; its log is {logs[0]}")

    def error(self, message: str, exception: str | None) -> None:
        """Snakemake met an error."""
        self.failed = True
        if exception == "KeyboardInterrupt":
            self.interrupted = True
        if not self.interrupted:
            for line in error_lines(message, exception):
                self.stay(line)

    def heard(self, line: str) -> None:
        """A line that a job wrote to standard error."""
        progress = progress_of(line)
        if progress:
            done, total = self._jobs_done, self._jobs
            left = self._seconds * (total - done) if self._seconds and total > done else None
            self.screen.move(moving_line(*progress, done, max(total, 1), left), line)
        elif building(line):
            self.screen.move(f"{WORDS['build_environment']}: {line.strip()}", line)
        elif line.startswith(INTERRUPTED):
            self.interrupted = True
        elif line.strip():
            self._explained |= line.startswith(MISTAKE)
            if not (line.startswith(MISTAKE) and self._told_of_another_repeat(line)):
                self.stay(line)

    def _told_of_another_repeat(self, mistake: str) -> bool:
        """Whether this mistake was met in another repeat before."""
        alike = of_any_repeat(mistake)
        known = alike in self._mistakes
        self._mistakes.add(alike)
        return known

    def stay(self, line: str) -> None:
        """Print a line that stays, once."""
        if line not in self._said:
            self._said.add(line)
            self._wrap(line)

    def _wrap(self, text: str) -> None:
        """Print a text that stays; on a terminal no word is broken at its edge."""
        for line in wrapped(text, self.screen.width - 1, "  ") if self.screen.moves else [text]:
            self.screen.stay(line)

    def end(self) -> None:
        """Say what came of it."""
        self.screen.close()
        kept = sum(path.exists() for path in self._runs)
        if self.interrupted:
            self.screen.stay(stopped(kept, len(self._runs)))
        elif self.failed and self._measuring and self._runs:
            self._wrap(kept_beside_failure(kept, len(self._runs)))
        elif self._report:
            if ANSWER.exists():
                for sentence in ANSWER.read_text(encoding="utf-8").splitlines():
                    self._wrap(sentence)
            self.screen.stay(f"The report: {REPORT.absolute()}")
