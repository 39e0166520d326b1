"""The versions of vLLM: those that can be measured, and how each chooses its capture sizes.

Another version is a lock (envs/vllm-PLATFORM-VERSION.in, then `make lock`) and an entry in
`SUPPORTED`, and a `SizeRule` where the rule is another. Wordings that are new in its log go into
`log_wordings`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cudagraph_lab.engine.log_wordings import release
from cudagraph_lab.errors import LabError

VLLM_VERSION = "0.22.1"  # the lab's, and the default
# By platform, the versions with a lock in envs/; the newest differ, as the CPU's builds come later.
SUPPORTED = {
    "cuda": (VLLM_VERSION, "0.26.0", "0.33.0"),
    "cpu": (VLLM_VERSION, "0.26.0", "0.32.0"),
}


def lock_name(platform: str, version: str) -> str:
    """The name of the lock of a version in envs/, without its suffix.

    The lab's own version has none in the name: shipped records call its locks so.
    """
    return f"vllm-{platform}" + ("" if version == VLLM_VERSION else f"-{version}")


def supported_text() -> str:
    """The versions that can be measured, in words: `0.22.1, 0.26.0, 0.32.0 (CPU), ...`."""
    names = {"cuda": "CUDA", "cpu": "CPU"}
    where: dict[str, list[str]] = {}
    for platform, versions in SUPPORTED.items():
        for version in versions:
            where.setdefault(version, []).append(names[platform])
    return ", ".join(
        version if len(platforms) == len(SUPPORTED) else f"{version} ({platforms[0]})"
        for version, platforms in sorted(where.items(), key=lambda one: release(one[0]))
    )


def graphs_without_compilation(version: str | None) -> bool:
    """Whether this version makes full graphs of decode steps where only compilation is turned off.

    Source: vllm/config/vllm.py. Up to 0.26 graphs end with compilation, from 0.32 on they stay as
    FULL_DECODE_ONLY. What is no version counts as the lab's.
    """
    try:
        return version is not None and release(version) >= (0, 32)
    except ValueError:
        return False


def oldest_first(versions: Iterable[str]) -> list[str]:
    """Versions, each once, the oldest first; what is no version comes before them."""

    def place(version: str) -> tuple[int, ...]:
        try:
            return release(version)
        except ValueError:
            return ()

    return sorted(set(versions), key=lambda version: (place(version), version))


@dataclass(frozen=True)
class SizeRule:
    """How the versions from `since` to `until` (major and minor, inclusive) choose the sizes.

    Source: `VllmConfig._set_cudagraph_sizes` in vllm/config/vllm.py of these versions (in 0.11
    `vllm/config/__init__.py`).
    """

    since: tuple[int, int]
    until: tuple[int, int]
    by_sixteen_from: int | None  # the size from which the stride is 16 instead of 8
    adds_max_num_batched_tokens: bool
    adds_max_num_seqs: bool


RULES = (
    SizeRule((0, 11), (0, 11), None, False, False),
    SizeRule((0, 17), (0, 28), 256, True, False),
    SizeRule((0, 32), (0, 33), 256, True, True),
)


def rule_of(version: str) -> SizeRule:
    """The rule of a version such as `0.22.1`. Raises LabError for one whose rule is not known."""
    try:
        numbers = release(version)
    except ValueError:
        numbers = ()
    for rule in RULES:
        if len(numbers) >= 2 and rule.since <= (numbers[0], numbers[1]) <= rule.until:
            return rule
    known = ", ".join(
        ".".join(map(str, rule.since))
        + (f" to {'.'.join(map(str, rule.until))}" if rule.until != rule.since else "")
        for rule in RULES
    )
    raise LabError(
        f"version {version!r}: no capture-size rule known for it; use one of {known}, "
        "or give the sizes themselves"
    )
