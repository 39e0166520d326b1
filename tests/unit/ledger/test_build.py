"""The ledger: every number has an id, a reason where it is missing, and meets its predictions."""

import json
import math
import re

import pytest
import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design.predictions import Prediction, read_predictions, registered_hashes
from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import build_ledger
from cudagraph_lab.ledger.hosts import read_measured
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.store import ledger_table, read_ledger
from tests.read_dataset import read_dataset

SHIPPED = REPOSITORY / "resources" / "datasets"
CONFIG = parse_config(
    yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
)
SETTINGS = Settings(
    seed=CONFIG.seed,
    restarts_per_day=CONFIG.restarts_per_day,
    ladder_rungs=CONFIG.ladder_rungs,
    batch_mix={1: 5, 8: 2, 64: 1},
)
PREDICTIONS = read_predictions([REPOSITORY / "config" / "predictions.yaml"])

IDS = re.compile(
    r"^[a-z][a-z_0-9]*(/[a-z0-9][a-z0-9._-]*){0,4}$"  # words apart by slashes, batches as b<n>
)


def dataset(runs, left_out=None):
    name = runs.parent.name
    path = SHIPPED / name / "dataset.yaml"
    description = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    records = runs.glob("*/rep*.json")
    return read_dataset(
        name,
        records,
        description,
        {name: c.model_dump() for name, c in CONFIG.contrasts.items()},
        left_out or {},
        {},
    )


def ledger_of(*datasets, predictions=PREDICTIONS, registered=None):
    return build_ledger(list(datasets), predictions, registered or {}, SETTINGS, [])


@pytest.fixture(scope="module")
def shipped_ledger():
    names = ("l4-published", "h100-opt-125m")
    datasets = [dataset(SHIPPED / name / "runs") for name in names]
    registered = {
        facts.name: registered_hashes(
            SHIPPED / facts.name / "predictions.registered.json", facts.first_measured_at
        )
        for facts, _ in datasets
    }
    return ledger_of(*datasets, registered=registered)


def one(ledger, dataset, number):
    (found,) = [n for n in ledger.numbers if (n.dataset, str(n.id)) == (dataset, number)]
    return found


def verdicts(number):
    return {judged.id: judged.verdict for judged in number.predictions}


def test_what_the_lab_published_is_in_the_ledger_to_the_last_digit(shipped_ledger):
    for batch, graphs, eager in ((1, 2473.6, 980.3), (8, 11034.8, 6912.4), (64, 46883.1, 41560.2)):
        ratio = one(shipped_ledger, "l4-published", f"ratio/bundle/b{batch}")
        # Ratios are formed from logarithms; that may cost the last bit.
        assert ratio.value == pytest.approx(graphs / eager, rel=1e-14)
        assert ratio.n == 1
        assert (ratio.low, ratio.high, ratio.method) == (None, None, None)
        assert verdicts(ratio)[f"lab/bundle-b{batch}"] == "confirmed"
        assert all(judged.in_sample for judged in ratio.predictions)
        throughput = one(shipped_ledger, "l4-published", f"throughput/graphs/b{batch}")
        assert throughput.value == graphs
        # A step of all requests gives one token each.
        step = one(shipped_ledger, "l4-published", f"step/eager/b{batch}")
        assert step.value == pytest.approx(batch / eager, rel=1e-14)


def test_two_predictions_of_one_number_stand_side_by_side(shipped_ledger):
    number = one(shipped_ledger, "l4-published", "capture/shapes/piecewise")
    assert number.value == 23
    assert verdicts(number) == {
        "lab/shapes-piecewise": "confirmed",
        "vllm/shapes-piecewise": "refuted",
    }
    number = one(shipped_ledger, "h100-opt-125m", "capture/shapes/piecewise")
    assert number.value == 51
    assert verdicts(number) == {
        "lab/shapes-piecewise": "refuted",
        "vllm/shapes-piecewise": "confirmed",
    }


def test_measured_numbers_are_what_the_records_say(shipped_ledger):
    # Geometric mean over repeats of the geometric mean over iterations, from the raw records.
    logs = []
    for path in sorted((SHIPPED / "h100-opt-125m" / "runs" / "graphs").glob("rep*.json")):
        cell = json.loads(path.read_text())["record"]["cells"][0]
        rates = [c["tokens"] / c["seconds"] for c in cell["calls"] if c["role"] == "timed"]
        logs.append(sum(map(math.log, rates)) / len(rates))
    number = one(shipped_ledger, "h100-opt-125m", "throughput/graphs/b1")
    assert number.n == 3
    assert number.value == pytest.approx(math.exp(sum(logs) / len(logs)), rel=1e-12)
    assert number.low < number.value < number.high
    assert len(number.files) == 3


