"""A job: what one measuring process does, one repeat of one arm or of several in turn."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cudagraph_lab.config.model import Config
from cudagraph_lab.design.runs import arms_in_turn, request_of_run, runs_to_measure
from cudagraph_lab.forms import Form

NO_WEIGHTS_YET = {"weights": "dummy", "revision": None}  # chosen by a job of their own


class ArmJob(Form):
    """One arm of a job: its request, which lacks the weights only, and where its record goes."""

    arm: str
    request: dict[str, Any]
    output: Path


class Job(Form):
    """One repeat of one arm, or of several arms that take turns on the device."""

    dataset: str
    platform: Literal["cuda", "cpu"]
    repeat: int
    arms: list[ArmJob]
    watched: tuple[str, str] | None  # numerator and denominator of the ratio to show meanwhile
    vllm_python: str | dict[str, str]
    cache_dir: str
    timeout_s: float

    @property
    def in_turn(self) -> bool:
        """Whether the arms are resident together."""
        return bool(self.arms[0].request["measured"] == "in_turn")

    @property
    def in_sequence(self) -> bool:
        """Whether one engine boots after the other."""
        return self.in_turn and self.arms[0].request["boots"] == "in_sequence"

    @property
    def name(self) -> str:
        """What a person reads of the job."""
        return f"repeat {self.repeat}" if self.in_turn else f"{self.arms[0].arm} rep {self.repeat}"


def record_path(dataset: str, arm: str, repeat: int) -> str:
    """Where the record of a run goes, from the working directory."""
    return f"results/{dataset}/runs/{arm}/rep{repeat}.json"


def apart_pattern(plans: Mapping[str, Config], platform: str | None) -> str:
    """A regular expression for the data set in a record's path, where one arm is measured alone.

    It looks ahead at the arm: those in turn have rules of their own. A data set that is not
    planned is none; where nothing is measured, any is, and the job says so.
    """
    if platform is None:
        return r"[a-z0-9][a-z0-9._-]*"
    in_turn = [
        re.escape(f"{name}/runs/{arm}/")
        for name, plan in plans.items()
        for arm in arms_in_turn(plan, platform)
    ]
    but = f"(?!{'|'.join(in_turn)})" if in_turn else ""
    return f"{but}(?:{'|'.join(map(re.escape, plans)) or '(?!)'})"


def job_of(config: Config, platform: str, dataset: str, arms: Sequence[str], repeat: int) -> Job:
    """The job that measures these arms' records of one repeat."""
    return Job(
        dataset=dataset,
        platform=platform,
        repeat=repeat,
        arms=[
            ArmJob(
                arm=arm,
                request=request_of_run(config, platform, arm, repeat, NO_WEIGHTS_YET),
                output=Path(record_path(dataset, arm, repeat)),
            )
            for arm in arms
        ],
        watched=_watched(config, arms),
        vllm_python=config.vllm_python,
        cache_dir=config.cache_dir,
        timeout_s=config.timeout_s,
    )


def _watched(config: Config, arms: Sequence[str]) -> tuple[str, str] | None:
    """The arms of the headline, or of the first other contrast, that are all in the job."""
    headline = [config.headline] if config.headline in config.contrasts else []
    for name in [*headline, *config.contrasts]:
        contrast = config.contrasts[name]
        if contrast.numerator in arms and contrast.denominator in arms:
            return contrast.numerator, contrast.denominator
    return None


def turns_to_measure(config: Config, platform: str, dataset: str) -> dict[int, list[str]]:
    """Per repeat, the arms in turn whose record is not there yet.

    A record that is there is never an output of a job that runs: Snakemake would remove it.
    """
    together = set(arms_in_turn(config, platform))
    turns: dict[int, list[str]] = {}
    for arm, repeat in runs_to_measure(config, platform):
        if arm in together and not Path(record_path(dataset, arm, repeat)).exists():
            turns.setdefault(repeat, []).append(arm)
    return turns
