"""The commands a person types: output, exit codes, one-line errors."""

import json
import tomllib
from pathlib import Path

import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.cli import main
from cudagraph_lab.design.predictions import read_predictions
from cudagraph_lab.engine.versions import VLLM_VERSION
from cudagraph_lab.ledger.hosts import measured_ratios

LOGS = Path(__file__).parent.parent / "fixtures" / "startup_logs"


def test_the_version_is_the_one_of_the_project(capsys):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.split()[1] == project["project"]["version"] + ","


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
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Engine: vLLM {VLLM_VERSION}, max_num_seqs 256, ")
    assert lines[-1] == """--compilation-config '{"cudagraph_capture_sizes": [1, 9, 33]}'"""
    # Of an engine with drafts, counted in requests: the same steps carry four tokens each.
    options = ["--requests", "--speculative-tokens", "3", "--max-num-seqs", "40", "--rungs", "3"]
    main(["ladder", "--batches", str(batches), *options, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["best"]["sizes"] == [4, 36, 132]
    assert answer["batches_are"] == "requests per step"
    assert (answer["default"]["sizes"][-1], len(answer["default"]["sizes"])) == (320, 39)
    assert answer["engine"]["speculative_tokens"] == 3
    main(["ladder", "--batches", str(batches), "--sizes", "1", "16", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["in_use"]["missed_steps"], answer["rungs_allowed"]) == (5, 2)


STATS = """\
(APIServer pid=5) INFO 10-01 10:00:10 [loggers.py:1] Engine 000: Running: 30 reqs, Waiting: 0 reqs
(APIServer pid=5) INFO 10-01 10:00:10 [cuda_graph.py:1] **CUDAGraph Config Settings:**
(APIServer pid=5) INFO 10-01 10:00:10 [cuda_graph.py:1] - Mode: FULL_AND_PIECEWISE
(APIServer pid=5) INFO 10-01 10:00:10 [cuda_graph.py:1] - Capture sizes: [1, 2, 4, 8]
(APIServer pid=5) INFO 10-01 10:00:10 [cuda_graph.py:1] **CUDAGraph Stats:**
(APIServer pid=5) INFO 10-01 10:00:10 [cuda_graph.py:1] | 5 | 8 | 3 | FULL | 100 |
(APIServer pid=5) INFO 10-01 10:00:10 [cuda_graph.py:1] | 700 | 700 | 0 | NONE | 2 |
(APIServer pid=5) INFO 10-01 10:00:20 [cuda_graph.py:1] **CUDAGraph Stats:**
(APIServer pid=5) INFO 10-01 10:00:20 [cuda_graph.py:1] | 5 | 8 | 3 | FULL | 50 |
(APIServer pid=5) INFO 10-01 10:00:20 [cuda_graph.py:1] | 30 | 30 | 0 | NONE | 7 |
(APIServer pid=5) INFO 10-01 10:00:20 [cuda_graph.py:1] | 3 | 4 | 1 | PIECEWISE | 4 |
"""
CAPTURE = """\
INFO 10-01 09:59:00 [core.py:1] Initializing a V1 LLM engine (v0.17.1) with config: x
INFO 10-01 09:59:10 [kv.py:1] GPU KV cache size: 5 tokens
Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%|#| 4/4 [00:01<00:00, 1it/s]
Capturing CUDA graphs (decode, FULL): 100%|#| 4/4 [00:01<00:00, 1it/s]
INFO 10-01 09:59:20 [runner.py:1] Graph capturing finished in 4 secs, took 0.16 GiB
"""


def test_ladder_reads_a_servers_log(tmp_path, capsys):
    log = tmp_path / "server.log"
    log.write_text(CAPTURE + STATS, encoding="utf-8")
    main(["ladder", "--log", str(log), "--rungs", "2", "--json"])
    answer = json.loads(capsys.readouterr().out)
    today = answer["today"]
    assert (today["steps"], today["replayed_steps"], today["padded_tokens"]) == (163, 154, 454)
    assert today["padded_share"] == pytest.approx(454 / (150 * 8 + 4 * 4))
    outside = {one["tokens"]: (one["steps"], one["prefill"])
               for one in today["steps_outside_a_graph"]}  # fmt: skip
    assert outside == {30: (7, False), 700: (2, True)}
    assert today["piecewise_steps"] == 4
    assert answer["engine"]["vllm"] == "0.17.1"  # as the log says
    assert answer["best"]["sizes"] == [5, 30]
    # Four graphs instead of eight, of half a second and 0.02 GiB each.
    assert answer["saving"]["seconds"] == pytest.approx(2.0)
    assert answer["saving"]["gib"] == pytest.approx(0.08)
    main(["ladder", "--log", str(log), "--rungs", "2"])
    text = capsys.readouterr().out
    assert "154 of 163 steps replayed a graph" in text
    assert "7 steps of 30 tokens without a graph: above the largest captured size (8)" in text
    assert "2 steps of 700 tokens without a graph: more likely a prefill" in text
    assert text.splitlines()[-1] == answer["option"]


def test_a_log_that_tells_nothing_is_said_to(tmp_path):
    log = tmp_path / "other.log"
    log.write_text("nothing of vLLM\n", encoding="utf-8")
    for command, said in ((["startup-log", str(log)], "no line of a vLLM start-up"),
                          (["ladder", "--log", str(log)], "V2 model runner")):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert said in str(ended.value) and str(log) in str(ended.value)


def test_a_log_of_two_engines_gives_a_list(tmp_path, capsys):
    log = tmp_path / "two.log"
    log.write_text("".join(
        f"(EngineCore_DP{n} pid={n}) INFO 06-05 07:28:29 [x.py:1] GPU KV cache size: {n}5 tokens\n"
        for n in (1, 0)
    ), encoding="utf-8")  # fmt: skip
    main(["startup-log", str(log), "--sources"])
    found = json.loads(capsys.readouterr().out)
    assert [(one["engine"], one["kv_cache_tokens"]) for one in found] == [
        ("EngineCore_DP0", 5), ("EngineCore_DP1", 15),
    ]  # fmt: skip
    assert found[0]["sources"]["kv_cache_tokens"][0]["line"] == 2


def test_extrapolate_takes_a_model_and_a_device_of_ones_own(tmp_path, capsys):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "hidden_act": "silu",
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "vocab_size": 128256,
    }))  # fmt: skip
    own = ["extrapolate", "--model", str(config), "--batch", "1", "--json"]
    main([*own, "--bandwidth-tb-s", "3.35", "--peak-tflops", "989.5"])
    answer = json.loads(capsys.readouterr().out)
    kernels = ["--kernels-per-layer", "10", "12"]
    known = ["extrapolate", "--model", "llama-3-8b", "--batch", "1", "--device", "h100", "--json"]
    main([*known, *kernels])
    known = json.loads(capsys.readouterr().out)
    main([*own, "--bandwidth-tb-s", "3.35", "--peak-tflops", "989.5", *kernels])
    assert json.loads(capsys.readouterr().out)["ratio"] == pytest.approx(known["ratio"], rel=0.02)
    assert any(line.startswith("device of your own figures") for line in answer["unchecked"])
    assert any(line.startswith(f"model {config}") for line in answer["unchecked"])
    assert "weights and cache fit: the device's memory is not known" in answer["rests_on"]
    # Weights of four bits are read in a quarter of the time, so that the host decides more often.
    main([*own, "--device", "h100", "--weight-bits", "4", *kernels])
    quarter = json.loads(capsys.readouterr().out)
    assert quarter["gpu_s"]["graphs"] < known["gpu_s"]["graphs"] / 2
    assert quarter["ratio"]["median"] > known["ratio"]["median"]
    main(["extrapolate", "--model", str(config), "--batch", "1", "--device", "a100-80"])
    printed = capsys.readouterr().out
    assert "Outside of the published pairs that it was checked on" in printed


