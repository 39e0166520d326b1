"""`cudagraph-lab doctor`, the help of every command, its version and its completion."""

import dataclasses
import json
import shlex
import shutil
import subprocess
import sys
from typing import Any

import pytest

from cudagraph_lab import packages
from cudagraph_lab.cli import main, parser_of_commands
from cudagraph_lab.cli.doctor import CHROMIUM, Facts, lines, targets
from cudagraph_lab.cli.examples import EXAMPLES
from cudagraph_lab.engine.versions import VLLM_VERSION

WHOLE = Facts(
    gpus=["NVIDIA H100 (80 GiB)"],
    driver="580.1",
    gpu_fault=None,
    cores=8,
    memory_gib=64.0,
    free_memory_gib=60.0,
    share=0.5,
    cache="/srv/cache/cudagraph-lab",
    free_disk_gib=100.0,
    environments=["vllm-cuda"],
    needed_gib={"vllm-cpu": 8, "vllm-cuda": 14},
    tools=["git", "make", "npm", "chromium", "sbatch"],
    missing_for_cpu=[],
    missing_for_tests=[],
    can_install=False,
)
BARE = dataclasses.replace(
    WHOLE,
    gpus=[],
    driver=None,
    environments=[],
    tools=["git"],
    missing_for_tests=[name for names in packages.TESTS.values() for name in names],
)


def test_it_says_all_in_ten_lines_none_of_which_wraps_far():
    for facts in (WHOLE, BARE):
        said = lines(facts)
        assert len(said) == 10
        assert max(map(len, said)) < 200


def test_where_all_is_here_every_target_works():
    found = targets(WHOLE)
    assert found["make lab"] == "works: measures eager, compiled and graphs on the GPU"
    assert found["make test"] == found["make docs"] == "works"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpu_fault": "the NVIDIA driver does not answer (x)"}, "would fail: the NVIDIA driver"),
        ({"free_disk_gib": 7.9}, "vLLM's environment needs 8 GiB on the disk of /srv/cache"),
        ({"free_memory_gib": 31.9}, "an engine asks for 32.0 GiB of memory, 31.9 are free"),
        (
            {"free_memory_gib": 32.1},
            "works: measures eager and compiled on the CPU; graphs need an",
        ),
        (
            {"missing_for_cpu": ["libnuma1", "g++"]},
            "would fail: vLLM on a CPU needs more of the system; on Debian, as root: apt-get "
            "install libnuma1 g++",
        ),
        (
            {"missing_for_cpu": ["libnuma1", "g++"], "can_install": True},
            "graphs need an NVIDIA GPU; installs libnuma1, g++ first",
        ),
        # A GPU needs neither.
        (
            {"gpus": ["NVIDIA L4 (22 GiB)"], "missing_for_cpu": ["g++"]},
            "works: measures eager, comp",
        ),
        ({"environments": ["vllm-cpu"], "free_disk_gib": 0.1}, "works: "),
        ({"gpus": ["NVIDIA L4 (22 GiB)"], "free_disk_gib": 13.0}, "environment needs 14 GiB"),
        # The memory of the machine is not what an engine on a GPU asks for.
        ({"gpus": ["NVIDIA L4 (22 GiB)"], "free_memory_gib": 1.0}, "works: measures eager, comp"),
    ],
)
def test_what_would_fail_is_said_with_its_reason(change, said):
    assert said in targets(dataclasses.replace(BARE, **change))["make lab"]


def test_all_that_the_tests_lack_is_said_at_once():
    every = "chromium fonts-dejavu-core npm slurm-wlm slurmctld slurmd munge libnuma1 g++"
    every += f" python3.{sys.version_info.minor}-dev"
    assert targets(BARE)["make test"] == f"would fail; on Debian, as root: apt-get install {every}"
    root = dataclasses.replace(BARE, can_install=True)
    assert targets(root)["make test"] == f"works; installs {every.replace(' ', ', ')} first"
    assert targets(BARE)["make docs"] == f"would fail: {CHROMIUM}"


def test_the_command_looks_at_this_machine(capsys, tmp_path):
    main(["doctor", "--cache-dir", str(tmp_path / "none" / "yet"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["environments"] == []
    assert 0 < found["free_memory_gib"] <= found["memory_gib"]
    assert ("git" in found["tools"]) == (shutil.which("git") is not None)
    assert found["targets"]["make report"].startswith("works")
    main(["doctor"])
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_the_version_names_vllms_too(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert f", for vLLM {VLLM_VERSION}\n" in capsys.readouterr().out


def commands():
    chosen: Any
    (chosen,) = [a for a in parser_of_commands()._actions if a.dest == "command"]
    # Those without a help text are steps of the workflow.
    return {action.dest for action in chosen._choices_actions}


def test_every_command_has_examples_and_every_example_is_a_command():
    assert set(EXAMPLES) == commands()
    for name, examples in EXAMPLES.items():
        for example in examples:
            words = shlex.split(example.partition(" > ")[0])
            assert parser_of_commands().parse_args(words).command == name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_help_ends_with_the_examples(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "-h"])
    assert capsys.readouterr().out.endswith(f"  cudagraph-lab {EXAMPLES[name][-1]}\n")


def test_a_shell_completes_commands_and_options(capsys, tmp_path):
    main(["completion", "bash"])
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)

    (tmp_path / "server.log").touch()

    def completed(*words):
        line = f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}"
        ask = f'. {script}; {line}; _shtab_cudagraph_lab; printf "%s\\n" "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True)
        return {word.strip() for word in done.stdout.splitlines()}

    assert completed("cudagraph-lab", "ext") == {"extrapolate"}
    assert completed("cudagraph-lab", "startup-log", "ser") == {"server.log"}
    assert completed("cudagraph-lab", "ladder", "--log", "ser") == {"server.log"}
    assert "--launch-us" in completed("cudagraph-lab", "extrapolate", "--l")
