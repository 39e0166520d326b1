"""How `make lab` and `make report` start Snakemake, and that nothing holds them at the end."""

import subprocess
import sys

STARTED = """
import sys, threading
from snakemake_logger_plugin_lab.__main__ import main
timer = threading.Timer(3600, print)
timer.start()
sys.exit(main() or 2 * (not timer.finished.is_set()))
"""


def test_a_timer_that_snakemake_left_does_not_keep_the_process(tmp_path):
    (tmp_path / "Snakefile").write_text("rule all:\n")
    done = subprocess.run(
        [sys.executable, "-c", STARTED, "--logger", "lab", "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
