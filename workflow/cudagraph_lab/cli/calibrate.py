"""`cudagraph-lab calibrate`: the constants of a host and a device, from a measured data set."""

import argparse
import json
from dataclasses import asdict
from typing import Any


def add_calibrate(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "calibrate", help="read the constants of a host and a device from a measured data set"
    )
    parser.add_argument("dataset", metavar="DATASET", help="measured here, or shipped")
    parser.add_argument("--seed", type=int, default=1, help="of the draws (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> None:
    from cudagraph_lab.ledger.hosts import constants_of, read_host
    from cudagraph_lab.models.step import read_assumed

    fitted = read_host(options.dataset, read_assumed(), options.seed)
    constants = constants_of(fitted)
    residuals = {
        f"{arm}, batch {batch}": value
        for (arm, batch), value in fitted.calibration.residuals.items()
    }
    if options.json:
        said = {name: {**asdict(one.forecast), "unit": one.unit} for name, one in constants.items()}
        whole = {"dataset": fitted.dataset, "device": fitted.device, "model": fitted.model}
        print(json.dumps({**whole, "constants": said, "residuals": residuals}, indent=1))
        return
    print(f"Fitted on {fitted.dataset} ({fitted.model} on {fitted.device}), median and 90%:")
    for name, one in constants.items():
        bounds = f"{one.forecast.low_90:.3g} to {one.forecast.high_90:.3g}"
        print(f"  {name}: {one.forecast.median:.3g} {one.unit} ({bounds}), {one.origin}")
    worst = max(residuals, key=lambda cell: abs(residuals[cell]))
    print(
        f"Its {len(residuals)} host-bound cells are met within {abs(residuals[worst]):.1%} "
        f"(worst: {worst})."
    )
