"""The configuration of trials: a model of two layers, two arms, one repeat, a stand-in for vLLM."""

import sys
from typing import Any

from cudagraph_lab import REPOSITORY


def tiny_config(dataset: str, **more: Any) -> dict[str, Any]:
    """What is laid over the shipped configuration, and `more` over that."""
    return {
        "measure": "cpu",
        "dataset": dataset,
        "compare": [],
        "vllm_python": sys.executable,
        "model": {
            "name": "tests/opt-2-layers",
            "weights": "dummy",
            "architecture": str(REPOSITORY / "tests" / "models" / "opt-2-layers"),
        },
        "workload": {"output_tokens": 4, "batch_sizes": [1, 2], "max_model_len": 64},
        "order": "apart",
        "repeats": 1,
        "iterations": 1,
        "warmups": 0,
        **more,
    }
