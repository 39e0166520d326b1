"""Audit what is installed and locked: licences, yanked versions, what differs from the locks.

    .venv/bin/python bench/audit.py

Prints a line for each finding, and ends with 1 where there is one that envs/audit.yaml does
not explain. It is no search for known vulnerabilities: that needs an advisory database,
and none is consulted here. For that run `pip-audit --require-hashes -r envs/pipeline.txt`
(and the other locks) where one can be reached.
"""

import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from uv import find_uv_bin

ENVS = Path(__file__).parent.parent / "envs"
LOCKS = ["pipeline", "dev", "kubernetes", *sorted(path.stem for path in ENVS.glob("vllm-*.in"))]
# What a licence may be called; copyleft on linking is not among them.
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND|MPL|Mozilla|Unlicense|Zlib|"
    r"0BSD|CC0|Public Domain)\b",
    re.IGNORECASE,
)


def locked(name: str) -> dict[str, str]:
    """Version by package of a lock, of the entries that are for this Python."""
    lines = re.sub(r"\\\n", " ", (ENVS / f"{name}.txt").read_text(encoding="utf-8")).splitlines()
    pins = {}
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            requirement = Requirement(line.partition(" --hash")[0])
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            pins[requirement.name.lower()] = str(requirement.specifier).removeprefix("==")
    return pins


def licence(package: Distribution) -> str:
    """What the package says of its licence: in its metadata, else in the file it brings."""
    said = package.metadata
    classifiers = [c.rpartition("::")[2] for c in said.get_all("Classifier") or []
                   if c.startswith("License ::")]  # fmt: skip
    free = (said.get_all("License") or [""])[0].splitlines()[:1]
    told = said.get_all("License-Expression") or classifiers or free
    if told:
        return ", ".join(told)
    for file in package.files or []:
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            return file.read_text(encoding="utf-8").strip().splitlines()[0]
    return "none said"


def installed_findings() -> list[tuple[str, str]]:
    """Packages of this Python that no lock names, at another version, or of another licence."""
    pins = locked("pipeline") | locked("dev")
    findings = []
    for package in distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        if name in ("cudagraph-lab", "pip", "setuptools"):  # ours, and what made .venv
            continue
        if pins.get(name) != package.version:
            findings.append(
                (name, f"{package.version} is installed, locked is {pins.get(name, 'none')}")
            )
        said = licence(package)
        if not PERMISSIVE.search(said):
            findings.append((name, f"licence: {said[:80]}"))
    return findings


def yanked_findings(lock: str) -> list[tuple[str, str]]:
    """Versions of a lock that the registry has withdrawn, as uv says when it looks them up."""
    with tempfile.TemporaryDirectory() as directory:
        command = [find_uv_bin(), "pip", "install", "--dry-run", "--no-deps", "--require-hashes"]
        command += ["--target", directory, "--requirements", str(ENVS / f"{lock}.txt")]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return [(lock, f"not looked up: {(done.stderr.strip().splitlines() or ['?'])[-1]}")]
    return [
        (match[1].lower(), f"{lock}: {match[0]}")
        for match in re.finditer(r"`?([\w.-]+)==[\w.+-]+`? is yanked.*", done.stderr)
    ]


def main() -> int:
    """Print the findings; 1 where one is not explained, or an explanation explains nothing."""
    explained = yaml.safe_load((ENVS / "audit.yaml").read_text(encoding="utf-8"))["exceptions"]
    findings = installed_findings()
    for lock in LOCKS:
        findings += yanked_findings(lock)
    for name, what in findings:
        print(f"{name}: {what} ({explained.get(name, 'NOT EXPLAINED')})")
    idle = sorted(set(explained) - {name for name, _ in findings})
    for name in idle:
        print(f"{name}: explained in envs/audit.yaml, but there is nothing to explain")
    open_ones = [name for name, _ in findings if name not in explained]
    checked = len(list(distributions()))
    print(f"audit: {checked} packages, {len(findings)} findings, {len(open_ones)} not explained")
    return 1 if open_ones or idle else 0


if __name__ == "__main__":
    sys.exit(main())