def test_every_number_has_one_id_and_is_whole(shipped_ledger):
    keys = [(number.dataset, str(number.id)) for number in shipped_ledger.numbers]
    assert len(keys) == len(set(keys))
    for number in shipped_ledger.numbers:
        where = (number.dataset, str(number.id))
        assert IDS.match(str(number.id)), where
        # A value or the reason why there is none, never both and never neither.
        assert (number.value is None) == (number.missing is not None), where
        assert bool(number.predictions) == (number.unpredicted is None), where
        assert (number.low is None) == (number.high is None), where
        assert (number.low is None) or (number.low <= number.value <= number.high), where
        assert (number.low is None) == (number.method is None), where
        if number.value is not None:
            assert math.isfinite(number.value), where
            # What rests on no observation says that it is computed.
            assert (number.n >= 1) == bool(number.files), where
            assert number.n >= 1 or "not measured" in number.unpredicted, where
        if number.n <= 1:
            assert (number.low, number.high) == (None, None), where


def test_no_number_of_one_observation_has_an_interval(shipped_ledger):
    published = [n for n in shipped_ledger.numbers if n.dataset == "l4-published"]
    assert len(published) > 30
    # Ladders, fits and models rest on several numbers; what is not a range has n = 1 or 0.
    assert {n.low for n in published} == {None}


def test_every_prediction_about_a_data_set_is_judged_in_it(shipped_ledger):
    for facts in shipped_ledger.datasets:
        judged = {
            judged.id
            for number in shipped_ledger.numbers
            if number.dataset == facts.name
            for judged in number.predictions
        }
        about = {
            p.id
            for p in PREDICTIONS
            if p.speaks_about(
                facts.name, facts.platform, facts.device, facts.model, facts.device_memory_gib
            )
        }
        # A pattern may fit no number: an arm that the data set does not have.
        patterns = {p.id for p in PREDICTIONS if "*" in p.number}
        assert judged <= about
        assert about - judged <= patterns


def test_what_was_predicted_and_not_observed_is_there_as_missing(shipped_ledger):
    number = one(shipped_ledger, "l4-published", "replay/padded_tokens/graphs/b9")
    assert number.value is None
    assert number.missing == "not observed in this data set"
    assert verdicts(number) == {"vllm/padding-b9": "not measured"}
    assert verdicts(one(shipped_ledger, "h100-opt-125m", str(number.id))) == {
        "vllm/padding-b9": "confirmed"
    }


def guess(**fields):
    entry = {
        "id": "a/guess", "number": "ratio/bundle/b1", "applies_to": {}, "value": None,
        "low": 2.0, "high": 3.0, "unit": "x", "source": "a test",
    }  # fmt: skip
    return Prediction.model_validate(entry | fields)


@pytest.fixture(scope="module")
def l4():
    return dataset(SHIPPED / "l4-published" / "runs")


def test_a_series_is_not_said_to_lack_what_it_is_not_asked_for(l4):
    facts, table = l4
    asked = guess(id="a/asked", number="kv/tokens_lost")
    other = guess(id="a/other", number="replay/padded_tokens/graphs/b9")

    def lacking(series):
        of_series = facts.model_copy(update={"series": series})
        numbers = ledger_of((of_series, table), predictions=[asked, other]).numbers
        return {p.id for n in numbers for p in n.predictions if n.value is None}

    assert lacking(None) == {"a/asked", "a/other"}
    assert lacking("sizes") == {"a/asked"}


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [("step_ratio/bundle/b256", 1.5, 2.76), ("step/eager/b8", 0.0109, 0.0186)],
)
def test_an_open_forecast_of_a_step_says_how_many_repeats_would_settle_it(number, low, high):
    forecast = guess(number=number, low=low, high=high)
    name = "h100-sizes-llama-8b"
    ledger = ledger_of(read_measured(name), predictions=[forecast])
    (judged,) = one(ledger, name, number).predictions
    assert judged.verdict == "inconclusive"
    assert re.fullmatch(r"about \d+ more repeats? per arm, with a chance of \d+%", judged.settle)


def test_registered_changed_and_unregistered_predictions(l4):
    claim = guess()

    def post_hoc(registered):
        ledger = ledger_of(l4, predictions=[claim], registered={"l4-published": registered})
        return one(ledger, "l4-published", "ratio/bundle/b1").predictions[0].post_hoc

    assert post_hoc({"a/guess": claim.sha256()}) is False
    assert post_hoc({"a/guess": guess(high=2.9).sha256()}) is True
    assert post_hoc({"another": claim.sha256()}) is True
    assert post_hoc({}) is True


