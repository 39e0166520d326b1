"""Logs of every version, made from the table of wordings; many workers, engines, frames."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.engine.log_wordings import BACKEND_NAMES, WORDINGS, Wording, release
from cudagraph_lab.engine.startup_facts import StartupFacts
from cudagraph_lab.engine.startup_log import read_engines
from tests.log_lines import parse_engines, parse_startup_log

VERSIONS = ("0.6.3", "0.7.3", "0.8.1", "0.8.5", "0.10.1", "0.11.0", "0.17.1", "0.20.2", "0.22.1",
            "0.26.0", "0.28.0", "0.32.0", "0.33.0")  # fmt: skip
HEAD = "INFO 06-05 07:28:29 [x.py:1] "


def said(*lines: str) -> dict[str, Any]:
    facts = parse_startup_log(lines).model_dump(mode="json")
    return {k: v for k, v in facts.items() if v not in (None, [], False)}


# --- public reports, told with lines of our own


def test_a_capture_to_profile_memory_is_none_where_the_log_ends_there() -> None:
    log = [
        "Capturing CUDA graphs (PIECEWISE): 100%|████| 5/5 [00:02<00:00,  2.1it/s]",
        "Capturing CUDA graphs (FULL): 100%|████| 2/2 [00:00<00:00,  6.0it/s]",
        "Capturing prefill CUDA graphs (FULL): 100%|████| 2/2 [00:00<00:00, 60.1it/s]",
        f"(EngineCore pid=9) {HEAD}Graph capturing finished in 3 secs, took 0.20 GiB",
        f"(EngineCore pid=9) {HEAD}Available KV cache memory: 5.50 GiB",
    ]
    assert said(*log) == {}
    assert len(parse_engines(log)) == 1  # recognised, though it states nothing
    began = f"(EngineCore pid=9) {HEAD}Initializing a V1 LLM engine (v0.33.0) with config: x"
    assert said(began, *log[:-1]) == {"vllm_version": "0.33.0"}


@given(st.permutations([25_520, 25_408, 25_408, 25_920]))
def test_the_least_kv_cache_of_several_workers_is_the_engines(sizes: list[int]) -> None:
    log = [f"{HEAD}GPU KV cache size: {size:,} tokens" for size in sizes]
    came_up = f"{HEAD}init engine (profile, create kv cache, warmup model) took 4.25 seconds"
    assert said(*log, came_up) == {"kv_cache_tokens": 25_408, "init_engine_seconds": 4.25}


def test_a_pane_of_k9s_and_the_unit_that_was_misprinted() -> None:
    pad = " " * 60
    assert said(
        f"│ {HEAD}Loading weights took 27.10 seconds{pad}│",
        f"│ {HEAD}Model loading took 13.4021 GB and 27.500120 seconds{pad}│",
    ) == {"model_load_gib": 13.4021, "model_load_seconds": 27.50012}


def test_a_replica_whose_lines_come_twice_and_whose_bars_cut_prefixes() -> None:
    outer = "(ServeReplica:chat:Model pid=400) (EngineCore pid=410"
    inner = f"{outer}) (RayWorkerProc pid=420) (Worker pid=420) {HEAD}"
    bar = "Capturing CUDA graphs (PIECEWISE): {:3d}%|█| {}/51 [00:01<00:00, 27.1it/s]"
    log = [
        inner + "torch.compile and initial profiling/warmup run together took 12.50 s in total",
        inner + "torch.compile and initial profiling/warmup run together took 12.50 s in total",
        f"{outer}) {HEAD}GPU KV cache size: 300,000 tokens",
        f"(RayWorkerProc pid=420) (Worker pid=420) {HEAD}Available KV cache memory: 41.00 GiB",
        outer + bar.format(86, 44),
        bar.format(100, 51),
        outer + "Capturing CUDA graphs (FULL): 100%|█| 51/51 [00:01<00:00, 36.4it/s]",
        inner + "Graph capturing finished in 5 secs, took 0.90 GiB",
    ]
    assert said(*log) == {
        "passes": [{"routine": "PIECEWISE", "shapes": 51}, {"routine": "FULL", "shapes": 51}],
        "capture_seconds": 5,
        "capture_gib": 0.9,
        "compile_seconds": 12.5,
        "kv_cache_tokens": 300_000,
        "capture_complete": True,
    }


# --- single kinds


@pytest.mark.parametrize(
    ("version", "message", "total"),
    [
        ("0.11.0", "torch.compile takes {} s in total", 12.0),  # the later holds the earlier
        ("0.17.1", "torch.compile takes {} s in total", 17.0),
        ("0.22.1", "torch.compile took {} s in total", 17.0),
        (None, "torch.compile takes {} s in total", None),  # could be either
        (None, "torch.compile took {} s in total", 17.0),
    ],
)
def test_compilations_add_up_where_each_model_states_its_own(
    version: str | None, message: str, total: float | None
) -> None:
    log = [f"{HEAD}Initializing a V1 LLM engine (v{version}) with config: x"] if version else []
    log += [HEAD + message.format("5.00"), HEAD + message.format("12.00")]
    assert said(*log).get("compile_seconds") == total


def test_the_engines_own_word_counts_before_its_workers() -> None:
    worker = f"(VllmWorkerProcess pid=7{{}}) {HEAD}Graph capturing finished in 42 secs."
    driver = f"{HEAD}Graph capturing finished in 41 secs."
    for log in ([worker, driver], [driver, worker]):
        assert said(*log)["capture_seconds"] == 41


def test_a_bar_without_strokes_is_read() -> None:
    bar = "Capturing CUDA graph shapes: 100% 35/35 [00:48<00:00, 1.39s/it]"
    assert said(bar) == {"passes": [{"routine": None, "shapes": 35}]}
    assert said(bar[:30]) == {"passes": [{"routine": None, "shapes": None}]}


def test_stages_of_one_log_are_not_mixed() -> None:
    def stage(n: int, tokens: int) -> list[str]:
        head = f"[Stage-{n}] (EngineCore pid={n}5) {HEAD}"
        return [
            f"{head}Initializing a V1 LLM engine (v0.22.1) with config: x",
            f"{head}GPU KV cache size: {tokens:,} tokens",
        ]

    found = parse_engines([*stage(0, 1000), *stage(1, 2000)])
    assert [(one.engine, one.facts.kv_cache_tokens) for one in found] == [
        ("Stage-0", 1000), ("Stage-1", 2000),
    ]  # fmt: skip


def test_a_log_of_powershell_is_read(tmp_path: Any) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(f"{HEAD}GPU KV cache size: 163,225 tokens\r\n".encode("utf-16"))
    (found,) = read_engines(log)
    assert found.facts.kv_cache_tokens == 163_225


def test_every_fact_names_its_line(tmp_path: Any) -> None:
    log = tmp_path / "log"
    noise = "nothing of note\n" * 30_000  # more than a block of the reader
    log.write_text(f"{noise}{HEAD}GPU KV cache size: 5 tokens\r\nx\rx\n{HEAD}Model loading took "
                   "2 GiB and 3 seconds\n")  # fmt: skip
    (found,) = read_engines(log)
    lines = {name: [one.line for one in given] for name, given in found.sources.items()}
    assert lines == {"kv_cache_tokens": [30_001], "model_load_gib": [30_003],
                     "model_load_seconds": [30_003]}  # fmt: skip
    assert found.sources["kv_cache_tokens"][0].text == "GPU KV cache size: 5 tokens"


# --- generated from the table


def test_the_table_holds_one_version_after_the_other() -> None:
    for wording in WORDINGS:
        assert wording.until is None or release(wording.since) <= release(wording.until)
    for version in VERSIONS:
        printed = {one.event for one in WORDINGS if one.printed_by(version)}
        assert {"began", "finished", "sized", "model", "came_up", "backend"} <= printed


NUMBERS = st.integers(0, 99_999).map(lambda n: n / 100)
PLACES = {"work": "profile, create kv cache, warmup model", "model": "[backbone]",
          "layout": "HND", "end": "", "number": "7.50"}  # fmt: skip


@st.composite
def printed(draw: st.DrawFn, version: str, wording: Wording) -> tuple[str, dict[str, Any]]:
    """A message as this wording prints it, and the facts in it."""
    facts: dict[str, Any] = {}

    def fill(place: re.Match[str]) -> str:
        name = place[1]
        if name in PLACES:
            return PLACES[name]
        if name == "vllm_version":
            facts[name] = version
            return version
        if name == "prose":
            prose = draw(st.sampled_from(sorted(BACKEND_NAMES)))
            facts["attention_backend"] = BACKEND_NAMES[prose]
            return prose
        if name in ("backend", "attention"):
            facts["attention_backend"] = draw(st.sampled_from(["FLASH_ATTN", "FLASHINFER"]))
            return str(facts["attention_backend"])
        if name == "kv_cache_tokens":
            facts[name] = draw(st.integers(1, 10**7))
            return f"{facts[name]:,}"
        value = draw(NUMBERS)
        facts["compile_seconds" if name == "compilation" else name] = value
        return f"{value:.2f}"

    text = re.sub(r"\{(\w+)\}", fill, wording.template.replace("<", "").replace(">", ""))
    return text, facts


FRAMES = st.sampled_from(
    [
        "{}",
        "│ {}                              │",
        "vllm-1  | {}",
        "2026-05-14T12:36:17.482Z stderr F {}",
        "Jun 05 07:28:29 host vllm[123]: {}",
        "C:\\srv> {}",
        "\x1b[36m(APIServer pid=3)\x1b[0m {}",
        "[pod/chat-0/vllm] {}",
        "json",
        "json in a container",
        "json in a store",
        "docker",
    ]
)
ORDER = ("began", "backend", "model", "compiled", "profiled", "estimated", "available", "sized",
         "finished", "pool", "came_up")  # fmt: skip


def framed(frame: str, process: str, message: str) -> str:
    if frame.startswith("json"):
        name, _, pid = process.strip("() ").partition(" pid=")
        own = {"processName": name, "process": int(pid)} if pid else {}
        line = json.dumps({"level": "INFO", "logger": "vllm.v1", **own, "message": message})
        if frame == "json in a store":
            return json.dumps({"stream": "stdout", "log": line})
        return f"vllm-1  | {line}" if frame == "json in a container" else line
    line = f"{process}{HEAD}{message}"
    return json.dumps({"log": line + "\n", "stream": "stdout"}) if frame == "docker" else (
        frame.format(line)
    )  # fmt: skip


@st.composite
def boots(draw: st.DrawFn) -> tuple[list[str], dict[str, Any]]:
    """The messages of one start in order, and the truth: one wording for each event."""
    version = draw(st.sampled_from(VERSIONS))
    messages: list[str] = []
    truth: dict[str, Any] = {}
    for event in ORDER:
        fitting = [one for one in WORDINGS if one.event == event and one.printed_by(version)]
        if not fitting:
            continue
        text, facts = draw(printed(version, draw(st.sampled_from(fitting))))
        if event == "pool":
            facts = {k: v for k, v in facts.items() if k not in truth}
        messages.append(text)
        truth |= facts
    return messages, truth | {"capture_complete": True}


def strip(facts: StartupFacts) -> dict[str, Any]:
    return {k: v for k, v in facts.model_dump(mode="json").items() if v is not None and v != []}


@given(boots(), FRAMES, st.sampled_from(["", "(EngineCore pid=7) "]))
def test_what_any_version_prints_is_read_right_in_any_frame(
    boot: tuple[list[str], dict[str, Any]], frame: str, process: str
) -> None:
    messages, truth = boot
    assert strip(parse_startup_log(framed(frame, process, one) for one in messages)) == truth


@given(
    st.lists(boots(), min_size=2, max_size=3),
    st.sampled_from(["(EngineCore_DP{0} pid=5{0}) ", "[Stage-{0}] (EngineCore pid=5{0}) "]),
    st.data(),
)
def test_interleaved_engines_give_one_result_each(
    found: list[tuple[list[str], dict[str, Any]]], process: str, data: st.DataObject
) -> None:
    queues = [list(messages) for messages, _ in found]
    lines = []
    while any(queues):
        n = data.draw(st.sampled_from([n for n, queue in enumerate(queues) if queue]))
        lines.append(process.format(n) + HEAD + queues[n].pop(0))
    assert [strip(one.facts) for one in parse_engines(lines)] == [truth for _, truth in found]


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(1, 10**6)),
             min_size=1, max_size=8),
    st.sampled_from(["(Worker_TP{0} pid=8{0}) ", "(VllmWorker rank={0} pid=8{0}) ",
                     "(VllmWorkerProcess pid=8{0}) "]),
    st.booleans(),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_workers_in_any_number_and_order(
    workers: list[tuple[int, int, int]], process: str, own: bool, rng: Any
) -> None:
    def lines(kind: int) -> list[str]:
        made = []
        for n, (load, capture, tokens) in enumerate(workers):
            who = "" if own and n == 0 else process.format(n)
            made.append(who + HEAD + (
                f"Model loading took {load}.00 GiB and {load}.500000 seconds",
                f"GPU KV cache size: {tokens} tokens",
                f"Graph capturing finished in {capture} secs, took 0.{capture:02d} GiB",
            )[kind])  # fmt: skip
        rng.shuffle(made)
        return made

    load, capture, tokens = zip(*(workers[:1] if own else workers), strict=True)
    assert strip(parse_startup_log([*lines(0), *lines(1), *lines(2)])) == {
        "model_load_gib": max(load),
        "model_load_seconds": max(load) + 0.5,
        "kv_cache_tokens": min(tokens),
        "capture_seconds": max(capture),
        "capture_gib": max(capture) / 100,
        "capture_complete": True,
    }
