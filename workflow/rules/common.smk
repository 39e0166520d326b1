"""Configuration, data sets and paths that the other rule files share.

Reads: config, resources/datasets/, results/*/runs/. Defines no rules.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The package is beside the rules, also when another workflow uses this one as a
# module; jobs inherit its path, and run this very Python without an activated
# environment.
WORKFLOW = str(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent)
sys.path.insert(0, WORKFLOW)
for variable, entry in {
    "PYTHONPATH": WORKFLOW,
    "PATH": str(Path(sys.executable).parent),
}.items():
    known = os.environ.get(variable, "").split(os.pathsep)
    if entry not in known:
        os.environ[variable] = os.pathsep.join([entry, *filter(None, known)])

from cudagraph_lab import REPOSITORY, design, hardware
from cudagraph_lab.errors import LabError

try:
    design.complete_config(config)
    PLATFORM = hardware.choose_platform(config["measure"])
except LabError as error:
    raise WorkflowError(str(error)) from None

# For the jobs that must not look stale when the configuration changes: see design.smk.
os.environ[design.VARIABLE] = design.to_environment(config, PLATFORM)
SHIPPED = REPOSITORY / "resources" / "datasets"


def measured_dataset():
    """Name of the data set that this run measures, or None where it measures nothing."""
    if PLATFORM is None:
        return None
    if config["dataset"] != "auto":
        return config["dataset"]
    return design.dataset_name(PLATFORM, hardware.describe(PLATFORM)["device"])


DATASET = measured_dataset()


def records_of(dataset):
    """The records of a data set: those of the design where it is measured now, else all there are."""
    if dataset == DATASET:
        return [
            f"results/{dataset}/runs/{arm}/rep{repeat}.json"
            for arm, repeat in design.runs_to_measure(config, PLATFORM)
        ]
    local = sorted(Path("results", dataset, "runs").glob("*/rep*.json"))
    shipped = sorted((SHIPPED / dataset / "runs").glob("*/rep*.json"))
    return [str(path) for path in local or shipped]


def priority_of_run(wildcards):
    """Ready runs start repeat by repeat, in the order drawn for each repeat."""
    return design.priority_of_run(
        config, PLATFORM, wildcards.arm, int(wildcards.repeat)
    )


wildcard_constraints:
    dataset=r"[a-z0-9][a-z0-9._-]*",
    arm=r"[a-z0-9][a-z0-9._-]*",
    repeat=r"[1-9][0-9]*",
