"""The real workflow, with nothing measured: from a clone, elsewhere, as a module."""

import json
import re
import shutil

import pytest
import yaml

from cudagraph_lab import REPOSITORY
from cudagraph_lab.models.simulation import Truth, simulate

NOTHING_MEASURED = ("--config", "measure=none")
# Those that the report shows unasked: neither superseded nor a replicate.
SHIPPED = {
    path.parent.name
    for path in REPOSITORY.glob("resources/datasets/*/runs")
    if not {"superseded_by", "replicate_of"}
    & yaml.safe_load((path.parent / "dataset.yaml").read_text(encoding="utf-8")).keys()
}


def numbers(directory):
    ledger = json.loads((directory / "results" / "ledger.json").read_text(encoding="utf-8"))
    return ledger, {(number["dataset"], number["id"]): number for number in ledger["numbers"]}


def targets(said):
    """The files that the jobs of a dry-run would write."""
    lines = re.findall(r"^ +output: (.*)$", said, re.MULTILINE)
    return {path for line in lines for path in line.split(", ")}


@pytest.fixture(scope="module")
def clone(make_clone, tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("clone") / "cudagraph-lab")


def test_a_dry_run_works_straight_after_a_clone(clone, run_snakemake, jobs):
    # As a user types it: no --configfile, the Snakefile at the top, the profile beside it.
    done = run_snakemake("-n", directory=clone, snakefile=clone / "Snakefile", configfiles=())
    assert done.returncode == 0, done.stdout
    assert "Using workflow specific profile" in done.stdout
    planned = jobs(done.stdout)
    assert planned["build_ledger"] == 1
    measuring = {rule for rule in planned if rule.startswith("measure")}
    assert measuring == {f"measure_in_turn_{repeat}" for repeat in (1, 2, 3)}
    assert "Traceback" not in done.stdout


def test_without_measuring_nothing_dear_is_planned(clone, run_snakemake, jobs):
    done = run_snakemake(
        "-n", *NOTHING_MEASURED, directory=clone, snakefile=clone / "Snakefile", configfiles=()
    )
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    # All in one job.
    assert planned["collect_shipped"] == 1
    assert "collect_observations" not in planned
    assert {f"results/{name}/observations.csv" for name in SHIPPED} <= targets(done.stdout)
    dear = {"measure", "build_environment", "choose_weights", "register_predictions"}
    assert not dear & set(planned)


def test_the_ledger_of_shipped_records_holds_the_published_ratio(from_records):
    ledger, found = numbers(from_records)
    assert ledger["measured_here"] == []
    names = [facts["name"] for facts in ledger["datasets"]]
    assert set(names) == SHIPPED
    # Those that answer the headline's question come before those that cannot.
    assert names[:6] == [
        "h100-turns-twelve", "h200-turns", "h100-turns",
        "l4-published", "h100-opt-125m", "h200-opt-125m",
    ]  # fmt: skip
    ratio = found["l4-published", "ratio/bundle/b1"]
    assert ratio["value"] == pytest.approx(2473.6 / 980.3, rel=1e-14)
    assert (ratio["n"], ratio["low"], ratio["high"]) == (1, None, None)
    assert ratio["files"]


def test_both_predictions_of_the_captured_shapes_are_judged_and_differ(from_records):
    _, found = numbers(from_records)
    for dataset, right in (("l4-published", "lab"), ("h100-opt-125m", "vllm")):
        number = found[dataset, "capture/shapes/piecewise"]
        verdicts = {one["id"]: one["verdict"] for one in number["predictions"]}
        wrong = "vllm" if right == "lab" else "lab"
        assert verdicts == {
            f"{right}/shapes-piecewise": "confirmed",
            f"{wrong}/shapes-piecewise": "refuted",
        }


def test_predictions_are_registered_for_the_measured_data_and_post_hoc_for_the_published(
    from_records,
):
    _, found = numbers(from_records)
    (judged,) = [
        one
        for one in found["h100-opt-125m", "capture/shapes/piecewise"]["predictions"]
        if one["id"] == "vllm/shapes-piecewise"
    ]
    assert not judged["post_hoc"]
    assert all(one["post_hoc"] for one in found["l4-published", "ratio/bundle/b1"]["predictions"])


