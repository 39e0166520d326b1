"""Stands in for uv, and for the minutes that it takes to build vLLM's environment."""

from pathlib import Path

# Notes each call, takes its time, and makes a Python that imports "vLLM".
SCRIPT = """#!/bin/sh
echo "$1" >> {calls}
sleep {seconds}
for last; do :; done
if [ "$1" = venv ]; then
  mkdir -p "$last/bin"
  printf '#!/bin/sh\\n{python}\\n' > "$last/bin/python"
  chmod +x "$last/bin/python"
fi
{then}
"""
# Builds the environment of a lock (first argument) in a cache (second) with this uv (third).
BUILDER = """
import sys, uv
from pathlib import Path
from cudagraph_lab.engine.environment import ensure_environment
uv.find_uv_bin = lambda: sys.argv[3]
print(ensure_environment(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def write_uv(
    path: Path, calls: Path, seconds: float = 0, python: str = "exit 0", then: str = "exit 0"
) -> None:
    """Write it to `path`; it notes its calls in `calls`, a word a line."""
    path.write_text(SCRIPT.format(calls=calls, seconds=seconds, python=python, then=then))
    path.chmod(0o755)
