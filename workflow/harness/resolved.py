"""What vLLM made of its arguments, as the worker's objects tell after the boot."""

from typing import Any

from vllm.distributed.parallel_state import get_tp_group

# Who may sum over the ranks of tensor parallelism: attributes of vLLM's communicator, in the
# order in which it asks them.
ALL_REDUCES = {
    "qr_comm": "quick all-reduce",
    "fi_ar_comm": "FlashInfer",
    "ca_comm": "custom all-reduce",
    "symm_mem_comm": "symmetric memory",
    "pynccl_comm": "NCCL",
}


def resolved(config: Any, runner: Any, draft_model: Any) -> dict[str, Any]:
    """The `resolved` of the record; `draft_model` is None where no draft has weights of its own."""
    compilation = config.compilation_config
    level = getattr(config, "optimization_level", None)
    return {
        "compile_mode": compilation.mode.name,
        "cudagraph_mode": compilation.cudagraph_mode.name,
        "capture_sizes": sorted(compilation.cudagraph_capture_sizes or []),
        "custom_ops": list(compilation.custom_ops),
        "enforce_eager": config.model_config.enforce_eager,
        "dtype": str(config.model_config.dtype),
        "attention_backend": _backends(
            group for groups in getattr(runner, "attn_groups", []) for group in groups
        ),
        "max_num_seqs": config.scheduler_config.max_num_seqs,
        "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
        "max_model_len": config.model_config.max_model_len,
        "block_size": config.cache_config.block_size,
        "num_gpu_blocks": config.cache_config.num_gpu_blocks,
        "enable_prefix_caching": config.cache_config.enable_prefix_caching,
        "optimization_level": None if level is None else int(level),
        "tensor_parallel_size": config.parallel_config.tensor_parallel_size,
        "pipeline_parallel_size": config.parallel_config.pipeline_parallel_size,
        "data_parallel_size": config.parallel_config.data_parallel_size,
        "all_reduce": _all_reduce(),
        "speculative_tokens": getattr(config, "num_speculative_tokens", None),
        "draft": None
        if draft_model is None
        else _draft(config.speculative_config.method, runner, draft_model),
        "async_scheduling": config.scheduler_config.async_scheduling,
        "model_runner": type(runner).__module__,
    }


def _backends(groups: Any) -> str | None:
    return ", ".join(sorted({group.backend.get_name() for group in groups})) or None


def _draft(method: str, runner: Any, model: Any) -> dict[str, Any]:
    """What vLLM made of the draft."""
    drafter = runner.drafter
    # None where this vLLM has no dispatcher of the draft's own: not known.
    keys = getattr(getattr(drafter, "cudagraph_dispatcher", None), "cudagraph_keys", None)
    sizes = {
        mode.name: sorted({key.num_tokens for key in of_mode})
        for mode, of_mode in (keys or {}).items()
        if of_mode
    }
    seen = {one.data_ptr(): one.numel() * one.element_size() for one in model.parameters()}
    # On a CPU vLLM packs some weights and leaves empty ones in their place: not known.
    packed = any(one.numel() == 0 for one in model.parameters())
    return {
        "method": method,
        "layers": drafter.draft_model_config.hf_config.num_hidden_layers,
        "weight_bytes": None if packed else sum(seen.values()),
        "cudagraph_mode": None if keys is None else next(iter(sizes), "NONE"),
        "capture_sizes": None if keys is None else next(iter(sizes.values()), []),
        "attention_backend": _backends(getattr(drafter, "draft_attn_groups", [])),
    }


def _all_reduce() -> str | None:
    """Who sums over the ranks of tensor parallelism; None for a single rank."""
    group = get_tp_group()
    if group.world_size == 1:
        return None
    communicator = group.device_communicator
    there = []
    for name, words in ALL_REDUCES.items():
        one = getattr(communicator, name, None)
        if one is None or getattr(one, "disabled", False):
            continue
        most = getattr(one, "max_size", None)
        there.append(f"{words} up to {most / 2**20:g} MiB" if isinstance(most, int) else words)
    if there:
        return ", then ".join(there)
    return "shared memory" if hasattr(communicator, "dist_module") else "torch.distributed"