def test_extrapolate_holds_a_published_pair_of_a_7b_model_on_an_a100(capsys):
    """Qwen2.5-Omni-7B, one request: 22 to 23 ms a token in eager mode, 13 ms with graphs."""
    question = ["extrapolate", "--device", "a100-80", "--model", "llama-3-8b", "--batch", "1"]
    main([*question, "--tp", "1", "--dtype", "bf16", "--json"])
    answer = json.loads(capsys.readouterr().out)
    for published in (22 / 13, 23 / 13):
        assert answer["ratio"]["low_90"] <= published <= answer["ratio"]["high_90"]
    # The model is the nearest one, and this card was never checked with it: that is said.
    main([*question, "--tp", "1"])
    printed = capsys.readouterr().out
    assert "Outside of the published pairs that it was checked on: llama-3-8b on a100-80" in printed
    assert "overstated" not in printed


def test_extrapolate_prints_the_numbers_of_its_json(capsys):
    question = ["extrapolate", "--device", "h100", "--model", "llama-70b", "--batch", "32"]
    main([*question, "--tp", "2", "--dtype", "bf16", "--json"])
    answer = json.loads(capsys.readouterr().out)
    ratio = answer["ratio"]
    assert ratio["low_90"] < ratio["low_50"] < ratio["median"] < ratio["high_50"] < ratio["high_90"]
    main([*question, "--tp", "2"])
    printed = " ".join(capsys.readouterr().out.split())
    assert all(reason in printed for reason in answer["rests_on"])
    assert f"graphs over eager: {ratio['median']:.3g}x" in printed
    assert f"90%: {ratio['low_90']:.3g} to {ratio['high_90']:.3g}" in printed


