"""Where jobs run on other machines: what is asked for, and that this machine decides nothing."""

import re

import pytest
import yaml

PROFILES = ["slurm", "kubernetes"]


@pytest.fixture
def plan(run_snakemake, repository, tmp_path):
    """A dry-run with one of the shipped profiles for clusters."""

    def run(profile, *config):
        return run_snakemake(
            "-n",
            "--workflow-profile", repository / "profiles" / profile,
            *(["--config", *config] if config else []),
            directory=tmp_path,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("profile", PROFILES)
def test_graphs_are_planned_from_a_machine_without_a_gpu(plan, jobs, profile):
    done = plan(profile, "measure=cuda", "dataset=nodes", "order=apart")
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["measure"] == 9
    assert "results/nodes/runs/graphs/rep3.json" in done.stdout
    assert "gpu=1" in done.stdout
    assert "gpu_model" not in done.stdout


def asked(text):
    """What each measurement of a dry-run asks for."""
    measurements = re.split(r"rule measure(?:_in_turn_\d+)?:", text)[1:]
    return [part.partition("resources: ")[2].partition("\n")[0] for part in measurements]


def test_a_measurement_on_slurm_asks_for_what_it_needs(plan):
    done = plan(
        "slurm", "measure=cuda", "dataset=nodes", "order=apart", "gpu_model=h100", "timeout_s=601"
    )
    assert len(asked(done.stdout)) == 9
    for resources in asked(done.stdout):
        found = dict(one.split("=", 1) for one in resources.split(", "))
        assert found["gpu"] == "1"
        assert found["gpu_model"] == "h100"
        assert found["mem_mb"] == "32000"
        assert found["runtime"] == "26"  # 11 minutes for the run, 15 around it
        assert found["slurm_extra"] == "--exclusive"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("order", "gpus"), [("apart", ["1"] * 3 + ["4"] * 3), ("in_turn", ["4"])])
def test_a_run_asks_for_a_gpu_for_each_of_its_ranks(
    run_snakemake, repository, tmp_path, profile, order, gpus
):
    """Tensor x pipeline x data parallel size; arms in turn share the devices of the largest."""
    ranks = {"tensor_parallel_size": 2, "data_parallel_size": 2}
    design = {
        "order": order,
        "repeats": 3 if order == "apart" else 1,
        "engine_args": {"enforce_eager": True},
        "arms": {"wide": {"engine_args": ranks}, "compiled": None, "graphs": None},
        "contrasts": {
            **dict.fromkeys(["bundle", "compile", "graph"]),
            "ranks": {"numerator": "wide", "denominator": "eager", "role": "primary"},
        },
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(design))
    done = run_snakemake(
        "-n",
        *("--workflow-profile", repository / "profiles" / profile),
        *("--config", "measure=cuda", "dataset=nodes"),
        directory=tmp_path,
        configfiles=(repository / "config" / "config.yaml", tmp_path / "mine.yaml"),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found = [dict(one.split("=", 1) for one in line.split(", ")) for line in asked(done.stdout)]
    assert sorted(resources["gpu"] for resources in found) == gpus


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("config", "key"),
    [
        ((), "measure"),
        (("dataset=nodes",), "measure"),
        (("measure=cpu",), "dataset"),
        (("measure=cpu", "dataset=nodes"), "order"),
    ],
)
def test_the_hardware_of_the_head_node_is_never_taken_for_the_nodes(plan, profile, config, key):
    done = plan(profile, *config)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("cudagraph-lab: ")]
    assert f"config: {key}: auto goes by the hardware of the machine that Snakemake runs" in said
    assert "set measure to cuda or cpu and dataset to a name" in said


def test_so_it_is_when_jobs_would_really_be_sent(run_snakemake, repository, tmp_path):
    done = run_snakemake(
        "--workflow-profile", repository / "profiles" / "slurm", directory=tmp_path
    )
    assert done.returncode == 1
    assert "cudagraph-lab: config: measure: auto goes by" in done.stdout
    # It can be called again at once.
    assert not list((tmp_path / ".snakemake").glob("locks/*"))


def test_a_gpu_that_is_not_here_is_missed_before_anything_is_built_for_it(
    run_snakemake, tmp_path, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = run_snakemake("--config", "measure=cuda", "dataset=x", directory=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("cudagraph-lab: ")]
    assert "config: order: auto goes by the memory of the device, but no NVIDIA GPU answers" in said
    done = run_snakemake("--config", "measure=cuda", "dataset=x", "order=apart", directory=tmp_path)
    assert "config: measure: cuda, but no NVIDIA GPU answers here" in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("profile", ["default", *PROFILES])
def test_every_key_of_a_profile_is_explained_and_none_tries_a_measurement_again(
    repository, profile
):
    text = (repository / "profiles" / profile / "profile.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    for paragraph in text.strip().split("\n\n"):
        assert paragraph.startswith("#"), f"{profile}: {paragraph}"
    assert settings["retries"] == 0
    assert "restart-times" not in settings
    assert settings["keep-going"]
    assert settings["rerun-incomplete"]
    assert "code" not in settings["rerun-triggers"]


def test_without_a_cluster_one_gpu_is_offered_also_by_hand(run_snakemake, tmp_path, jobs):
    done = run_snakemake(
        "-n", "--resources", "gpu=1", "--config", "measure=cpu", "dataset=x", directory=tmp_path
    )
    assert done.returncode == 0, done.stdout
    # The shipped order: arms in turn, a job a repeat.
    measuring = {rule: n for rule, n in jobs(done.stdout).items() if rule.startswith("measure")}
    assert measuring == {f"measure_in_turn_{repeat}": 1 for repeat in (1, 2, 3)}
