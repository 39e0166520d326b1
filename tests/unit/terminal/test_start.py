"""How `make lab` and `make report` start Snakemake, and that nothing holds them at the end."""

import subprocess
import sys

import pytest

STARTED = """
import sys, threading
from snakemake_logger_plugin_lab.__main__ import main
timer = threading.Timer(3600, print)
timer.start()
sys.exit(main() or 2 * (not timer.finished.is_set()) or 3 * ("pandas" in sys.modules))
"""


@pytest.mark.parametrize(("arguments", "others"), [(["--executor", "local"], 0), ([], 3)])
def test_other_executors_are_imported_where_the_local_one_is_not_asked_for(
    tmp_path, arguments, others
):
    """And a timer that Snakemake left does not keep the process."""
    (tmp_path / "Snakefile").write_text("rule all:\n")
    done = subprocess.run(
        [sys.executable, "-c", STARTED, "--logger", "lab", *arguments, "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == others, done.stderr
