"""`cudagraph-lab extrapolate`: how much graphs should matter where nothing was measured."""

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cudagraph_lab.cli.options import add_engine

if TYPE_CHECKING:
    from cudagraph_lab.ledger.extrapolated_speculation import Speculated
    from cudagraph_lab.ledger.extrapolations import Extrapolated
    from cudagraph_lab.ledger.measured_answers import Measured
    from cudagraph_lab.models.forecast import Forecast

WIDTH = 98
ASKED = ("device", "model", "batch", "tp", "dtype", "context", "weight_bits", "bandwidth_tb_s",
         "peak_tflops")  # fmt: skip


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
    question.add_argument(
        "--context", type=int, default=1024, help="mean tokens in a request's cache (%(default)s)"
    )
    question.add_argument(
        "--host",
        metavar="DATASET",
        help="data set that was measured on the host in question; "
        "without it a host that nobody measured",
    )
    for constant, what in (
        ("launch-us", "microseconds per launch of eager code, without --host"),
        ("kernels-per-layer", "kernels per layer and step of eager code"),
    ):
        question.add_argument(
            f"--{constant}", type=float, nargs=2, metavar=("LOW", "HIGH"), help=f"{what}, 90%%"
        )
    add_engine(question)
    question.add_argument("--json", action="store_true", help="print JSON")
    question.set_defaults(run=_extrapolate)


def _extrapolate(options: argparse.Namespace) -> None:
    from cudagraph_lab.errors import LabError
    from cudagraph_lab.ledger.extrapolated_speculation import extrapolate_speculation
    from cudagraph_lab.ledger.extrapolations import extrapolate, pose
    from cudagraph_lab.ledger.measured_answers import measured_beside

    if options.host and options.launch_us:
        raise LabError("--launch-us: --host knows the cost of a launch; give one of the two")
    asked = {key: getattr(options, key) for key in ASKED}
    posed = pose(
        asked,
        options.host,
        _bounds("--launch-us", options.launch_us),
        _bounds("--kernels-per-layer", options.kernels_per_layer),
    )
    said = extrapolate(posed)
    measured = measured_beside(asked)
    speculated = None
    if options.draft is not None:
        speculated = extrapolate_speculation(
            posed,
            options.draft,
            options.speculative_tokens,
            asynchronous=options.async_scheduling,
            replayed=options.draft_graphs,
        )
    if options.json:
        also: dict[str, Any] = {"speculation": asdict(speculated)} if speculated else {}
        also["measured"] = [asdict(one) for one in measured]
        print(json.dumps({**asked, "host": options.host, **asdict(said), **also}, indent=1))
    else:
        lines = [*_lines(options, said), *_measured_lines(options, measured)]
        print("\n".join([*lines, *(_speculation_lines(speculated) if speculated else [])]))


def _bounds(option: str, given: Sequence[float] | None) -> tuple[float, float] | None:
    from cudagraph_lab.errors import LabError

    if given is None:
        return None
    low, high = given
    if not 0 < low < high < float("inf"):
        raise LabError(f"{option}: must be LOW HIGH with 0 < LOW < HIGH, got {low:g} {high:g}")
    return low, high


def _lines(options: argparse.Namespace, said: "Extrapolated") -> list[str]:
    device = options.device or f"{options.bandwidth_tb_s:g} TB/s, {options.peak_tflops:g} TFLOP/s"
    lines = [
        f"{options.model} on {options.tp} x {device}, {options.dtype}, batch {options.batch}:",
        f"  graphs over eager: {_told(said.ratio, 1, 'x')}",
    ]
    lines += [
        f"  step, {arm}: {_told(step, 1000, ' ms')}; host {said.host_s[arm] * 1000:.3g} ms, "
        f"GPU {said.gpu_s[arm] * 1000:.3g} ms"
        for arm, step in said.step_s.items()
    ]
    lab = ", ".join(f"{model} {ratio:.2f}x" for model, ratio in said.lab.items())
    lines += [f"  the lab's two models with the same launches and GPU work: {lab}", "It rests on:"]
    lines += _rests_on(said.rests_on)
    if said.unchecked:
        unlike = "; ".join(said.unchecked)
        outside = f"Outside of the published pairs that it was checked on: {unlike}."
        lines.append(textwrap.fill(outside, WIDTH))
    return lines


def _measured_lines(options: argparse.Namespace, found: "Sequence[Measured]") -> list[str]:
    """What was measured of this model, number of GPUs and batch size, on any device."""
    if options.device is None or not found:
        return []
    told = [
        f"{one.ratio:.2f}x on {options.tp} x {one.device} ({one.eager_s * 1000:.3g} over "
        f"{one.graphs_s * 1000:.3g} ms, {one.dataset}, n = {one.repeats})"
        for one in found
    ]
    return [textwrap.fill(f"Measured, a decode step: {'; '.join(told)}.", WIDTH)]


def _rests_on(reasons: Sequence[str]) -> list[str]:
    return [textwrap.fill(f"- {one}", WIDTH, subsequent_indent="  ") for one in reasons]


def _speculation_lines(said: "Speculated") -> list[str]:
    most = 1 + said.tokens
    lines = [f"With {said.tokens} tokens drafted by {said.draft}, a step yields 1 to {most}:"]
    for arm, one in said.arms.items():
        lines += [
            f"  step, {arm}: {_told(one.step_s, 1000, ' ms')}; host {one.host_s * 1000:.3g} ms,",
            f"    GPU: draft {one.draft_gpu_s * 1000:.3g} ms, verification "
            f"{one.verify_gpu_s * 1000:.3g} ms",
        ]
        never = f"; over {most}, which no acceptance yields" if one.can_pay < 0.5 else ""
        lines.append(f"    pays from {_told(one.tokens_to_pay, 1, '')} tokens a step{never}")
    more = _told(said.eager_over_graphs, 1, "x")
    lines.append(f"  eager needs {more} what graphs need;")
    lines.append(f"    more in {said.fewer_with_graphs:.0%} of the draws")
    lines.append("It rests on:")
    return lines + _rests_on(said.rests_on)


def _told(forecast: "Forecast", scale: float, unit: str) -> str:
    def number(value: float) -> str:
        return f"{value * scale:.3g}"

    return (
        f"{number(forecast.median)}{unit} "
        f"(50%: {number(forecast.low_50)} to {number(forecast.high_50)}, "
        f"90%: {number(forecast.low_90)} to {number(forecast.high_90)})"
    )
