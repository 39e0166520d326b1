"""The command line: `cudagraph-lab COMMAND`."""

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from cudagraph_lab import __version__
from cudagraph_lab.cli.calibrate import add_calibrate
from cudagraph_lab.cli.doctor import add_doctor
from cudagraph_lab.cli.examples import show_examples
from cudagraph_lab.cli.extrapolate import add_extrapolate
from cudagraph_lab.cli.forecast import add_forecast
from cudagraph_lab.cli.ladder import add_ladder
from cudagraph_lab.cli.startup_log import add_startup_log
from cudagraph_lab.engine.versions import VLLM_VERSION
from cudagraph_lab.errors import LabError, one_line_errors
from cudagraph_lab.files import write_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake ends in one line and exit code 1."""
    options = parser_of_commands().parse_args(arguments)
    with one_line_errors():
        options.run(options)
        # Within, so that a reader that has gone away is noticed here.
        sys.stdout.flush()


def parser_of_commands() -> argparse.ArgumentParser:
    """All commands with their options; those without a help text are steps of the workflow."""
    parser = argparse.ArgumentParser(
        prog="cudagraph-lab",
        description="What CUDA graphs buy in vLLM: predicted, measured, judged.",
        epilog="`make lab` measures and writes the report, `make report` writes it from what is "
        "there. `cudagraph-lab COMMAND -h` shows examples.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"cudagraph-lab {__version__}, for vLLM {VLLM_VERSION}",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    add_startup_log(commands)
    add_ladder(commands)
    add_extrapolate(commands)
    add_calibrate(commands)
    add_forecast(commands)

    simulated = commands.add_parser(
        "simulate", help="write a simulated data set of known truth under results/"
    )
    simulated.add_argument("--dataset", default="simulated-additive")
    simulated.add_argument("--repeats", type=int, default=5)
    simulated.add_argument("--iterations", type=int, default=5)
    simulated.add_argument("--seed", type=int, default=1)
    simulated.add_argument("--truth", default="{}", help="constants of the machine, as JSON")
    simulated.add_argument("--json", action="store_true", help="print JSON")
    simulated.set_defaults(run=_simulate)

    environment = commands.add_parser(
        "build-environment", help="build vLLM's environment now, for measurements to find"
    )
    _take_environment(environment)
    environment.add_argument("--json", action="store_true", help="print JSON")
    environment.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    environment.set_defaults(run=_build_environment)

    leftovers = commands.add_parser(
        "clear-leftovers", help="clear what a killed workflow left in this directory"
    )
    leftovers.set_defaults(run=_clear_leftovers)

    aside = commands.add_parser(
        "set-aside", help="move records away, so that the next run measures them anew"
    )
    aside.add_argument("files", type=Path, nargs="+", metavar="FILE")
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
    step.add_argument("--draft", action="append", default=[])
    _take_environment(step)
    step.add_argument("--output", type=Path, required=True)
    step.set_defaults(run=_choose_weights)

    step = commands.add_parser("measure")
    step.add_argument("--job", required=True, help="what to measure, as JSON")
    step.add_argument("--weights", type=Path, required=True)
    step.set_defaults(run=_measure)

    add_doctor(commands)
    completion = commands.add_parser(
        "completion", help="print the completion of commands and options for a shell"
    )
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    completion.set_defaults(
        run=lambda options: _completion(parser, commands.choices.values(), options.shell)
    )
    show_examples(commands)
    return parser


def _completion(
    parser: argparse.ArgumentParser, commands: Iterable[argparse.ArgumentParser], shell: str
) -> None:
    import shtab

    for action in (action for command in commands for action in command._actions):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell))


def _simulate(options: argparse.Namespace) -> None:
    from pydantic import ValidationError

    from cudagraph_lab.forms import first_mistake
    from cudagraph_lab.models.simulation import Truth, simulate

    try:
        truth = Truth.model_validate_json(options.truth)
    except ValidationError as error:
        raise LabError(f"--truth: {first_mistake(error, 'JSON')}") from None
    directory = Path("results") / options.dataset
    size = (options.repeats, options.iterations, options.seed)
    paths = [str(path) for path in simulate(truth, options.dataset, directory, *size)]
    print(json.dumps({"files": paths}, indent=1) if options.json else "\n".join(paths))


def _take_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform", choices=["cuda", "cpu"], required=True, help="for what to measure with"
    )
    parser.add_argument(
        "--vllm", nargs="+", default=[VLLM_VERSION], metavar="VERSION", help="versions of vLLM"
    )
    parser.add_argument(
        "--vllm-python", default="managed", help="as in the configuration; a map as JSON"
    )
    parser.add_argument("--cache-dir", default="auto", help="as in the configuration")


def _pythons(options: argparse.Namespace) -> dict[str, Path]:
    """The Python of each version of vLLM that is asked for, built where it has to be."""
    from cudagraph_lab.engine.environment import vllm_python

    given = options.vllm_python
    python = json.loads(given) if given.startswith("{") else given
    return {
        version: vllm_python(python, options.cache_dir, options.platform, version)
        for version in options.vllm
    }


def _register_predictions(options: argparse.Namespace) -> None:
    from cudagraph_lab.design.predictions import read_predictions, register

    register(read_predictions(options.predictions), options.dataset, options.output)


def _choose_weights(options: argparse.Namespace) -> None:
    from cudagraph_lab.design.weights import choose_weights

    def python() -> Path:
        # Any version fetches alike.
        return next(iter(_pythons(options).values()))

    chosen = choose_weights(
        options.model, options.weights, options.architecture, python, options.draft
    )
    write_json(options.output, chosen)


def _build_environment(options: argparse.Namespace) -> None:
    pythons = [str(path) for path in _pythons(options).values()]
    built = {"python": pythons[0]} if len(pythons) == 1 else {"python": pythons}
    if options.output is None:
        print(json.dumps(built) if options.json else "\n".join(pythons))
    else:
        write_json(options.output, built)


def _clear_leftovers(options: argparse.Namespace) -> None:
    from cudagraph_lab.measure.leftovers import clear_leftovers

    # Where a workflow is at work, or nothing can be written, Snakemake is about to say so.
    clear_leftovers(Path.cwd())


def _set_aside(options: argparse.Namespace) -> None:
    from cudagraph_lab.records.store import set_aside

    for file in options.files:
        print(f"{file}: now {set_aside(file).name}; the next run measures it anew")


def _measure(options: argparse.Namespace) -> None:
    from pydantic import ValidationError

    from cudagraph_lab.design.job import Job
    from cudagraph_lab.measure.run import measure

    # An end that is asked for is one like Ctrl-C: everything that was started ends with it.
    for asked in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, signal.default_int_handler)
    try:
        job = Job.model_validate_json(options.job)
    except ValidationError:
        raise LabError("measure is a step of the workflow; run `make lab`") from None
    try:
        weights = json.loads(options.weights.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LabError(
            f"{options.weights}: not whole ({type(error).__name__}); remove it to choose anew"
        ) from None
    measure(job, weights)
