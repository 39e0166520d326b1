"""Which data sets there are, and where their records, registers and descriptions lie.

Paths under `results` are relative to the directory that the workflow runs in.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.model import Config
from cudagraph_lab.design.runs import (
    SIMULATED,
    arms_left_out,
    request_of_run,
    runs_to_measure,
)
from cudagraph_lab.errors import LabError
from cudagraph_lab.files import parse_yaml
from cudagraph_lab.forms import Form, first_mistake
from cudagraph_lab.records.store import SET_ASIDE

RESULTS = Path("results")
SHIPPED = REPOSITORY / "resources" / "datasets"


def measured_here(named: Sequence[str], planned: bool) -> list[str]:
    """Data sets measured in this directory, those that the configuration names first.

    Of `named`, those are in the list that have records here or, with `planned`, will have; the
    others follow by name. Simulated data sets are not measured.
    """
    found = {path.parts[1] for path in RESULTS.glob("*/runs/*/rep*.json")}
    found = {name for name in found if not name.startswith(SIMULATED)}
    first = [name for name in named if planned or name in found]
    return [*first, *sorted(found - set(first))]


def has_records(name: str) -> bool:
    """Whether a data set was measured in this directory, simulated into it, or shipped."""
    places = (RESULTS / name / "runs", SHIPPED / name / "runs")
    return any(record_files(place) for place in places)


def record_files(runs: Path) -> list[Path]:
    """The records under a `runs` directory; shipped ones may be packed by gzip."""
    return sorted([*runs.glob("*/rep*.json"), *runs.glob("*/rep*.json.gz")])


def datasets_in_report(
    compare: Literal["auto"] | Sequence[str], here: Sequence[str], named: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The data sets of the report, those measured here first, and the names that none has.

    `compare` is the configuration's; `here` is what measured_here gives; `named` are the data
    sets that the configuration is about, where they were measured here or will be: they are in
    the report in any case.
    """
    if compare == "auto":
        shipped = sorted(path.parent.name for path in SHIPPED.glob("*/runs"))
        shipped = [name for name in shipped if not _stands_back(name)]
        return list(dict.fromkeys([*here, *shipped])), []
    absent = [n for n in dict.fromkeys(compare) if n not in named and not has_records(n)]
    wanted = {*compare, *named} - {*absent}
    first = [name for name in here if name in wanted]
    return list(dict.fromkeys([*first, *(n for n in compare if n in wanted)])), absent


def _stands_back(name: str) -> bool:
    """Whether a shipped data set is shown only where `compare` names it.

    Its dataset.yaml says so: another one supersedes it, or it is a replicate of another one.
    """
    return bool({"superseded_by", "replicate_of"} & description_of(name).keys())


def records_of(name: str, config: Config, platform: str | None) -> list[Path]:
    """The records of a data set; with a platform also those that are still to be measured there.

    A record that was set aside is one of these: it is measured anew.
    """
    runs = RESULTS / name / "runs"
    records = set(record_files(runs))
    if platform is not None:
        records |= {
            runs / arm / f"rep{repeat}.json" for arm, repeat in runs_to_measure(config, platform)
        }
    return sorted(records) or record_files(SHIPPED / name / "runs")


def shipped_alone(names: Sequence[str], measured_now: Collection[str]) -> list[str]:
    """Those of the data sets of which nothing was or will be measured here."""
    return [
        name
        for name in names
        if name not in measured_now and not record_files(RESULTS / name / "runs")
    ]


def pattern_without(names: Sequence[str]) -> str:
    """A regular expression for the data set in a path under `results`: any but these."""
    but = f"(?!(?:{'|'.join(map(re.escape, names))})/)" if names else ""
    return f"{but}[a-z0-9][a-z0-9._-]*"


def records_aside_of(name: str) -> list[Path]:
    """The records of a data set that were set aside.

    As inputs they tell Snakemake that something is missing: a file that is gone does not, where
    all that was made of it is there.
    """
    return sorted((RESULTS / name / "runs").glob(f"*/rep*.json{SET_ASIDE}*"))


class Description(Form):
    """What a shipped data set says of itself in its dataset.yaml."""

    title: str | None = None
    caveat: str | None = None
    notes: list[str] = Field([])
    contrasts: dict[str, dict[str, str]] = Field({})
    series: str | None = None
    gains_judged_in: str | None = None
    replicate_of: str | None = None
    superseded_by: str | None = None


def description_of(name: str) -> dict[str, Any]:
    """Title, notes and contrasts that a shipped data set brings along; empty where none does.

    Raises LabError in one line where its dataset.yaml is no description.
    """
    path = SHIPPED / name / "dataset.yaml"
    if not path.exists():
        return {}
    try:
        said = Description.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise LabError(f"{path}: {first_mistake(error, 'the file')}") from None
    return said.model_dump(exclude_unset=True)


def register_of(name: str, measured_now: Collection[str]) -> Path | None:
    """Where the predictions of a data set were registered; None where they were not."""
    measured = RESULTS / name / "predictions.registered.json"
    if name in measured_now or measured.exists():
        return measured
    shipped = SHIPPED / name / "predictions.registered.json"
    return shipped if shipped.exists() else None


def expected_requests(config: Config, platform: str) -> dict[str, dict[str, Any]]:
    """What the configuration asks of the data set that is measured now, by arm."""
    chosen = {"weights": "dummy", "revision": None}
    arms = dict.fromkeys(arm for arm, _ in runs_to_measure(config, platform))
    return {arm: request_of_run(config, platform, arm, 1, chosen) for arm in arms}


def reasons_by_platform(config: Config) -> dict[str, dict[str, str]]:
    """By platform, the arms that cannot be measured there, each with the reason."""
    return {platform: arms_left_out(config, platform) for platform in ("cuda", "cpu")}
