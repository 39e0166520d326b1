"""What this project pins of vLLM: the version whose behaviour the package describes."""

VLLM_VERSION = "0.22.1"