def test_a_pattern_is_judged_at_every_number_that_it_fits(l4):
    ledger = ledger_of(l4, predictions=[guess(number="ratio/bundle/b*", low=1.5)])
    judged = {
        str(number.id): number.predictions[0].verdict
        for number in ledger.numbers
        if number.predictions
    }
    assert judged == {
        "ratio/bundle/b1": "confirmed",
        "ratio/bundle/b8": "confirmed",
        "ratio/bundle/b64": "refuted",
    }


def test_open_bounds_and_claims(l4):
    fade = {"number": "shape/fade/bundle", "low": None, "high": None, "unit": "holds"}
    ledger = ledger_of(
        l4,
        predictions=[
            guess(low=1.0, high=math.inf),
            guess(id="a/fade", value=True, **fade),
            guess(id="a/no-fade", value=False, **fade),
        ],
    )
    ratio = one(ledger, "l4-published", "ratio/bundle/b1")
    assert (ratio.predictions[0].low, ratio.predictions[0].high) == (1.0, None)
    assert ratio.predictions[0].verdict == "confirmed"
    shape = one(ledger, "l4-published", "shape/fade/bundle")
    assert shape.value is True
    assert verdicts(shape) == {"a/fade": "confirmed", "a/no-fade": "refuted"}


def test_a_prediction_about_another_data_set_is_not_judged(l4):
    ledger = ledger_of(l4, predictions=[guess(applies_to={"device": "*H100*"})])
    number = one(ledger, "l4-published", "ratio/bundle/b1")
    assert number.predictions == []
    assert number.unpredicted == "no prediction was registered for this number"


def test_an_arm_that_cannot_be_measured_leaves_numbers_with_its_reason(small_record):
    small_record(arm="compiled", repeat=1)
    runs = small_record().parents[1]
    left_out = {"cpu": {"graphs": "CUDA graphs do not exist on a CPU"}}
    ledger = ledger_of(dataset(runs, left_out))
    assert one(ledger, "small", "ratio/compile/b4").value == pytest.approx(1.0)
    for number in (
        "ratio/bundle/b1",
        "ratio/graph/b4",
        "throughput/graphs/b1",
        "capture/passes",
        "capture/seconds",
        "shape/fade/bundle",
        "deploy/tax_min_per_day",
        "deploy/tax_min_per_day/warm",
        "start_cost/warm",
        "break_even/steps/cold/b1",
    ):
        found = one(ledger, "small", number)
        assert found.value is None, number
        assert "CUDA graphs do not exist on a CPU" in found.missing, number
    assert "NaN" not in ledger.model_dump_json()


def test_a_failed_arm_leaves_numbers_with_its_reason(small_record):
    failure = {"kind": "out_of_memory", "reason": "no room for it", "log_tail": []}
    small_record(arm="graphs", status="failed", failure=failure, cells=[])
    ledger = ledger_of(dataset(small_record().parents[1]))
    assert "no room for it" in one(ledger, "small", "ratio/bundle/b1").missing
    assert one(ledger, "small", "throughput/eager/b1").value == 16.0


def test_an_empty_ledger_is_one():
    ledger = ledger_of()
    assert ledger.numbers == []
    assert ledger_table(ledger).empty


def test_a_ledger_is_written_and_read_the_same(shipped_ledger, tmp_path):
    path = tmp_path / "ledger.json"
    path.write_text(shipped_ledger.model_dump_json(indent=1))
    assert read_ledger(path) == shipped_ledger
    text = path.read_text()
    for bad in (text[: len(text) // 2], "{}", text.replace('"unit"', '"units"', 1)):
        path.write_text(bad)
        with pytest.raises(LabError, match=r"ledger\.json: not a ledger"):
            read_ledger(path)
    with pytest.raises(LabError, match="not a ledger"):
        read_ledger(tmp_path / "nowhere.json")


def test_the_table_has_a_row_per_number_and_prediction(shipped_ledger):
    table = ledger_table(shipped_ledger)
    assert len(table) == sum(max(1, len(n.predictions)) for n in shipped_ledger.numbers)
    rows = table[(table["dataset"] == "l4-published") & (table["id"] == "capture/shapes/piecewise")]
    assert list(rows["prediction_verdict"]) == ["confirmed", "refuted"]
