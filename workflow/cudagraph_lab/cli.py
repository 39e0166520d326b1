"""The command line: `cudagraph-lab COMMAND`."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cudagraph_lab.errors import LabError, one_line_errors, say
from cudagraph_lab.files import write_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake ends in one line and exit code 1."""
    parser = argparse.ArgumentParser(
        prog="cudagraph-lab",
        description="What CUDA graphs buy in vLLM: predicted, measured, judged.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    log = commands.add_parser("startup-log", help="facts of a vLLM start-up log, as JSON")
    log.add_argument("file", type=Path, metavar="FILE")
    log.set_defaults(run=_startup_log)

    ladder = commands.add_parser(
        "ladder", help="the best capture sizes for a histogram of batch sizes, against vLLM's"
    )
    ladder.add_argument(
        "--batches", type=Path, required=True, metavar="FILE", help="batch size and count per line"
    )
    ladder.add_argument("--rungs", type=int, required=True, help="capture sizes allowed, at most")
    ladder.add_argument("--max-num-seqs", type=int, default=256, help="of the engine (%(default)s)")
    ladder.add_argument(
        "--max-num-batched-tokens", type=int, default=8192, help="of the engine (%(default)s)"
    )
    ladder.add_argument("--json", action="store_true", help="print JSON")
    ladder.set_defaults(run=_ladder)

    question = commands.add_parser(
        "extrapolate", help="how much graphs should matter on hardware that was not measured"
    )
    question.add_argument("--device", required=True, help="a name of config/devices.yaml")
    question.add_argument("--model", required=True, help="a name of config/models.yaml")
    question.add_argument("--batch", type=int, required=True)
    question.add_argument("--tp", type=int, default=1, help="tensor parallelism (%(default)s)")
    question.add_argument("--dtype", choices=["bf16", "fp16", "fp8"], default="bf16")
    question.add_argument(
        "--context", type=int, default=1024, help="mean tokens in a request's cache (%(default)s)"
    )
    for constant, what in (("launch-us", "microseconds per launch"),
                           ("kernels-per-layer", "launches per layer and step")):  # fmt: skip
        question.add_argument(
            f"--{constant}",
            type=float,
            nargs=2,
            metavar=("LOW", "HIGH"),
            help=f"{what}, if measured",
        )
    question.add_argument("--json", action="store_true", help="print JSON")
    question.set_defaults(run=_extrapolate)

    simulated = commands.add_parser(
        "simulate", help="write a simulated data set of known truth under results/"
    )
    simulated.add_argument("--dataset", default="simulated-additive")
    simulated.add_argument("--repeats", type=int, default=5)
    simulated.add_argument("--iterations", type=int, default=5)
    simulated.add_argument("--seed", type=int, default=1)
    simulated.add_argument("--truth", default="{}", help="constants of the machine, as JSON")
    simulated.set_defaults(run=_simulate)

    environment = commands.add_parser(
        "build-environment", help="build vLLM's environment now, for measurements to find"
    )
    _take_environment(environment)
    environment.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    environment.set_defaults(run=_build_environment)

    leftovers = commands.add_parser(
        "clear-leftovers", help="clear what a killed workflow left in this directory"
    )
    leftovers.set_defaults(run=_clear_leftovers)

    aside = commands.add_parser(
        "set-aside", help="move a record away, so that the next run measures it anew"
    )
    aside.add_argument("file", type=Path, metavar="FILE")
    aside.set_defaults(run=_set_aside)

    step = commands.add_parser("register-predictions")
    step.add_argument("--predictions", type=Path, nargs="+", required=True)
    step.add_argument("--dataset", required=True)
    step.add_argument("--output", type=Path, required=True)
    step.set_defaults(run=_register_predictions)

    step = commands.add_parser("choose-weights")
    step.add_argument("--model", required=True)
    step.add_argument("--weights", choices=["auto", "hub", "dummy"], required=True)
    step.add_argument("--architecture")
    _take_environment(step)
    step.add_argument("--output", type=Path, required=True)
    step.set_defaults(run=_choose_weights)

    step = commands.add_parser("measure")
    step.add_argument("--job", required=True, help="what to measure, as JSON")
    step.add_argument("--weights", type=Path, required=True)
    step.set_defaults(run=_measure)

    options = parser.parse_args(arguments)
    with one_line_errors():
        options.run(options)
        # Within, so that a reader that has gone away is noticed here.
        sys.stdout.flush()


def _startup_log(options: argparse.Namespace) -> None:
    from cudagraph_lab.engine.startup_log import read_startup_log

    try:
        facts = read_startup_log(options.file)
    except OSError as error:
        raise LabError(f"{options.file}: {error.strerror}; name a log that can be read") from None
    print(facts.model_dump_json(indent=1))


def _ladder(options: argparse.Namespace) -> None:
    from cudagraph_lab.models.ladder import compare_ladders, read_histogram, vllm_capture_sizes

    histogram = read_histogram(options.batches)
    default = vllm_capture_sizes(options.max_num_seqs, options.max_num_batched_tokens)
    comparison = compare_ladders(histogram, default, options.rungs)
    if options.json:
        print(json.dumps(asdict(comparison), indent=1))
        return
    for title, cost in (
        ("vLLM's default", comparison.default),
        (f"best of at most {comparison.rungs_allowed}", comparison.best),
    ):
        share = cost.padded_share
        padding = "nothing is replayed" if share is None else f"{share:.1%} of all tokens padding"
        print(
            f"{title}: {len(cost.sizes)} sizes, {padding}, {cost.missed_steps} steps above the top"
        )
    print(f"cudagraph_capture_sizes: {list(comparison.best.sizes)}")


def _extrapolate(options: argparse.Namespace) -> None:
    from cudagraph_lab.ledger.outlook import answer

    asked = {key: getattr(options, key) for key in ("device", "model", "batch", "tp", "dtype")}
    bracket = answer(
        {**asked, "context": options.context},
        options.launch_us and tuple(options.launch_us),
        options.kernels_per_layer and tuple(options.kernels_per_layer),
    )
    if options.json:
        print(json.dumps({**asked, "context": options.context, **asdict(bracket)}, indent=1))
        return
    where = f"{options.model} on {options.tp} x {options.device}, {options.dtype}"
    print(f"{where}, batch {options.batch}: graphs gain between {bracket.low:.2f}x (launches")
    print(f"hidden behind GPU work) and {bracket.high:.2f}x (launches on top of it), if:")
    for assumption in bracket.assumptions:
        print(f"- {assumption}")


def _simulate(options: argparse.Namespace) -> None:
    from pydantic import ValidationError

    from cudagraph_lab.models.simulation import Truth, simulate

    try:
        truth = Truth.model_validate_json(options.truth)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise LabError(f"--truth: {where}: {first['msg']}") from None
    directory = Path("results") / options.dataset
    size = (options.repeats, options.iterations, options.seed)
    for path in simulate(truth, options.dataset, directory, *size):
        print(path)


def _take_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform", choices=["cuda", "cpu"], required=True, help="for what to measure with"
    )
    parser.add_argument("--vllm-python", default="managed", help="as in the configuration")
    parser.add_argument("--cache-dir", default="auto", help="as in the configuration")


