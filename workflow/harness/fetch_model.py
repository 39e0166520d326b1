"""Fetch a model from the hub with progress; prints its path and revision.

    python fetch_model.py NAME

Runs in vLLM's environment, which brings huggingface_hub.
"""

import sys
from pathlib import Path

from huggingface_hub import snapshot_download

# Weights in one format only, configuration and tokenizer; never code.
WANTED = ["*.json", "*.safetensors", "pytorch_model*.bin", "*.model", "*.txt"]

if __name__ == "__main__":
    path = Path(snapshot_download(sys.argv[1], allow_patterns=WANTED))
    # A snapshot's directory is named after its revision.
    print(f"{path}\t{path.name}")
