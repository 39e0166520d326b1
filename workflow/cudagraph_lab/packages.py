"""What is taken from the system, as Debian calls it: looked for, and installed there as root.

Only the standard library is imported: `make test` looks before anything is set up.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from cudagraph_lab.errors import say

# By the program, library or header that is looked for, the packages that bring it. One of several
# names is enough.
Needs = Mapping[tuple[str, ...], Sequence[str]]
BROWSER: Needs = {("chromium", "google-chrome"): ["chromium", "fonts-dejavu-core"]}
SLURM: Needs = {
    ("slurmctld",): ["slurm-wlm", "slurmctld"],
    ("slurmd",): ["slurmd"],
    ("munged",): ["munge"],
}
# The kernels of vLLM for a CPU are linked to libnuma; torch.compile calls a C++ compiler, for code
# that includes the headers of this Python.
CPU: Needs = {
    ("libnuma.so.1",): ["libnuma1"],
    ("g++",): ["g++"],
    ("Python.h",): [f"python{sys.version_info[0]}.{sys.version_info[1]}-dev"],
}
TESTS: Needs = {**BROWSER, ("npm",): ["npm"], **SLURM, **CPU}


def missing(needs: Needs) -> list[str]:
    """The packages that are not here."""
    return [
        package
        for names, packages in needs.items()
        if not any(map(_is_here, names))
        for package in packages
    ]


def _is_here(name: str) -> bool:
    if name.endswith(".h"):
        return Path(sysconfig.get_path("include"), name).exists()
    if ".so" in name:
        try:
            ctypes.CDLL(name)
        except OSError:
            return False
        return True
    return shutil.which(os.environ.get("CXX", name) if name == "g++" else name) is not None


def can_install() -> bool:
    """Whether packages can be installed here: as root, where there is apt-get."""
    return os.getuid() == 0 and shutil.which("apt-get") is not None


def command(packages: Sequence[str]) -> str:
    """What a person types to install packages."""
    return f"apt-get install {' '.join(packages)}"


def provide(packages: Sequence[str], purpose: str) -> str:
    """Install packages where that can be done, after a line that says so.

    Returns nothing where that went well, otherwise how to get them.
    """
    if can_install():
        say(f"installing for {purpose}, once: {', '.join(packages)}")
        errors = _install(packages)
        return f"`{command(packages)}` failed: {errors}" if errors else ""
    if shutil.which("apt-get"):
        return f"as root: {command(packages)}"
    return f"install what your system calls these; on Debian: {command(packages)}"


def _install(packages: Sequence[str]) -> str:
    """What apt-get says is wrong; nothing where all went well."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *step],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            errors = [line for line in said if line.startswith("E: ")] or said[-1:]
            return "; ".join(errors) or f"it ended with {done.returncode}"
    return ""
