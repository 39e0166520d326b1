"""How vLLM words what it says at start-up: a table with the versions that print each wording.

The table is data: the reader's patterns and the tests' logs are both made from it. To add a
version, add the wordings that are new in it and close those that ended before it. The reader
tries all wordings, whatever version wrote the log.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

Event = Literal[
    "began", "finished", "profiled", "estimated", "pool", "available", "sized", "model",
    "compiled", "came_up", "backend",
]  # fmt: skip

NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
_ATTENTION = r"[A-Z0-9_]*(?:ATTN|ATTENTION|MLA|AITER|FLASHINFER|SDPA|XFORMERS|TURBOQUANT)[A-Z0-9_]*"

# What vLLM called its backends in prose before it printed their names.
BACKEND_NAMES = {
    "Flash Attention": "FLASH_ATTN",
    "FlashInfer": "FLASHINFER",
    "FlexAttention": "FLEX_ATTENTION",
    "Triton": "TRITON_ATTN",
    "Triton MLA": "TRITON_MLA",
    "FlashMLA": "FLASHMLA",
    "Cutlass MLA": "CUTLASS_MLA",
    "XFormers": "XFORMERS",
    "Torch SDPA": "TORCH_SDPA",
    "ROCmFlashAttention": "ROCM_FLASH",
    "Pallas": "PALLAS",
}

# What may stand in the place of a name in braces; every other name stands for a number.
_PLACES = {
    "vllm_version": r"(?P<vllm_version>[^\s()]+)",
    "kv_cache_tokens": r"(?P<kv_cache_tokens>\d[\d,]*)",
    "backend": r"(?P<attention_backend>[A-Z][A-Z0-9_]*)",
    "attention": rf"(?P<attention_backend>{_ATTENTION})",
    "prose": f"(?P<attention_backend>{'|'.join(map(re.escape, BACKEND_NAMES))})",
    "work": r"[^()]*",
    "model": r"\[[\w .:/-]{1,60}\]",
    "layout": r"\w+",
    "number": NUMBER,
    "end": r"\b(?! for )",  # a backend for something else than the model's attention
}


@dataclass(frozen=True)
class Wording:
    """One wording of one event.

    Names in braces are facts, or places of `_PLACES`; `<...>` may be cut off or missing.
    `since` and `until` (inclusive) are the versions that print it; None: the newest known.
    """

    event: Event
    template: str
    since: str
    until: str | None = None

    def printed_by(self, version: str) -> bool:
        """Whether this version of vLLM prints this wording."""
        after = release(version) >= release(self.since)
        return after and (self.until is None or release(version) <= release(self.until))


WORDINGS = (
    Wording("began", "Initializing an LLM engine< (v{vllm_version})>", "0.5", "0.7.3"),
    Wording("began", "Initializing a V0 LLM engine< (v{vllm_version})>", "0.8.0", "0.10.2"),
    Wording("began", "Initializing a V1 LLM engine< (v{vllm_version})>", "0.7.0"),
    Wording("finished", "Graph capturing finished< in {capture_seconds} secs>", "0.5", "0.6.3"),
    Wording(
        "finished",
        "Graph capturing finished< in {capture_seconds} secs<, took {capture_gib} GiB>>",
        "0.6.4",
    ),
    Wording("profiled", "Profiling CUDA graph memory: ", "0.19.0"),
    Wording("estimated", "Estimated CUDA graph memory: {estimated_gib} GiB", "0.19.0"),
    Wording(
        "pool",
        "CUDA graph pool memory: {number} GiB (actual), {estimated_gib} GiB (estimated)",
        "0.19.0",
    ),
    Wording("available", "Available KV cache memory: {number} GiB", "0.8.3"),
    Wording("sized", "# GPU blocks: {number}", "0.5", "0.7.3"),
    Wording("sized", "# cuda blocks: {number}", "0.8.0", "0.10.2"),
    Wording("sized", "GPU KV cache size: {kv_cache_tokens} tokens", "0.8.0"),
    Wording("sized", "CPU KV cache size: {kv_cache_tokens} tokens", "0.8.0"),
    Wording("sized", "GPU + host KV cache size: {kv_cache_tokens} tokens", "0.32.0"),
    # The unit was misprinted up to 0.8.2: the value is in GiB.
    Wording("model", "Loading model weights took {model_load_gib} GB", "0.5", "0.7.3"),
    Wording(
        "model",
        "Model loading took {model_load_gib} GB< and {model_load_seconds} seconds>",
        "0.8.0",
        "0.8.2",
    ),
    Wording(
        "model",
        "Model loading took {model_load_gib} GiB< and {model_load_seconds} seconds>",
        "0.8.3",
        "0.26.0",  # from 0.14.0 on by the V2 runner alone
    ),
    Wording(
        "model",
        "Model loading took {model_load_gib} GiB memory< and {model_load_seconds} seconds>",
        "0.14.0",
    ),
    Wording("compiled", "torch.compile takes {compile_seconds} s in total", "0.7.0", "0.17.1"),
    Wording("compiled", "torch.compile took {compile_seconds} s in total", "0.18.0"),
    # With the model's part where it has one.
    Wording("compiled", "{model} torch.compile took {compile_seconds} s in total", "0.32.0"),
    Wording(
        "compiled",
        "torch.compile and initial profiling/warmup run together took {compile_seconds} s in total",
        "0.18.0",
    ),
    Wording(
        "compiled",
        "{model} torch.compile and initial profiling/warmup run together took "
        "{compile_seconds} s in total",
        "0.32.0",
    ),
    Wording("came_up", "init engine ({work}) took {init_engine_seconds} seconds", "0.6", "0.17.1"),
    Wording(
        "came_up",
        "init engine ({work}) took {init_engine_seconds} s< (compilation: {compilation} s<)>>",
        "0.18.0",
    ),
    Wording("backend", "Using {prose} backend<.>", "0.5", "0.10.2"),
    Wording("backend", "Using {prose} backend on V1 engine.", "0.8.0", "0.12.0"),
    Wording("backend", "Using AttentionBackendEnum.{attention} backend{end}", "0.12.0", "0.20.2"),
    Wording("backend", "Using {attention} backend{end}", "0.12.0"),
    Wording("backend", "Using {backend} attention backend{end}", "0.17.0"),
    Wording("backend", "Using {layout} KV cache layout for {backend} backend{end}", "0.10.0"),
)

# Text that stands in every line that can tell something: the cheap test of a long log.
TELLING = (
    "CUDA graph",
    "Graph capturing",
    "KV cache",
    "LLM engine",
    "init engine (",
    "torch.compile ",
    "Model loading took",
    "Loading model weights took",
    " blocks: ",
)


def release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `0.22.1rc1` gives (0, 22, 1).

    Raises ValueError for text that begins with no number.
    """
    numbers = re.match(r"\d+(?:\.\d+)*", version, re.ASCII)
    if numbers is None:
        raise ValueError(f"{version!r} is no version")
    return tuple(int(part) for part in numbers[0].split("."))


@cache
def pattern(template: str) -> re.Pattern[str]:
    """The pattern that reads a template; a name in braces becomes a group of that name."""
    made = ""
    for part in re.split(r"(\{\w+\}|<|>)", template):
        if part.startswith("{"):
            name = part[1:-1]
            made += _PLACES.get(name) or f"(?P<{name}>{NUMBER})"
        else:
            made += {"<": "(?:", ">": ")?"}.get(part) or re.escape(part)
    return re.compile(made, re.ASCII)


def read_message(message: str) -> tuple[Event, dict[str, str]] | None:
    """The event that a message tells of and the facts in it; None where it tells nothing.

    Where several wordings fit, the one that explains most of the message counts.
    """
    best: tuple[int, Event, dict[str, str]] | None = None
    for wording in WORDINGS:
        found = pattern(wording.template).match(message)
        if found and (best is None or found.end() > best[0]):
            facts = {name: value for name, value in found.groupdict().items() if value is not None}
            best = found.end(), wording.event, facts
    return best and best[1:]
