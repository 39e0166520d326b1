"""A simulated experiment of known truth: labelled everywhere, and found again."""

from pathlib import Path

import pandas as pd
import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import build_ledger
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.models.simulation import Truth, simulate
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.records.store import read_record
from tests.read_dataset import read_dataset

CONTRASTS = {
    "bundle": {"numerator": "graphs", "denominator": "eager", "role": "primary"},
    "graph": {"numerator": "graphs", "denominator": "compiled"},
    "compile": {"numerator": "compiled", "denominator": "eager"},
}
SETTINGS = Settings(seed=1, restarts_per_day=50, ladder_rungs=2, batch_mix={1: 1, 8: 1})


def ledger_of(truth: Truth, directory: Path, repeats: int = 5):
    paths = simulate(truth, "simulated-test", directory, repeats, 5, seed=7)
    dataset, table = read_dataset("simulated-test", paths, {}, CONTRASTS, {}, {})
    ledger = build_ledger([(dataset, table)], [], {}, SETTINGS, [])
    return {str(number.id): number for number in ledger.numbers}, dataset


def test_every_record_says_that_it_is_simulated(tmp_path):
    for path in simulate(Truth(), "simulated-test", tmp_path, 2, 3, seed=1):
        record = read_record(path, "simulated-test")
        assert record.kind == "simulated"
        assert "simulated" in record.source


def test_a_name_that_does_not_say_so_is_refused(tmp_path):
    with pytest.raises(LabError, match="simulated"):
        simulate(Truth(), "l4-measured", tmp_path, 2, 3, seed=1)


def test_simulated_records_under_another_name_are_refused(tmp_path):
    paths = simulate(Truth(), "simulated-test", tmp_path, 2, 3, seed=1)
    with pytest.raises(LabError, match="simulated-test"):
        read_dataset("measured", paths, {}, CONTRASTS, {}, {})


@pytest.mark.parametrize(("hidden_share", "model"), [(0.0, "additive"), (1.0, "overlap")])
def test_the_ledger_finds_the_truth(tmp_path, hidden_share, model):
    """The ratio's interval covers the truth, and the model that made the data fits it best."""
    truth = Truth(hidden_share=hidden_share, between_sd=0.005, within_sd=0.005)
    numbers, dataset = ledger_of(truth, tmp_path, repeats=10)
    assert dataset.kind == "simulated"
    for batch in (1, 8, 64):
        ratio = numbers[f"ratio/bundle/b{batch}"]
        expected = truth.step_s("eager", batch) / truth.step_s("graphs", batch)
        assert ratio.low is not None and ratio.high is not None
        # Widened a little: each of six 95% intervals misses the truth now and then.
        assert ratio.low * 0.99 < expected < ratio.high * 1.01
    errors = {
        name: abs(numbers[f"model/{name}/error/b64"].value) for name in ("additive", "overlap")
    }
    assert min(errors, key=errors.get) == model
    assert errors[model] < 0.02


def test_noise_free_data_has_no_interval_and_says_why(tmp_path):
    numbers, _ = ledger_of(Truth(between_sd=0, within_sd=0), tmp_path)
    ratio = numbers["ratio/bundle/b1"]
    assert ratio.low is None and ratio.high is None
    assert "equal" in ratio.note
    truth = Truth().step_s("eager", 1) / Truth().step_s("graphs", 1)
    assert ratio.value == pytest.approx(truth)


def test_factors_multiply_to_the_whole(tmp_path):
    numbers, _ = ledger_of(Truth(), tmp_path)
    for batch in (1, 8, 64):
        whole = numbers[f"ratio/bundle/b{batch}"].value
        product = numbers[f"ratio/graph/b{batch}"].value * numbers[f"ratio/compile/b{batch}"].value
        assert product == pytest.approx(whole)


def test_two_data_sets_are_compared_by_their_speed_ups(tmp_path):
    """The quotient of two known speed-ups is found; a data set against itself gives 1."""
    datasets: list[tuple[Dataset, pd.DataFrame]] = []
    truths = {"simulated-a": Truth(between_sd=0.005), "simulated-b": Truth(launch_s=5e-4)}
    for name, truth in truths.items():
        paths = simulate(truth, name, tmp_path / name, 10, 5, seed=len(datasets) + 1)
        datasets.append(read_dataset(name, paths, {}, CONTRASTS, {}, {}))
    ledger = build_ledger(datasets, [], {}, SETTINGS, [])
    numbers = {
        str(number.id): number for number in ledger.numbers if number.dataset == "simulated-a"
    }

    def speed_up(truth, batch):
        return truth.step_s("eager", batch) / truth.step_s("graphs", batch)

    for batch in (1, 8, 64):
        found = numbers[f"difference/bundle/simulated-b/b{batch}"]
        a, b = (speed_up(truth, batch) for truth in truths.values())
        assert found.low * 0.99 < a / b < found.high * 1.01
        assert any("simulated-b" in file for file in found.files)
    paths = simulate(truths["simulated-a"], "simulated-c", tmp_path / "c", 10, 5, seed=1)
    twin = read_dataset("simulated-c", paths, {}, CONTRASTS, {}, {})
    ledger = build_ledger([datasets[0], twin], [], {}, SETTINGS, [])
    same = [number for number in ledger.numbers if str(number.id).startswith("difference/")]
    assert len(same) == 9
    assert all(number.value == pytest.approx(1) for number in same)
