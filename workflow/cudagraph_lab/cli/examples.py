"""Examples for each command, shown by `-h`; the tests run them."""

import argparse
from typing import Any

EXAMPLES = {
    "startup-log": ["startup-log server.log", "startup-log --sources server.log"],
    "ladder": [
        "ladder --log server.log --rungs 12",
        "ladder --batches steps.txt --max-num-seqs 40 --speculative-tokens 3",
    ],
    "extrapolate": [
        "extrapolate --device h100 --model llama-70b --batch 32 --tp 8",
        "extrapolate --device h100 --model llama-3-8b --batch 1 --host h100-turns",
    ],
    "calibrate": ["calibrate h100-turns"],
    "forecast": [
        "forecast --host h100-turns --device h100 --model llama-3-8b --batch 1 8 --dataset 'mine*' "
        "--context 128"
    ],
    "simulate": ["simulate --dataset simulated-mine --repeats 3"],
    "build-environment": ["build-environment --platform cpu"],
    "clear-leftovers": ["clear-leftovers"],
    "set-aside": ["set-aside results/mine/runs/eager/rep1.json"],
    "doctor": ["doctor", "doctor --json"],
    "completion": ["completion bash > ~/.local/share/bash-completion/completions/cudagraph-lab"],
}


def show_examples(commands: Any) -> None:
    """Give each command of a parser its examples, after its options."""
    for name, examples in EXAMPLES.items():
        parser: argparse.ArgumentParser = commands.choices[name]
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        said = "\n".join(f"  cudagraph-lab {example}" for example in examples)
        parser.epilog = f"examples:\n{said}"