def test_calibrate_prints_constants_with_units_and_what_they_are_worth(capsys):
    main(["calibrate", "h100-turns"])
    printed = capsys.readouterr().out
    assert "fixed host work a step" in printed and "us (" in printed and "fitted" in printed
    main(["calibrate", "h100-turns", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["device"], said["model"]) == ("h100", "opt-125m")
    launch = said["constants"]["a launch in eager"]
    assert launch["low_90"] < launch["median"] < launch["high_90"] and launch["unit"] == "us"
    assert max(map(abs, said["residuals"].values())) < 0.1


def test_forecast_writes_predictions_that_can_be_registered(tmp_path, capsys):
    main(["forecast", "--host", "h100-turns", "--device", "h100", "--model", "llama-3.2-1b",
          "--batch", "1", "8", "--dataset", "sizes-*", "--context", "18"])  # fmt: skip
    path = tmp_path / "predictions.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    predictions = read_predictions([path])
    assert len(predictions) == 2 * (3 + 1 + 3)  # steps, their ratio, three baselines
    forecasts = [one for one in predictions if one.low_50 is not None]
    assert len(forecasts) == 8
    assert all(one.low < one.low_50 < one.value < one.high_50 < one.high for one in forecasts)
    assert {one.baseline for one in predictions} == {None, "same-ratio", "additive", "overlap"}


def test_forecast_has_the_last_device_as_a_baseline(tmp_path, capsys):
    main(["forecast", "--host", "h100-turns", "--device", "h100", "--model", "qwen2.5-32b",
          "--batch", "1", "64", "--dataset", "sizes-*", "--context", "18",
          "--last", "h200-sizes-qwen-32b"])  # fmt: skip
    path = tmp_path / "predictions.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    there = {one.number: one.value for one in read_predictions([path])
             if one.baseline == "last-device"}  # fmt: skip
    ratios = measured_ratios("h200-sizes-qwen-32b")
    assert there == {
        f"step_ratio/bundle/b{batch}": pytest.approx(ratios[batch], rel=1e-4) for batch in (1, 64)
    }


