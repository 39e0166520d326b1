"""The command line: `cudagraph-lab COMMAND`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from cudagraph_lab.design import from_environment
from cudagraph_lab.errors import LabError, one_line_errors
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

    step = commands.add_parser("register-predictions", help=argparse.SUPPRESS)
    step.add_argument("--dataset", required=True)
    step.add_argument("--output", type=Path, required=True)
    step.set_defaults(run=_register_predictions)

    step = commands.add_parser("choose-weights", help=argparse.SUPPRESS)
    step.add_argument("--output", type=Path, required=True)
    step.set_defaults(run=_choose_weights)

    step = commands.add_parser("build-environment", help=argparse.SUPPRESS)
    step.add_argument("--output", type=Path, required=True)
    step.set_defaults(run=_build_environment)

    step = commands.add_parser("measure", help=argparse.SUPPRESS)
    step.add_argument("--dataset", required=True)
    step.add_argument("--arm", required=True)
    step.add_argument("--repeat", type=int, required=True)
    step.add_argument("--weights", type=Path, required=True)
    step.add_argument("--output", type=Path, required=True)
    step.set_defaults(run=_measure)

    options = parser.parse_args(arguments)
    with one_line_errors():
        options.run(options)


def _startup_log(options: argparse.Namespace) -> None:
    from cudagraph_lab.startup_log import read_startup_log

    try:
        facts = read_startup_log(options.file)
    except OSError as error:
        raise LabError(f"{options.file}: {error.strerror}; name a log that can be read") from None
    print(facts.model_dump_json(indent=1))


def _register_predictions(options: argparse.Namespace) -> None:
    from cudagraph_lab.predictions import prediction_files, read_predictions, register

    config, _ = from_environment()
    register(read_predictions(prediction_files(config)), options.dataset, options.output)


def _choose_weights(options: argparse.Namespace) -> None:
    from cudagraph_lab.weights import choose_weights

    config, platform = from_environment()
    write_json(options.output, choose_weights(config, platform))


def _build_environment(options: argparse.Namespace) -> None:
    from cudagraph_lab.environments import vllm_python

    config, platform = from_environment()
    write_json(options.output, {"python": str(vllm_python(config, platform))})


def _measure(options: argparse.Namespace) -> None:
    from cudagraph_lab.measure import measure

    config, platform = from_environment()
    weights = json.loads(options.weights.read_text(encoding="utf-8"))
    measure(config, platform, options.dataset, options.arm, options.repeat, weights, options.output)


if __name__ == "__main__":
    main()
