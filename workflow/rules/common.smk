"""Configuration, data sets and paths that the other rule files share.

Reads: config, resources/datasets/, results/*/runs/. Defines no rules.
"""

import functools
import json
import math
import os
import sys
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

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
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design import datasets, earlier, memory, sizes
from cudagraph_lab.design import drafts as design_drafts
from cudagraph_lab.design import job as design_job
from cudagraph_lab.design import runs as design
from cudagraph_lab.design.plan import plan_of_dataset
from cudagraph_lab.design.predictions import prediction_files
from cudagraph_lab.errors import LabError
from cudagraph_lab.measure import leftovers
from cudagraph_lab.measure import machine as hardware
from cudagraph_lab.models.architecture import TABLES
from cudagraph_lab.observations import kept

if workflow.is_main_process:
    # Who clears what a killed Snakemake left can so tell that this one lives.
    leftovers.hold(Path.cwd())


@contextmanager
def one_line_error():
    """End with a user's mistake as one line; Snakemake would add where it was noticed."""
    try:
        yield
    except LabError as error:
        sys.exit(f"cudagraph-lab: {error}")


def dataset_name():
    """Name of the data set that the configuration is about, on this machine if it says `auto`.

    With `sizes` it begins the names of all.
    """
    if CONFIG.dataset != "auto":
        return CONFIG.dataset
    platform = PLATFORM or hardware.choose_platform("auto")
    return design.dataset_name(
        platform,
        hardware.describe(platform)["device"],
        design.versions_of(CONFIG, platform),
    )


with one_line_error():
    CONFIG = parse_config(config)
    config.update(CONFIG.model_dump())
    PLATFORM = hardware.choose_platform(CONFIG.measure)
    PREDICTIONS = [str(path) for path in prediction_files(CONFIG.own_predictions)]
    # By data set, the configuration that it is measured with: one, or one for each size.
    NAMED = sizes.plans(CONFIG, dataset_name())
    PLANS, TOO_LARGE = (NAMED, []) if PLATFORM else ({}, [])
    if PLATFORM and (CONFIG.sizes or CONFIG.order == "auto"):
        PLANS, TOO_LARGE = memory.that_fit(
            NAMED, PLATFORM, hardware.memory_bytes(PLATFORM)
        )
    for plan in PLANS.values():
        design.check_versions(plan, PLATFORM)
        memory.check_memory_in_turn(plan, PLATFORM)

# Those that the configuration names lead, whether they are measured now or were before.
HERE = datasets.measured_here(PLANS or NAMED, planned=bool(PLANS))
DATASETS, ABSENT = datasets.datasets_in_report(
    CONFIG.compare, HERE, [name for name in NAMED if name in HERE]
)
REGISTERS = {
    name: path for name in DATASETS if (path := datasets.register_of(name, PLANS))
}


def plan_of(name):
    """What a data set is measured with; one that is not measured now is shown by the general."""
    return PLANS.get(name, CONFIG)


def placed(path):
    """A path as a rule's input.

    What belongs to the workflow, or is the user's own, is marked local(): where results
    are kept in some storage, it is not to be looked for there.
    """
    return str(path) if path.is_relative_to(datasets.RESULTS) else local(str(path))


def records_of(name):
    """The records of a data set as inputs, those to be measured now among them."""
    platform = PLATFORM if name in PLANS else None
    return [placed(path) for path in datasets.records_of(name, plan_of(name), platform)]


def sources_of(*stages):
    """All sources of these stages, as paths."""
    return sorted(
        str(path)
        for stage in stages
        for path in Path(WORKFLOW, "cudagraph_lab", stage).rglob("*.py")
    )


def package(*stages):
    """All sources of these stages: a cheap rule depends on them, so that an edit runs it again."""
    return local(sources_of(*stages))


# Tells the logger of `make lab` which lines are not Snakemake's.
OURS = {"lab": True}

if workflow.is_main_process:
    for name in ABSENT:
        logger.warning(
            f"config: compare: there is no data set {name!r}; the report goes on without "
            "it and says so; measure it first or take it out",
            extra=OURS,
        )
    for line in TOO_LARGE:
        logger.warning(line, extra=OURS)
    for line in memory.settled_lines(NAMED, PLANS):
        # Shown with the plan, where something is to be measured.
        logger.info(line, extra={"lab_plan": {"runs": [], "seconds_of_job": None}})
    for arm, reason in {
        arm: reason
        for name, plan in PLANS.items()
        # Once is enough: the page says it too.
        if not (datasets.RESULTS / name / "runs").exists()
        for arm, reason in design.arms_left_out(plan, PLATFORM).items()
    }.items():
        logger.info(f"arm {arm} is not measured here: {reason}", extra=OURS)
    for name, plan in PLANS.items():
        for line in earlier.failures_that_stay(plan, PLATFORM, name):
            logger.warning(line, extra=OURS)
        with one_line_error():
            earlier.refuse_conflicts(plan, PLATFORM, name)
        if (going := plan_of_dataset(plan, PLATFORM, name)) is not None:
            known = {"runs": going.runs, "seconds_of_job": going.seconds_of_job}
            logger.info(going.line, extra={"lab_plan": known})