def test_forecast_of_speculating_arms_can_be_registered(tmp_path, capsys):
    main(["forecast", "--host", "h100-turns", "--device", "h100", "--model", "llama-3-8b",
          "--batch", "1", "8", "--dataset", "drafts-*", "--context", "18", "--arms", "graphs",
          "--draft", "llama-3.2-1b"])  # fmt: skip
    path = tmp_path / "predictions.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    predictions = read_predictions([path])
    numbers = {one.number for one in predictions if one.number.endswith("b8")}
    assert numbers == {
        "step/graphs/b8", "step/spec-eager/b8", "step/spec-graphs/b8",
        "speculation/tokens_to_pay/spec-eager/b8", "speculation/tokens_to_pay/spec-graphs/b8",
        "speculation/eager_over_graphs/spec-graphs/b8",
        "speculation/graphs_need_less/spec-graphs/b8",
    }  # fmt: skip
    (claim,) = [one for one in predictions if one.number.endswith("need_less/spec-graphs/b8")]
    (ratio,) = [one for one in predictions if one.number.endswith("over_graphs/spec-graphs/b8")]
    assert claim.value is (ratio.value > 1)
    baseline = [one for one in predictions if one.baseline == "weights-read"]
    assert [one.value for one in baseline] == pytest.approx([1 + 3 * 1.24 / 7.5] * 4, rel=0.01)


def test_extrapolate_says_what_speculation_must_yield(capsys):
    question = ["extrapolate", "--device", "h100", "--model", "llama-70b", "--tp", "4",
                "--batch", "8", "--draft", "llama-3.2-1b", "--speculative-tokens", "5"]  # fmt: skip
    main([*question, "--json"])
    said = json.loads(capsys.readouterr().out)["speculation"]
    assert (said["draft"], said["tokens"]) == ("llama-3.2-1b", 5)
    needed = {arm: one["tokens_to_pay"]["median"] for arm, one in said["arms"].items()}
    assert 1 < needed["graphs"] < needed["eager"] < 6
    main(question)
    printed = " ".join(capsys.readouterr().out.split())
    assert "With 5 tokens drafted by llama-3.2-1b, a step yields 1 to 6:" in printed
    assert f"pays from {needed['graphs']:.3g} (50%: " in printed
    assert all(reason in printed for reason in said["rests_on"])
    assert "which no acceptance yields" not in printed
    # A draft as large as its target pays never.
    main([*question[:-4], "--draft", "llama-70b", "--speculative-tokens", "2"])
    assert "over 3, which no acceptance yields" in capsys.readouterr().out
    main([*question[:-4], "--draft", "ngram"])
    assert "GPU: draft 0 ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["forecast", "--host", "h100-turns", "--device", "h100", "--model", "llama-3-8b",
          "--batch", "1", "--dataset", "d", "--context", "18", "--draft", "ngram",
          "--speculating", "eagre=x"], "--speculating"),
        (["forecast", "--host", "h100-turns", "--device", "h100", "--model", "llama-3-8b",
          "--batch", "1", "--dataset", "d", "--context", "18", "--last", "h100-turns"],
         "h100-turns is of facebook/opt-125m, not of meta-llama"),
        (["extrapolate", "--device", "h100", "--model", "llama-3-8b", "--batch", "1",
          "--draft", "llama-9"], "llama-9"),
        (["extrapolate", "--device", "h100", "--model", "llama-3-8b", "--batch", "1",
          "--draft", "ngram", "--speculative-tokens", "0"], "--speculative-tokens"),
        (["startup-log", "no-such.log"], "no-such.log"),
        (["ladder", "--batches", "no-such.csv", "--rungs", "3"], "no-such.csv"),
        (["extrapolate", "--device", "h9", "--model", "llama-70b", "--batch", "1"], "h9"),
        (["extrapolate", "--device", "h100", "--model", "llama-9", "--batch", "1"], "llama-9"),
        (["extrapolate", "--model", "llama-3-8b", "--batch", "1"], "--bandwidth-tb-s"),
        (["extrapolate", "--model", "no/such.json", "--batch", "1", "--device", "h100"], "no/such"),
        (["extrapolate", "--device", "h100", "--model", "llama-70b", "--batch", "1",
          "--host", "nowhere"], "nowhere"),
        (["calibrate", "nowhere"], "nowhere"),
        (["ladder", "--batches", "no-such.csv", "--vllm", "0.9.9"], "no-such.csv"),
        (["simulate", "--truth", '{"launch": 1}'], "launch"),
        (["measure", "--weights", "w", "--job", "{"], "make lab"),
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
