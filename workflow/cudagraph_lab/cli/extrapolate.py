"""`cudagraph-lab extrapolate`: how much graphs should matter where nothing was measured."""

import argparse
import json
import textwrap
from dataclasses import asdict
from typing import Any

WIDTH = 98


def add_extrapolate(commands: Any) -> None:
    """Add the command to a parser's commands."""
    question = commands.add_parser(
        "extrapolate", help="how much graphs should matter on hardware that was not measured"
    )
    question.add_argument("--device", help="a name of config/devices.yaml")
    question.add_argument("--bandwidth-tb-s", type=float, help="of a device of your own")
    question.add_argument("--peak-tflops", type=float, help="of it, dense, 16 bit")
    question.add_argument(
        "--model", required=True, help="a name of config/models.yaml, or a path to a config.json"
    )
    question.add_argument("--weight-bits", type=float, help="per weight, where quantized")
    question.add_argument("--batch", type=int, required=True)
    question.add_argument("--tp", type=int, default=1, help="tensor parallelism (%(default)s)")
    question.add_argument("--dtype", choices=["bf16", "fp16", "fp8"], default="bf16")
    question.add_argument(
        "--context", type=int, default=1024, help="mean tokens in a request's cache (%(default)s)"
    )
    for constant, what in (
        ("launch-us", "microseconds per launch"),
        ("kernels-per-layer", "launches per layer and step"),
    ):
        question.add_argument(
            f"--{constant}",
            type=float,
            nargs=2,
            metavar=("LOW", "HIGH"),
            help=f"{what}, if measured",
        )
    question.add_argument("--json", action="store_true", help="print JSON")
    question.set_defaults(run=_extrapolate)


def _extrapolate(options: argparse.Namespace) -> None:
    from cudagraph_lab.ledger.outlook import answer_own

    asked = {key: getattr(options, key) for key in ("device", "model", "batch", "tp", "dtype",
             "context", "weight_bits", "bandwidth_tb_s", "peak_tflops")}  # fmt: skip
    bracket, outside = answer_own(
        asked,
        options.launch_us and tuple(options.launch_us),
        options.kernels_per_layer and tuple(options.kernels_per_layer),
    )
    if options.json:
        print(json.dumps({**asked, **asdict(bracket), "unchecked": outside}, indent=1))
        return
    device = options.device or f"{options.bandwidth_tb_s:g} TB/s, {options.peak_tflops:g} TFLOP/s"
    where = f"{options.model} on {options.tp} x {device}, {options.dtype}"
    print(f"{where}, batch {options.batch}: graphs gain between {bracket.low:.2f}x (launches")
    print(f"hidden behind GPU work) and {bracket.high:.2f}x (launches on top of it), if:")
    for assumption in bracket.assumptions:
        print(textwrap.fill(f"- {assumption}", WIDTH, subsequent_indent="  "))
    if outside:
        said = f"Outside of what this was ever checked on: {'; '.join(outside)}."
        print(textwrap.fill(f"{said} There the true gain may lie outside of the bracket.", WIDTH))
