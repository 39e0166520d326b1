"""The commands a person types: output, exit codes, one-line errors."""

import json
from pathlib import Path

import pytest

from cudagraph_lab.cli import main

LOGS = Path(__file__).parent.parent / "fixtures" / "startup_logs"


def test_startup_log_prints_the_facts_as_json(capsys):
    expected = json.loads((LOGS / "expected.json").read_text(encoding="utf-8"))
    for name, facts in expected.items():
        main(["startup-log", str(LOGS / name)])
        assert json.loads(capsys.readouterr().out) == facts


def test_ladder_prints_the_best_sizes(tmp_path, capsys):
    batches = tmp_path / "batches.csv"
    batches.write_text("batch,count\n1,10\n9,5\n33,5\n", encoding="utf-8")
    main(["ladder", "--batches", str(batches), "--rungs", "3", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["best"]["sizes"] == [1, 9, 33]
    assert answer["best"]["padded_tokens"] == 0
    # vLLM's own ladder pads 9 to 16 and 33 to 40.
    assert answer["default"]["padded_tokens"] == 5 * 7 + 5 * 7
    main(["ladder", "--batches", str(batches), "--rungs", "3"])
    assert "cudagraph_capture_sizes: [1, 9, 33]" in capsys.readouterr().out


def test_extrapolate_prints_a_bracket_with_its_assumptions(capsys):
    question = ["extrapolate", "--device", "h100", "--model", "llama-70b", "--batch", "32"]
    main([*question, "--tp", "2", "--dtype", "bf16", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert 1 <= answer["low"] < answer["high"]
    assert answer["assumptions"]
    main([*question, "--tp", "2"])
    printed = capsys.readouterr().out
    assert all(assumption in printed for assumption in answer["assumptions"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["startup-log", "no-such.log"], "no-such.log"),
        (["ladder", "--batches", "no-such.csv", "--rungs", "3"], "no-such.csv"),
        (["extrapolate", "--device", "h9", "--model", "llama-70b", "--batch", "1"], "h9"),
        (["extrapolate", "--device", "h100", "--model", "llama-9", "--batch", "1"], "llama-9"),
        (["simulate", "--truth", '{"launch": 1}'], "launch"),
        (["measure", "--dataset", "d", "--arm", "a", "--repeat", "1", "--weights", "w",
          "--job", "{", "--output", "o"], "make lab"),
    ],
)  # fmt: skip
def test_a_mistake_ends_in_one_line(arguments, named, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    message = str(ended.value)
    assert message.startswith("cudagraph-lab: ") and named in message
    assert "\n" not in message


def test_the_environment_can_be_built_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    """As on a head node, when the nodes have no network: without the workflow's design."""
    built = []

    def build(lock, cache):
        built.append((lock.name, cache))
        return cache / "bin" / "python"

    monkeypatch.setattr("cudagraph_lab.engine.environment.ensure_environment", build)
    main(["build-environment", "--platform", "cuda", "--cache-dir", str(tmp_path)])
    assert built == [("vllm-cuda.txt", tmp_path)]
    assert capsys.readouterr().out == f"{tmp_path}/bin/python\n"
    with pytest.raises(SystemExit):
        main(["build-environment"])
    assert "--platform" in capsys.readouterr().err