def _register_predictions(options: argparse.Namespace) -> None:
    from cudagraph_lab.design.predictions import read_predictions, register

    register(read_predictions(options.predictions), options.dataset, options.output)


def _choose_weights(options: argparse.Namespace) -> None:
    from cudagraph_lab.design.weights import choose_weights
    from cudagraph_lab.engine.environment import vllm_python

    def python() -> Path:
        return vllm_python(options.vllm_python, options.cache_dir, options.platform)

    chosen = choose_weights(options.model, options.weights, options.architecture, python)
    write_json(options.output, chosen)


def _build_environment(options: argparse.Namespace) -> None:
    from cudagraph_lab.engine.environment import vllm_python

    python = str(vllm_python(options.vllm_python, options.cache_dir, options.platform))
    if options.output is None:
        print(python)
    else:
        write_json(options.output, {"python": python})


def _clear_leftovers(options: argparse.Namespace) -> None:
    from cudagraph_lab.measure.leftovers import clear_leftovers

    if not clear_leftovers(Path.cwd()):
        say("a workflow is at work in this directory, or it cannot be written: nothing is cleared")


def _set_aside(options: argparse.Namespace) -> None:
    from cudagraph_lab.records.record import set_aside

    print(f"{options.file}: now {set_aside(options.file).name}; the next run measures it anew")


def _measure(options: argparse.Namespace) -> None:
    from cudagraph_lab.design.job import Job
    from cudagraph_lab.measure.run import measure

    # An end that is asked for is one like Ctrl-C: everything that was started ends with it.
    for asked in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, signal.default_int_handler)
    job = Job.model_validate_json(options.job)
    try:
        weights = json.loads(options.weights.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LabError(
            f"{options.weights}: not whole ({type(error).__name__}); remove it to choose anew"
        ) from None
    measure(job, weights)


if __name__ == "__main__":
    main()
