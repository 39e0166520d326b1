"""Configuration, data sets and paths that the other rule files share.

Reads: config, resources/datasets/, results/*/runs/. Defines no rules.
"""

import functools
import math
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

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

# No module that needs NumPy: every call of Snakemake waits for these.
from cudagraph_lab import REPOSITORY
from cudagraph_lab.design import job as design_job
from cudagraph_lab.design import runs as design
from cudagraph_lab.measure import leftovers
from cudagraph_lab.measure import machine as hardware
from cudagraph_lab.models import extrapolation
from cudagraph_lab.errors import LabError
from cudagraph_lab.design.predictions import prediction_files
from cudagraph_lab.records.record import records_aside

# Not in the jobs: what is unfinished there is theirs.
if workflow.is_main_process:
    leftovers.clear_leftovers(Path.cwd())


@contextmanager
def one_line_error():
    """Let Snakemake show a user's mistake without a traceback."""
    try:
        yield
    except LabError as error:
        raise WorkflowError(str(error)) from None


with one_line_error():
    design.complete_config(config)
    PLATFORM = hardware.choose_platform(config["measure"])
    PREDICTIONS = [str(path) for path in prediction_files(config)]

# For the jobs that must not look stale when the configuration changes: see design.smk.
os.environ[design.VARIABLE] = design.to_environment(config, PLATFORM)
SHIPPED = REPOSITORY / "resources" / "datasets"

# What belongs to the workflow, or is the user's own, is marked local(): where results are
# kept in some storage, it is not to be looked for there.


def measured_dataset():
    """Name of the data set that this run measures, or None where it measures nothing."""
    if PLATFORM is None:
        return None
    if config["dataset"] != "auto":
        return config["dataset"]
    return design.dataset_name(PLATFORM, hardware.describe(PLATFORM)["device"])


with one_line_error():
    DATASET = measured_dataset()
    if DATASET is not None:
        design.check_memory_in_turn(config, PLATFORM)


def local_datasets():
    """Data sets measured in this directory before, by name; simulated ones are not."""
    names = {path.parts[1] for path in Path("results").glob("*/runs/*/rep*.json")}
    return sorted(name for name in names if not name.startswith(design.SIMULATED))


def all_datasets():
    """The data sets in the report: the measured one first, then those it is compared with."""
    if config["compare"] == "auto":
        shipped = sorted(path.parent.name for path in SHIPPED.glob("*/runs"))
        others = local_datasets() + shipped
    else:
        others = [name for name in config["compare"] if name not in ABSENT]
    return list(dict.fromkeys([*filter(None, [DATASET]), *others]))


def absent_datasets():
    """Names in `compare` that no data set has: the report goes on without them and says so."""
    if config["compare"] == "auto":
        return []
    return [
        name
        for name in dict.fromkeys(config["compare"])
        if name != DATASET and not records_of(name)
    ]


def records_of(dataset):
    """The records of a data set: those of the design where it is measured now, else all there are."""
    if dataset == DATASET:
        # One that was set aside is measured again only when it is asked for by name.
        aside = records_aside(Path("results", dataset, "runs"))
        return [
            record
            for arm, repeat in design.runs_to_measure(config, PLATFORM)
            if Path(record := f"results/{dataset}/runs/{arm}/rep{repeat}.json")
            not in aside
        ]
    measured = sorted(Path("results", dataset, "runs").glob("*/rep*.json"))
    shipped = sorted((SHIPPED / dataset / "runs").glob("*/rep*.json"))
    return [str(path) for path in measured] or local([str(path) for path in shipped])


def description_of(dataset):
    """Title, notes and contrasts that a data set brings along."""
    path = SHIPPED / dataset / "dataset.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def register_of(dataset):
    """Where the predictions of a data set were registered, if they were."""
    measured = Path("results", dataset, "predictions.registered.json")
    if dataset == DATASET or measured.exists():
        return str(measured)
    return str(SHIPPED / dataset / "predictions.registered.json")


def expected_requests(dataset):
    """What the configuration asks of the data set measured now, by arm."""
    if dataset != DATASET:
        return {}
    chosen = {"weights": "dummy", "revision": None}
    arms = dict.fromkeys(arm for arm, _ in design.runs_to_measure(config, PLATFORM))
    return {
        arm: design.request_of_run(config, PLATFORM, arm, 1, chosen) for arm in arms
    }


def package(*stages):
    """Sources of these stages: a cheap rule depends on them, so that editing them runs it again."""
    return local(
        sorted(
            str(path)
            for stage in stages
            for path in Path(WORKFLOW, "cudagraph_lab", stage).glob("*.py")
        )
    )


ABSENT = absent_datasets()
DATASETS = all_datasets()

if workflow.is_main_process:
    for name in ABSENT:
        logger.warning(
            f"config: compare: there is no data set {name!r}; the report goes on without "
            "it and says so; measure it first or take it out"
        )


@functools.cache
def check_hardware():
    """Refuse to plan measurements by the hardware of a machine that will not measure.

    Only once jobs are planned is it known where they will run; a job that runs on
    another machine was planned before.
    """
    if workflow.remote_exec:
        return
    # A dry-run has no executor, but these settings are still those of the one asked for.
    elsewhere = workflow.non_local_exec or (
        workflow.dryrun and workflow.execution_settings.use_threads
    )
    if not elsewhere:
        hardware.describe(PLATFORM)
    for key in ("measure", "dataset") if elsewhere else ():
        if config[key] == "auto":
            raise LabError(
                f"config: {key}: auto goes by the hardware of the machine that Snakemake runs "
                "on, but the jobs run on others; set measure to cuda or cpu and dataset to a name"
            )


def priority_of_run(wildcards):
    """Ready runs start repeat by repeat, in the order drawn for each repeat."""
    try:
        check_hardware()
        return design.priority_of_run(
            config, PLATFORM, wildcards.arm, int(wildcards.repeat)
        )
    except LabError as error:
        # Whatever else a rule's function raises is shown with a traceback.
        sys.exit(f"cudagraph-lab: {error}")


def job_json(arms, repeat):
    """What a measuring job is to do, as JSON."""
    check_hardware()
    job = design_job.job_of(config, PLATFORM, DATASET, list(arms), int(repeat))
    return job.model_dump_json()


wildcard_constraints:
    dataset=r"[a-z0-9][a-z0-9._-]*",
    arm=r"[a-z0-9][a-z0-9._-]*",
    repeat=r"[1-9][0-9]*",