@functools.cache
def check_hardware():
    """Refuse to plan measurements by the hardware of a machine that will not measure.

    Only once jobs are planned is it known where they will run; a job that runs on
    another machine was planned before.
    """
    if workflow.remote_exec:
        return
    if PLATFORM is None:
        raise LabError(
            "config: measure: none, but a measurement was asked for; set it to auto"
        )
    # A dry-run has no executor, but these settings are still those of the one asked for.
    elsewhere = workflow.non_local_exec or (
        workflow.dryrun and workflow.execution_settings.use_threads
    )
    if not elsewhere:
        hardware.describe(PLATFORM)
        if (
            PLATFORM == "cpu"
            and CONFIG.vllm_python == "managed"
            and not workflow.dryrun
        ):
            hardware.provide_for_cpu()
    granted = workflow.global_resources.get("gpu")
    for plan in PLANS.values():
        here = math.inf if elsewhere or PLATFORM == "cpu" else len(hardware.gpus())
        design.check_devices(plan, PLATFORM, here, granted and granted.value)
    auto = {key: getattr(CONFIG, key) == "auto" for key in ("measure", "dataset")}
    auto["order"] = any(plan.order == "auto" for plan in NAMED.values())
    for key in auto if elsewhere else ():
        if auto[key]:
            raise LabError(
                f"config: {key}: auto goes by the hardware of the machine that Snakemake runs "
                "on, but the jobs run on others; set measure to cuda or cpu and dataset to a "
                "name, and order to apart or in_turn"
            )


# What is settled before the first measurement comes before all of them.
BEFORE_ALL = 1_000_000_000


def before_later_sizes(name):
    """What a priority gains, so that a size is measured whole before the next one begins."""
    return 1_000_000 * (len(PLANS) - 1 - list(PLANS).index(name))


def priority_of_run(wildcards):
    """Ready runs start size by size, repeat by repeat, in the order drawn for each repeat."""
    name, arm, repeat = wildcards.dataset, wildcards.arm, int(wildcards.repeat)
    try:
        check_hardware()
        within = design.priority_of_run(PLANS[name], PLATFORM, arm, repeat)
        return within + before_later_sizes(name)
    except LabError as error:
        # Whatever else a rule's function raises is shown with a traceback.
        sys.exit(f"cudagraph-lab: {error}")


# What jobs need of the configuration goes to them as parameters. A function that takes `output`
# counts as derived: what it returns makes no file look stale.


def predictions_of_register(wildcards, output):
    """The files of predictions, as arguments."""
    return PREDICTIONS


def asked_of_dataset(name):
    """What the observations of a data set depend on beside its records, as plain data."""
    plan = plan_of(name)
    return {
        "description": datasets.description_of(name),
        "contrasts": {key: one.model_dump() for key, one in plan.contrasts.items()},
        "not_measurable": datasets.reasons_by_platform(plan),
        "expected": (
            datasets.expected_requests(plan, PLATFORM) if name in PLANS else {}
        ),
    }


def asked_of(names):
    """By data set, its records and what else its observations depend on."""
    return {name: (records_of(name), asked_of_dataset(name)) for name in names}


def digest(value):
    """Sixteen digits that stand for plain data, where a change of it is to be noticed and shown."""
    text = json.dumps(value, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


def arguments_of_weights(wildcards, output):
    """Which model and weights, as arguments."""
    model = plan_of(wildcards.dataset).model
    own = ["--architecture", model.architecture] if model.architecture else []
    drafts = design_drafts.drafts_of(plan_of(wildcards.dataset), PLATFORM)
    named = [argument for draft in drafts for argument in ("--draft", draft)]
    return ["--model", model.name, "--weights", model.weights, *own, *named]


def arguments_of_environment(wildcards, output):
    """Which environment of vLLM, as arguments."""
    python = CONFIG.vllm_python
    plan = plan_of(wildcards.dataset)
    return [
        *("--platform", str(PLATFORM)),
        *("--vllm", *(design.versions_of(plan, PLATFORM) if PLATFORM else [])),
        *(
            "--vllm-python",
            python if isinstance(python, str) else json.dumps(python),
        ),
        *("--cache-dir", CONFIG.cache_dir),
    ]


def job_json(name, arms, repeat):
    """What a measuring job is to do, as JSON; empty for a record that the design does not ask for.

    Snakemake evaluates this also for records that are there.
    """
    known = design.runs_to_measure(PLANS[name], PLATFORM) if name in PLANS else []
    if any((arm, int(repeat)) not in known for arm in arms):
        return ""
    job = design_job.job_of(PLANS[name], PLATFORM, name, list(arms), int(repeat))
    return job.model_dump_json()


def priority_of_turn(name, repeat):
    """Arms in turn start size by size, repeat by repeat."""
    try:
        check_hardware()
        within = design.priority_of_turn(PLANS[name], PLATFORM, repeat)
        return within + before_later_sizes(name)
    except LabError as error:
        sys.exit(f"cudagraph-lab: {error}")


def minutes_of_run(name):
    """What a cluster may end a run after.

    A run ends itself after timeout_s and leaves a record that says so, which it could not if
    the cluster ended it first; some minutes are for what surrounds it.
    """
    return math.ceil(plan_of(name).timeout_s / 60) + 15


def gpus_of_run(wildcards):
    """Devices of a run: tensor x pipeline x data parallel size."""
    return design.devices_of_run(plan_of(wildcards.dataset), [wildcards.arm], PLATFORM)


wildcard_constraints:
    dataset=r"[a-z0-9][a-z0-9._-]*",
    arm=r"[a-z0-9][a-z0-9._-]*",
    repeat=r"[1-9][0-9]*",


@functools.cache
def contents_of(names, stages):
    """Sixteen digits that stand for all that the tables of these data sets are made of."""
    sources = [Path(path) for path in sources_of(*stages)]
    return digest(
        [
            kept.key_of([Path(path) for path in records], asked, sources)
            for records, asked in asked_of(names).values()
        ]
    )
