"""What the tests need beside Python: installed on Debian or Ubuntu as root, else said all at once.

    python3 needs.py [ARGS of make test]

`make test` calls it before anything else. Where ARGS choose tests, nothing is asked for: a test
that lacks something says so itself. Only the standard library, since nothing is set up yet.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# By what is looked for, Debian's packages that bring it; one of the names is enough.
NEEDS = {
    ("chromium", "google-chrome"): ["chromium", "fonts-dejavu-core"],
    ("npm",): ["npm"],
    ("slurmctld",): ["slurm-wlm", "slurmctld"],
    ("slurmd",): ["slurmd"],
    ("munged",): ["munge"],
    ("g++",): ["g++"],
}
WITHOUT = "ARGS='-m \"not browser and not slurm\"'"


def missing_packages(which: Callable[[str], object]) -> list[str]:
    """Debian's names of what is not here; `which` tells where a program is, or nothing."""
    return [
        package
        for names, packages in NEEDS.items()
        if not any(which(name) for name in names)
        for package in packages
    ]


def refusal(packages: Sequence[str], root: bool, debian: bool) -> str:
    """The lines that say all that is missing, and how to go on."""
    install = f"apt-get install {' '.join(packages)}"
    if debian and root:
        how = f"`{install}` failed; its words are above"
    elif debian:
        how = f"as root: {install}"
    else:
        how = f"install what your system calls these; on Debian: {install}"
    return (
        f"make test: not here: {', '.join(packages)}\n  {how}\n"
        f"  or the rest alone: make test {WITHOUT}"
    )


def install(packages: Sequence[str]) -> bool:
    """Install Debian's packages; whether that went well. What is said is shown where it did not."""
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
            print(done.stdout[-2000:], file=sys.stderr)
            return False
    return True


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 where the tests can begin."""
    packages = missing_packages(shutil.which)
    if not packages or arguments:
        return 0
    root, debian = os.getuid() == 0, Path("/etc/debian_version").exists()
    if root and debian:
        print(f"Installing for the tests, once: {', '.join(packages)}", file=sys.stderr)
        if install(packages):
            return 0
    print(refusal(packages, root, debian), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
