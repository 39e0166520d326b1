"""`cudagraph-lab forecast`: predictions to register before a data set is measured."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cudagraph_lab.cli.options import add_engine

if TYPE_CHECKING:
    from cudagraph_lab.models.step import StepArm


def add_forecast(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "forecast", help="write predictions of what is still to be measured, to register first"
    )
    parser.add_argument("--host", required=True, help="data set that the host was measured in")
    parser.add_argument(
        "--all-reduce",
        metavar="DATASET",
        help="data set of two ranks that the all-reduce is fitted on; without it one is assumed",
    )
    parser.add_argument(
        "--last",
        metavar="DATASET",
        help="data set of the same model on another device, for the baseline that nothing changes",
    )
    parser.add_argument("--device", required=True, help="a name of config/devices.yaml")
    parser.add_argument("--model", required=True, nargs="+", help="names of config/models.yaml")
    parser.add_argument("--batch", required=True, type=int, nargs="+")
    parser.add_argument("--dataset", required=True, help="name of the data set; * stands for any")
    parser.add_argument("--context", required=True, type=int, help="mean tokens of a request")
    parser.add_argument(
        "--arms",
        nargs="*",
        choices=["eager", "compiled", "graphs"],
        default=["eager", "compiled", "graphs"],
        help="arms without speculation (all three)",
    )
    add_engine(parser)
    parser.add_argument(
        "--speculating",
        nargs="+",
        default=["eager=spec-eager", "graphs=spec-graphs"],
        metavar="ARM=NAME",
        help="speculating arms by what they are: eager, compiled or graphs (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draws (%(default)s)")
    parser.set_defaults(run=_forecast)


def _arms(given: Sequence[str]) -> "dict[StepArm, str]":
    from cudagraph_lab.errors import LabError
    from cudagraph_lab.models.step import STEP_ARMS

    pairs = [one.partition("=") for one in given]
    named = {known: name for arm, _, name in pairs for known in STEP_ARMS if known == arm and name}
    if len(named) < len(given):
        raise LabError(f"--speculating: {' '.join(given)}: give ARM=NAME with ARM one of "
                       f"{', '.join(STEP_ARMS)}, each once")  # fmt: skip
    return named


def _forecast(options: argparse.Namespace) -> None:
    import yaml

    from cudagraph_lab.ledger.forecasts import Plan, forecasts, speculation_forecasts
    from cudagraph_lab.ledger.hosts import measured_ratios, read_host, with_all_reduce
    from cudagraph_lab.models.architecture import find, read_devices, read_models
    from cudagraph_lab.models.speculation import drafting_of
    from cudagraph_lab.models.step import read_assumed

    assumed, devices, models = read_assumed(), read_devices(), read_models()
    host = read_host(options.host, assumed, options.seed)
    if options.all_reduce:
        host = with_all_reduce(host, options.all_reduce, assumed, options.seed)
    ratios = {"same-ratio": measured_ratios(options.host)}
    entries = []
    for name in options.model:
        if options.last:
            hub = find(models, name, "model").hub
            ratios["last-device"] = measured_ratios(options.last, hub)
        plan = Plan(
            options.dataset,
            options.device,
            find(devices, options.device, "device"),
            name,
            find(models, name, "model"),
            options.batch,
            options.tp,
            options.dtype,
            options.context,
            options.arms,
        )
        entries += forecasts(plan, host, ratios, assumed, options.seed)
        if options.draft is not None:
            drafting, _ = drafting_of(
                options.draft,
                options.speculative_tokens,
                models,
                asynchronous=options.async_scheduling,
                replayed=options.draft_graphs,
            )
            entries += speculation_forecasts(
                plan,
                drafting,
                options.draft,
                host,
                _arms(options.speculating),
                assumed,
                options.seed,
            )
    yaml.safe_dump(
        {"predictions": entries}, sys.stdout, sort_keys=False, default_flow_style=None, width=96
    )
