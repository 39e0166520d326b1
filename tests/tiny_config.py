"""The configuration of trials: a model of two layers, few calls, one repeat; vLLM or a stand-in."""

import sys
from typing import Any

from cudagraph_lab import REPOSITORY
from tests.own_device import CACHE, SHARE_OF_MEMORY

OUTPUT_TOKENS, BATCH_SIZES = 8, [1, 4]  # of trials with vLLM itself


def _two_layers(dataset: str, model: str) -> dict[str, Any]:
    return {
        "measure": "cpu",
        "dataset": dataset,
        "compare": [],
        "model": {
            "name": f"tests/{model}",
            "weights": "dummy",
            "architecture": str(REPOSITORY / "tests" / "models" / model),
        },
        "order": "apart",
        "repeats": 1,
    }


def tiny_config(dataset: str, **more: Any) -> dict[str, Any]:
    """What is laid over the shipped configuration for a stand-in for vLLM; `more` over that."""
    return {
        **_two_layers(dataset, "opt-2-layers"),
        "vllm_python": sys.executable,
        "workload": {"output_tokens": 4, "batch_sizes": [1, 2], "max_model_len": 64},
        "iterations": 1,
        "warmups": 0,
        **more,
    }


def vllm_config(dataset: str, model: str = "opt-2-layers", **more: Any) -> dict[str, Any]:
    """The same for vLLM itself on this machine's CPU, from the user's cache."""
    return {
        **_two_layers(dataset, model),
        "cache_dir": CACHE,
        "workload": {
            "output_tokens": OUTPUT_TOKENS,
            "batch_sizes": BATCH_SIZES,
            "max_model_len": 64,
            "gpu_memory_utilization": SHARE_OF_MEMORY,
        },
        **more,
    }