def test_no_library_warns_while_the_report_is_made(from_records):
    said = (from_records / "said.txt").read_text(encoding="utf-8")
    assert "Finished jobid" in said
    assert [line for line in said.splitlines() if "Warning" in line] == []


def test_nothing_is_left_to_do_after_it(from_records, run_snakemake):
    done = run_snakemake("-n", "results/ledger.json", *NOTHING_MEASURED, directory=from_records)
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


def test_another_headline_makes_the_ledger_anew_and_reads_no_record_again(
    from_records, run_snakemake, jobs
):
    done = run_snakemake(
        "-n", "results/ledger.json", *NOTHING_MEASURED, "headline=graph", directory=from_records
    )
    assert jobs(done.stdout) == {"build_ledger": 1, "total": 1}


def test_an_added_arm_reads_the_records_again_for_a_reason_that_fits_a_line(
    from_records, run_snakemake, jobs, tmp_path
):
    mine = {
        "arms": {"own": {"engine_args": {"enforce_eager": True}}},
        "contrasts": {"own": {"numerator": "own", "denominator": "eager"}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    done = run_snakemake(
        "-n", "results/ledger.json", *NOTHING_MEASURED,
        directory=from_records,
        configfiles=(REPOSITORY / "config" / "config.yaml", tmp_path / "mine.yaml"),
    )  # fmt: skip
    assert jobs(done.stdout)["collect_shipped"] == 1
    reasons = re.findall(
        r"Params have changed since last execution:[^\n]*(?:\n {8,}.*)*", done.stdout
    )
    assert len(reasons) == 1
    assert max(map(len, reasons)) < 400


def test_another_workflow_uses_this_one_as_a_module(
    tmp_path, run_snakemake, repository, monkeypatch
):
    """The example of the README, as it is written."""
    monkeypatch.setenv("CUDAGRAPH_LAB", str(repository))
    example = repository / "docs" / "examples" / "module" / "Snakefile"
    done = run_snakemake(directory=tmp_path, snakefile=example, configfiles=())
    assert done.returncode == 0, done.stdout
    table = (tmp_path / "results/l4-published/observations.csv").read_text("utf-8")
    assert (tmp_path / "counted.txt").read_text().split()[0] == str(len(table.splitlines()))
    facts = json.loads((tmp_path / "results/l4-published/dataset.json").read_text())
    assert facts["device"] == "NVIDIA L4"


def test_a_directory_without_a_configuration_has_the_repositorys(tmp_path, run_snakemake, jobs):
    """config/config.yaml is read always, and a file of one's own is laid over it."""
    (tmp_path / "mine.yaml").write_text("{measure: none, compare: [l4-published]}")
    done = run_snakemake("-n", directory=tmp_path, configfiles=(tmp_path / "mine.yaml",))
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["collect_shipped"] == 1
    own = tmp_path / "config" / "config.yaml"
    own.parent.mkdir()
    own.write_text("{measure: none, compare: [no-such]}")
    done = run_snakemake("-n", directory=tmp_path, configfiles=(tmp_path / "mine.yaml",))
    assert done.returncode != 0
    assert "cudagraph-lab: config: top level: 'arms' is missing" in done.stdout


def test_an_arm_that_is_not_in_the_design_cannot_be_measured(tmp_path, run_snakemake):
    for arm in ("graph", "graphs"):  # a misspelt one, and one that a CPU cannot measure
        done = run_snakemake(
            f"results/d/runs/{arm}/rep1.json",
            "-n", "--config", "measure=cpu", "dataset=d",
            directory=tmp_path,
        )  # fmt: skip
        assert done.returncode != 0
        said = f"config: arms: repeat 1 of arm {arm!r} is not to be measured here; repeat 1 has: "
        assert said + "compiled, eager\n" in done.stdout


def test_simulated_data_enter_a_report_only_by_name(tmp_path, run_snakemake, jobs):
    simulate(Truth(), "simulated-x", tmp_path / "results" / "simulated-x", 2, 2, seed=1)
    default = run_snakemake("-n", *NOTHING_MEASURED, directory=tmp_path)
    assert {f"results/{name}/observations.csv" for name in SHIPPED} <= targets(default.stdout)
    assert "collect_observations" not in jobs(default.stdout)
    named = run_snakemake("-n", *NOTHING_MEASURED, "compare=[simulated-x]", directory=tmp_path)
    assert jobs(named.stdout)["collect_observations"] == 1
    assert "results/simulated-x/runs" in named.stdout


def settled(directory, run_snakemake, *arguments, **changes):
    """Make the register and the weights of a data set in `directory`."""
    (directory / "mine.yaml").write_text(
        yaml.safe_dump({"measure": "cpu", "dataset": "d", "compare": [], **changes})
    )
    targets = ["results/d/predictions.registered.json", "results/d/weights.json"]
    return run_snakemake(
        *targets,
        *arguments,
        directory=directory,
        configfiles=(REPOSITORY / "config" / "config.yaml", directory / "mine.yaml"),
    )


def test_what_was_settled_stays_whatever_the_configuration_says_and_with_forceall(
    tmp_path, run_snakemake
):
    """Parameters that name `output` start no job again: what the workflow rests on."""
    dummy = {"name": "facebook/opt-125m", "weights": "dummy"}
    done = settled(tmp_path, run_snakemake, model=dummy)
    assert done.returncode == 0, done.stdout
    register = tmp_path / "results" / "d" / "predictions.registered.json"
    before = register.read_bytes()
    (tmp_path / "own.yaml").write_text("predictions: []")
    changed = {
        "model": dummy | {"architecture": str(REPOSITORY / "tests" / "models" / "opt-2-layers")},
        "own_predictions": "own.yaml",
        "cache_dir": str(tmp_path / "cache"),
    }
    done = settled(tmp_path, run_snakemake, "-n", **changed)
    assert "Nothing to be done" in done.stdout, done.stdout
    done = settled(tmp_path, run_snakemake, "--forceall", **changed)
    assert done.returncode == 0, done.stdout
    assert "the register stays as it is" in done.stdout
    assert register.read_bytes() == before


def test_what_was_measured_here_leads_whoever_asks_for_the_report(
    tmp_path, run_snakemake, edit_record
):
    """After `make lab`, `make report` makes the same ledger."""

    def as_if_today(body):
        """Batch sizes take turns, and a CPU's engine gets 512 tokens a step."""
        body["request"]["rounds"] = True
        body["request"]["engine_args"]["max_num_batched_tokens"] = 512

    runs = REPOSITORY / "resources" / "datasets" / "cpu-opt-125m" / "runs"
    shutil.copytree(runs, tmp_path / "results" / "cpu-opt-125m" / "runs")
    for path in (tmp_path / "results").glob("*/runs/*/rep*.json"):
        edit_record(path, as_if_today)
    (tmp_path / "results" / "cpu-opt-125m" / "predictions.registered.json").write_text(
        (runs.parent / "predictions.registered.json").read_text(encoding="utf-8")
    )
    for name in ("weights", "environment"):
        (tmp_path / "results" / "cpu-opt-125m" / f"{name}.json").write_text("{}")
    text = (runs / "eager" / "rep1.json").read_text(encoding="utf-8")
    request = json.loads(text)["record"]["request"]
    mine = {
        "dataset": "cpu-opt-125m",
        "compare": ["l4-published"],
        "workload": request["workload"],
        "iterations": request["iterations"],
        "engine_args_cpu": {"dtype": request["engine_args"]["dtype"]},
        "order": "apart",
        "seconds_per_repeat": None,
        "repeats": 1,
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    ledgers = []
    for measure in ("cpu", "none"):
        done = run_snakemake(
            "results/ledger.json",
            *("--config", f"measure={measure}"),
            directory=tmp_path,
            configfiles=(REPOSITORY / "config" / "config.yaml", tmp_path / "mine.yaml"),
        )
        assert done.returncode == 0, done.stdout[-3000:]
        ledgers.append((tmp_path / "results" / "ledger.json").read_text(encoding="utf-8"))
    assert json.loads(ledgers[0])["measured_here"] == ["cpu-opt-125m"]
    assert ledgers[0] == ledgers[1]


def test_a_reworded_rule_does_not_measure_again(repository):
    """Snakemake's trigger `code` would delete every record first."""
    profile = yaml.safe_load((repository / "profiles" / "default" / "profile.yaml").read_text())
    assert "code" not in profile["rerun-triggers"]
