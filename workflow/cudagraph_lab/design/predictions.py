"""Predictions as data: read from YAML, registered before a data set is measured."""

import hashlib
import json
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from cudagraph_lab import REPOSITORY
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.files import parse_yaml, write_json
from cudagraph_lab.forms import Form, first_mistake

# How an id begins, which says who predicts: the course lab, our step model, or a simple rule that
# the step model is scored against. Registered ids are never edited, so these words stay.
LAB, FORECAST, BASELINE = "lab", "forecast", "baseline"


def predicted_by(prediction: str) -> str:
    """Who predicts, by the id of a prediction: the first word of it."""
    return prediction.partition("/")[0]


class AppliesTo(Form):
    """Which data sets a prediction speaks about; shell patterns, all must match."""

    dataset: str = "*"
    platform: str = "*"
    device: str = "*"
    except_device: str = ""
    model: str = "*"
    min_memory_gib: float = 0.0
    max_memory_gib: float = float("inf")


class Prediction(Form):
    """One claim about one number of the ledger, made by somebody, for a reason."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]*$")]
    number: str
    applies_to: AppliesTo
    value: float | bool | None
    low: float | None = None
    high: float | None = None
    low_50: float | None = None  # with these, low and high bound the central 90%
    high_50: float | None = None
    baseline: str | None = None  # the name of a simple rule that forecasts are scored against
    unit: str
    source: str
    in_sample_for: list[str] = Field([])  # data sets that the prediction was read from
    note: str | None = None

    @model_validator(mode="after")
    def _has_bounds(self) -> Self:
        if isinstance(self.value, bool):
            if self.low is not None or self.high is not None:
                raise ValueError("a prediction of true or false has no bounds")
        elif self.baseline is not None:
            if self.value is None or (self.low, self.high) != (None, None):
                raise ValueError("a baseline is a value without bounds")
        elif self.low is None or self.high is None:
            raise ValueError("a number is predicted with its bounds, low and high")
        elif self.low > self.high or (
            self.value is not None and not self.low <= self.value <= self.high
        ):
            raise ValueError("low <= value <= high does not hold")
        if (self.low_50 is None) != (self.high_50 is None):
            raise ValueError("low_50 and high_50 go together")
        if self.low_50 is not None and not self._nested():
            raise ValueError("0 < low <= low_50 <= value <= high_50 <= high does not hold")
        return self

    def _nested(self) -> bool:
        bounds = (self.low, self.low_50, self.value, self.high_50, self.high)
        if any(bound is None or isinstance(bound, bool) for bound in bounds):
            return False
        known = [float(bound) for bound in bounds if bound is not None]
        return known[0] > 0 and known == sorted(known)

    def sha256(self) -> str:
        """Hash of everything it says; a changed prediction is another one.

        What came to the form later is left out where it is not said, so that the hash of an
        older prediction stays.
        """
        said = self.model_dump(mode="json")
        for later in ("low_50", "high_50", "baseline"):
            if said[later] is None:
                del said[later]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def speaks_about(
        self, dataset: str, platform: str, device: str, model: str, memory_gib: float | None
    ) -> bool:
        """Whether the prediction is about this data set."""
        to = self.applies_to
        pairs = (
            (dataset, to.dataset),
            (platform, to.platform),
            (device, to.device),
            (model, to.model),
        )
        fits = all(fnmatchcase(value, pattern) for value, pattern in pairs)
        fits = fits and not fnmatchcase(device, to.except_device)
        if memory_gib is None:
            return fits and to.min_memory_gib == 0.0 and to.max_memory_gib == float("inf")
        return fits and to.min_memory_gib <= memory_gib <= to.max_memory_gib


def read_predictions(paths: list[Path]) -> list[Prediction]:
    """All predictions of these files, in order.

    Raises LabError naming file and entry where one is malformed or an id occurs twice.
    """
    predictions: list[Prediction] = []
    for path in paths:
        try:
            entries = parse_yaml(path.read_text(encoding="utf-8"))["predictions"]
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
            raise LabError(
                f"{path}: no list of `predictions` ({type(error).__name__}); see config/README.md"
            ) from None
        if not isinstance(entries, list | None):
            raise LabError(f"{path}: `predictions` is no list; see config/README.md")
        for position, entry in enumerate(entries or []):
            try:
                prediction = Prediction.model_validate(entry)
            except ValidationError as error:
                name = entry.get("id", position) if isinstance(entry, dict) else position
                wrong = first_mistake(error, "all of it")
                raise LabError(f"{path}: prediction {name}: {wrong}") from None
            if prediction.id in {known.id for known in predictions}:
                raise LabError(f"{path}: prediction {prediction.id}: this id occurs twice")
            predictions.append(prediction)
    return predictions


def prediction_files(own: str | None) -> list[Path]:
    """The shipped predictions and the user's `own`, where there are any.

    Raises LabError where the configured file is not there.
    """
    shipped = sorted((REPOSITORY / "config").glob("predictions*.yaml"))
    if own is None:
        return shipped
    if not Path(own).is_file():
        raise LabError(
            f"config: own_predictions: there is no file {own}, looked for from {Path.cwd()}; "
            "write it or set the key to null"
        )
    return [*shipped, Path(own)]


def register(predictions: list[Prediction], dataset: str, path: Path) -> None:
    """Write down, before anything is measured, what is predicted: id, hash and time.

    A register that is there already stays as it is: one made anew would register nothing.
    """
    if path.exists():
        say(f"{path}: registered before; the register stays as it is")
        return
    document = {
        "dataset": dataset,
        "registered_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "predictions": {prediction.id: prediction.sha256() for prediction in predictions},
    }
    write_json(path, document)


def registered_hashes(path: Path, first_measured_at: str | None) -> dict[str, str]:
    """The ids and hashes that were registered before the first measurement of a data set.

    Empty where nothing was registered, where nothing was measured, and where the register
    is younger than the first run: one made anew afterwards registers nothing.
    """
    if first_measured_at is None or not path.exists():
        return {}
    try:
        register = json.loads(path.read_text(encoding="utf-8"))
        in_time = datetime.fromisoformat(register["registered_at"]) <= datetime.fromisoformat(
            first_measured_at
        )
        return dict(register["predictions"]) if in_time else {}
    except (ValueError, KeyError, TypeError):
        raise LabError(
            f"{path}: not a register of predictions; put it back from its copy"
        ) from None
