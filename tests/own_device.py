"""For tests that boot vLLM on this machine's CPU: a device lock of their own.

A measurement locks its device, so that no two disturb each other's times. Tests compare no times,
so that they may boot vLLM beside each other: each has a lock in a directory of its own, and asks
for a small share of the memory. vLLM's environments and the downloads are the user's, for all.
"""

import os
from pathlib import Path

import platformdirs

from cudagraph_lab.engine.environment import cache_directory

# Of the memory; as much has to be free when an engine boots.
SHARE_OF_MEMORY = 0.2
# For `cache_dir`: where vLLM's environments are built, whatever a test's own directory is.
CACHE = str(cache_directory("auto"))
# For runs in which every arm is eager: vLLM compiles parts of itself otherwise, and boots later.
EAGER = {"TORCH_COMPILE_DISABLE": "1"}
# For the others: torch takes what the processor says of its vector instructions, and does not try
# them in a process of its own, with a compiler and an import of torch, at every boot.
VECTORS_TRUSTED = {"TORCHINDUCTOR_VEC_ISA_OK": "1"}

_SHARED = {"UV_CACHE_DIR": "uv", "MPLCONFIGDIR": "matplotlib"}
_SHARED_PATHS = {
    variable: os.environ.get(variable) or platformdirs.user_cache_dir(name, appauthor=False)
    for variable, name in _SHARED.items()
}


def own_device(directory: Path) -> dict[str, str]:
    """Environment variables with which the lock of the device lies below `directory`."""
    return {"XDG_CACHE_HOME": str(directory / "user"), **_SHARED_PATHS}
