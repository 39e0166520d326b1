"""What a record and a log may tell of the machine: settings, and no directory or secret."""

import re
from collections.abc import Mapping
from pathlib import Path

from cudagraph_lab import REPOSITORY

# VLLM_API_KEY and its like are nobody's business; records get published.
RECORDED_VARIABLES = re.compile(
    r"^(?!.*_(KEY|TOKEN|SECRET|PASSWORD)$)"
    r"(VLLM_|CUDA_|NCCL_|OMP_|KMP_|MKL_|TORCH|TRITON_|LD_PRELOAD$)"
)


def hidden_directories(python: Path, cache: Path, runs: Path) -> dict[str, str]:
    """This machine's directories and the words that stand for them in a record."""
    return {
        str(REPOSITORY): "<repository>",
        str(python.parent.parent): "<environment>",
        str(cache): "<cache>",
        str(runs): "<runs>",
        str(Path.home()): "~",
    }


def hide(text: str, hidden: Mapping[str, str]) -> str:
    """Replace this machine's directories by what they stand for; data sets get published."""
    for directory, word in hidden.items():
        # A container's home, and the prefix of /bin/python, can be the root of all paths.
        if directory != "/":
            text = text.replace(directory, word)
    return text


def recorded_variables(environment: Mapping[str, str], hidden: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that can change a measurement, without directories."""
    return {
        key: hide(value, hidden)
        for key, value in sorted(environment.items())
        if RECORDED_VARIABLES.match(key)
    }
