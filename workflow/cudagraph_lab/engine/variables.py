"""Environment variables of vLLM that an arm may set: those that choose between its own parts.

Left out are all that name code, paths or hosts, and those that the harness sets itself.
"""

ALLOWED = frozenset(
    {
        "VLLM_ATTENTION_BACKEND",
        "VLLM_CPU_SGL_KERNEL",
        "VLLM_FLASH_ATTN_VERSION",
        "VLLM_USE_AOT_COMPILE",
        "VLLM_USE_FLASHINFER_SAMPLER",
        "VLLM_USE_STANDALONE_COMPILE",
        "VLLM_USE_V2_MODEL_RUNNER",
    }
)
