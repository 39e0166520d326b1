"""The version of vLLM as an arm's own: what is refused, and what a run is asked for."""

import sys
from typing import Any

import pytest
import yaml

from cudagraph_lab.config.read import parse_config
from cudagraph_lab.design import runs as design
from cudagraph_lab.design.sizes import laid_over, plans
from cudagraph_lab.engine.environment import vllm_python
from cudagraph_lab.engine.versions import SUPPORTED, VLLM_VERSION, oldest_first, supported_text
from cudagraph_lab.errors import LabError

NO_WEIGHTS = {"weights": "dummy", "revision": None}


@pytest.fixture
def design_of(repository):
    """The configuration of these files, with changes laid over it."""

    def read(*files, **changes):
        raw: dict[str, Any] = {}
        for name in ("config", *files):
            raw = laid_over(raw, yaml.safe_load((repository / f"config/{name}.yaml").read_text()))
        return parse_config(laid_over(raw, changes))

    return read


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vllm": "0.30.0"}, r"^config: vllm: '0\.30\.0' is no supported version of vLLM; "
         r"supported are 0\.22\.1, 0\.26\.0, 0\.32\.0 \(CPU\), 0\.33\.0 \(CUDA\); "
         r"see config/README\.md$"),
        ({"vllm": 0.26}, r"^config: vllm: 0\.26 should be a valid string"),
        ({"vllm": {"cuda": "0.26.0", "cpu": "0.31.0"}}, r"^config: vllm\.cpu: '0\.31\.0' is no s"),
        ({"vllm": {"cuda": "0.26.0"}}, r"^config: vllm: 'cpu' is missing"),
        ({"arms": {"eager": {"vllm": "9"}}}, r"^config: arms\.eager\.vllm: '9' is no supported"),
        ({"arms": {"eager": {"env": {"LD_PRELOAD": "x"}}}},
         r"^config: arms\.eager\.env\.LD_PRELOAD: .* not for an arm to set; an arm may set VLLM_"),
        ({"vllm_python": {"1": "python3"}}, r"^config: vllm_python\.1: '1' is no supported"),
    ],
)  # fmt: skip
def test_a_version_or_variable_that_is_not_known_is_refused_in_one_line(
    design_of, changes, message
):
    with pytest.raises(LabError, match=message) as refused:
        design_of(**changes)
    assert "\n" not in str(refused.value)


def test_the_versions_are_named_oldest_first_with_their_platform():
    assert supported_text().startswith(VLLM_VERSION)
    assert oldest_first(["0.9.1", "0.22.1", "0.10.2", "0.9.1", "dev"]) == [
        "dev", "0.9.1", "0.10.2", "0.22.1",
    ]  # fmt: skip


def test_the_shipped_upgrade_measures_each_arm_on_two_versions(design_of):
    config = design_of("upgrade")
    for platform, together in (("cuda", 6), ("cpu", 4)):
        newest = SUPPORTED[platform][-1]
        arms = design.arms_in_turn(config, platform)
        assert len(arms) == together
        assert design.versions_of(config, platform) == [VLLM_VERSION, newest]
        design.check_versions(config, platform)
        for arm in arms:
            asked = design.request_of_run(config, platform, arm, 1, NO_WEIGHTS)
            assert asked["vllm"] == (newest if arm.endswith("-new") else VLLM_VERSION)
    upgrades = [c for c in config.contrasts.values() if c.role == "upgrade"]
    for contrast in upgrades:
        sides = [config.arms[arm] for arm in (contrast.numerator, contrast.denominator)]
        assert sides[0].engine_args == sides[1].engine_args
    assert len(upgrades) == 3


def test_the_upgrade_for_torch_2_11_has_two_sizes_on_the_version_that_it_runs(design_of):
    made = plans(design_of("upgrade", "upgrade-h100"), "h")
    assert list(made) == ["h-opt-125m", "h-llama-1b"]
    assert [design.versions_of(plan, "cuda") for plan in made.values()] == [
        ["0.22.1", "0.26.0"]
    ] * 2


def test_a_version_without_a_lock_for_the_platform_is_refused_unless_its_python_is_named(design_of):
    line = r"^config: arms\.eager\.vllm: 0\.33\.0 has no lock for cpu; supported there are 0\.22\.1"
    with pytest.raises(LabError, match=line):
        design.check_versions(design_of(arms={"eager": {"vllm": "0.33.0"}}), "cpu")
    with pytest.raises(LabError, match=r"^config: vllm: 0\.33\.0 has no lock for cpu"):
        design.check_versions(design_of(vllm="0.33.0"), "cpu")
    named = {"0.33.0": sys.executable}
    design.check_versions(design_of(vllm="0.33.0", vllm_python=named), "cpu")


def test_one_python_cannot_be_two_versions(design_of):
    with pytest.raises(
        LabError, match=r"^config: vllm_python: python3 is one Python, but the arms"
    ):
        design.check_versions(design_of("upgrade", vllm_python="python3"), "cuda")
    design.check_versions(design_of(vllm_python="python3"), "cuda")


def test_the_name_of_a_data_set_holds_all_its_versions(design_of):
    versions = design.versions_of(design_of("upgrade"), "cpu")
    assert design.dataset_name("cpu", "A CPU", versions) == "cpu-a-cpu-vllm0.22.1-0.32.0"


def test_a_named_python_that_holds_another_version_is_refused(tmp_path):
    (tmp_path / "vllm-0.22.1.dist-info").mkdir()
    (tmp_path / "vllm-0.22.1.dist-info" / "METADATA").write_text("Name: vllm\nVersion: 0.22.1+x\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert vllm_python({"0.22.1": str(python)}, "auto", "cuda", "0.22.1") == python
    with pytest.raises(LabError, match=r"has vLLM 0\.22\.1, asked is 0\.26\.0; name a Python"):
        vllm_python({"0.26.0": str(python)}, "auto", "cuda", "0.26.0")
