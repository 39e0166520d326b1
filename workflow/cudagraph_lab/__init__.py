"""Measure, predict and judge what CUDA graphs buy in vLLM."""

from pathlib import Path

# Shipped data (resources/, envs/, config/) is found from here, also when another
# workflow uses this one as a module or runs it in a directory of its own.
REPOSITORY = Path(__file__).resolve().parents[2]

# Stands here, as the package also runs from a checkout that nobody installed.
__version__ = "0.1.0"
