"""The reader of vLLM's start-up log: real logs, every wording, and a thousand spoilt ones."""

import gzip
import json
import random
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudagraph_lab.engine.startup_facts import StartupFacts
from cudagraph_lab.engine.startup_log import read_startup_log
from cudagraph_lab.errors import LabError
from tests.log_lines import parse_engines, parse_startup_log

FIXTURES = Path(__file__).parents[2] / "fixtures" / "startup_logs"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "expected.json").read_text())
NOTHING: dict[str, Any] = {
    name: [] if name == "passes" else False if name == "capture_complete" else None
    for name in StartupFacts.model_fields
}
H = "(EngineCore pid=7) INFO 06-05 07:28:29 [x.py:1] "


def facts(*lines: str) -> dict[str, Any]:
    return parse_startup_log(lines).model_dump(mode="json")


def said(*lines: str) -> dict[str, Any]:
    """What the lines say, without what they do not."""
    return {name: value for name, value in facts(*lines).items() if value != NOTHING[name]}


def passes(*lines: str) -> list[tuple[str | None, int | None]]:
    return [(p["routine"], p["shapes"]) for p in facts(*lines)["passes"]]


# --- real logs


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_log_says_exactly_what_is_expected(name: str) -> None:
    read = read_startup_log(FIXTURES / name)
    assert json.loads(read.model_dump_json()) == EXPECTED[name]
    assert list(EXPECTED[name]) == list(StartupFacts.model_fields)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("newline", ["\r\n", "\r", "\r\r\n"])
def test_line_ends_do_not_matter(name: str, newline: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes((FIXTURES / name).read_bytes().replace(b"\n", newline.encode()))
    assert read_startup_log(log).model_dump(mode="json") == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize(
    "prefix",
    [
        "vllm-1  | ",
        "2026-05-14T12:36:17.482Z stderr F ",
        "Jun 05 07:28:29 host python[123]: ",
        '{"log":"',
        "\x1b[36m(EngineCore pid=7)\x1b[0m ",
        "[1;36m(EngineCore pid=7)[0;0m ",
        "(RayWorkerWrapper pid=812, ip=10.0.0.12) ",
    ],
)
def test_a_prefix_on_every_line_does_not_matter(name: str, prefix: str) -> None:
    text = (FIXTURES / name).read_text()
    assert facts(*(prefix + line for line in text.split("\n"))) == EXPECTED[name]


@pytest.mark.parametrize("escape", ["\x1b", "", "^[", "#033", "\\u001b", "\\x1b"])
def test_colours_do_not_matter(escape: str) -> None:
    def grey(text: str) -> str:
        return f"{escape}[90m{text}{escape}[0m"

    head = f"{escape}[32mINFO{escape}[0m {grey('06-05 07:28:29')} {grey('[core.py:112]')} "
    assert said(head + "GPU KV cache size: 163,225 tokens") == {"kv_cache_tokens": 163225}


def test_the_log_of_the_course_is_read() -> None:
    assert said(
        "INFO ... Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%|####| 23/23",
        "INFO ... Capturing CUDA graphs (decode, FULL): 100%|####| 23/23",
        "INFO ... Graph capturing finished in 7 secs, took 0.41 GiB",
    ) == {
        "passes": [{"routine": "PIECEWISE", "shapes": 23}, {"routine": "FULL", "shapes": 23}],
        "capture_seconds": 7,
        "capture_gib": 0.41,
        "capture_complete": True,
    }


# --- wordings


FINISHED = {"capture_complete": True}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Initializing a V1 LLM engine (v0.11.0) with config: x", {"vllm_version": "0.11.0"}),
        (
            "Initializing a V1 LLM engine (v0.22.1rc1.dev5+g12ab.d20260101) with config: x",
            {"vllm_version": "0.22.1rc1.dev5+g12ab.d20260101"},
        ),
        ("Initializing an LLM engine (v0.5.3) with config: x", {"vllm_version": "0.5.3"}),
        ("torch.compile takes 15.20 s in total", {"compile_seconds": 15.2}),
        ("torch.compile took 1,015.20 s in total", {"compile_seconds": 1015.2}),
        ("[backbone] torch.compile took 3.51 s in total", {"compile_seconds": 3.51}),
        (
            "init engine (profile, create kv cache, warmup model) took 15.10 seconds",
            {"init_engine_seconds": 15.1},
        ),
        (
            "init engine (profile, create kv cache, warmup model) took 9.00 s (compilation: "
            "5.00 s — language_model: 4.00 s, encoder: 1.00 s)",
            {"init_engine_seconds": 9, "compile_seconds": 5},
        ),
        ("Model loading took 8.61 GiB memory and 3.455410 seconds", (8.61, 3.45541)),
        ("Model loading took 0.2389 GiB and 1.200000 seconds", (0.2389, 1.2)),
        ("GPU KV cache size: 1,163,225 tokens", {"kv_cache_tokens": 1163225}),
        (
            "GPU KV cache size: 58,240 tokens, Maximum concurrency for 512 tokens per request: 1x",
            {"kv_cache_tokens": 58240},
        ),
        ("Estimated CUDA graph memory: 0.26 GiB total", {"estimated_gib": 0.26}),
        (
            "CUDA graph pool memory: 0.4 GiB (actual), 0.26 GiB (estimated), difference: 0.14 GiB",
            {"estimated_gib": 0.26},
        ),
        (
            "Graph capturing finished in 14 secs, took 0.35 GiB",
            FINISHED | {"capture_seconds": 14, "capture_gib": 0.35},
        ),
        (
            "Graph capturing finished in 1 secs, took -0.02 GiB",
            FINISHED | {"capture_seconds": 1, "capture_gib": -0.02},
        ),
        ("Graph capturing finished in 37 secs.", FINISHED | {"capture_seconds": 37}),
        ("Graph capturing finished in 3", FINISHED),
        ("Graph capturing finished in ١٤ secs", FINISHED),
        ("Skipping CUDA graph capture. To turn on CUDA graph capture, ...", {}),
        ("Profiling CUDA graph memory: PIECEWISE=35 (largest=256), FULL=19 (largest=128)", {}),
        ("Available KV cache memory: 12.85 GiB", {}),
        ("Directly load AOT compilation from path /x, took 1.7 s", {}),
        ("Using FLASH_ATTN attention backend out of potential backends: ['F'].", "FLASH_ATTN"),
        ("Using ROCM_ATTN backend out of potential backends: ['ROCM_ATTN'].", "ROCM_ATTN"),
        ("Using FLASHINFER backend (selected via --attention-backend).", "FLASHINFER"),
        ("Using AttentionBackendEnum.TRITON_ATTN backend.", "TRITON_ATTN"),
        ("Using Flash Attention backend on V1 engine.", "FLASH_ATTN"),
        ("Using Triton MLA backend on V1 engine.", "TRITON_MLA"),
        ("Using HND KV cache layout for CPU_ATTN backend.", "CPU_ATTN"),
        ("Using backend AttentionBackendEnum.FLASH_ATTN for vit attention", {}),
        ("Using FLASH_ATTN backend for vit attention", {}),
        ("Using TRITON Unquantized MoE backend out of potential backends: ['TRITON'].", {}),
        ("Using MARLIN backend for WNA16 MoE", {}),
        ("Using NCCL backend.", {}),
        ("Using FlashAttention version 2", {}),
        ("Cannot use FLASH_ATTN backend on CPU.", {}),
    ],
)
def test_a_wording_is_read(message: str, expected: Any) -> None:
    if isinstance(expected, str):
        expected = {"attention_backend": expected}
    elif isinstance(expected, tuple):
        expected = {"model_load_gib": expected[0], "model_load_seconds": expected[1]}
    assert said(H + message) == expected
    assert said(H.replace("[x.py:1]", "x.py:1]") + message) == expected  # before V1
    assert said(H.replace("[x.py:1]", "[v1/.../gpu/x.py:1]") + message) == expected  # at DEBUG


@pytest.mark.parametrize(
    ("label", "routine"),
    [
        ("graphs (mixed prefill-decode, PIECEWISE)", "PIECEWISE"),
        ("graphs (mixed prefill-decode, FULL)", "FULL"),
        ("graphs (decode, FULL)", "FULL"),
        ("graphs (mixed, PIECEWISE)", "PIECEWISE"),
        ("graphs (PIECEWISE)", "PIECEWISE"),
        ("graphs (FULL)", "FULL"),
        ("graphs", None),
        ("graph shapes", None),
    ],
)
def test_a_bar_is_read(label: str, routine: str | None) -> None:
    start = f"Capturing CUDA {label}:"
    assert passes(f"{start} 100%|████| 51/51 [00:06<00:00,  8.50it/s]") == [(routine, 51)]
    assert passes(f"{start}   0%|    | 0/51 [00:00<?, ?it/s]") == [(routine, 51)]
    assert passes(f"{start}  24%|##4 | 12/51 [00:0") == [(routine, 51)]  # the log stops there
    assert passes(f"{start} 100%|\ufffd\ufffd| 51/51") == [(routine, 51)]
    assert passes(f"{start}  24%|██▍ | 12/51") == [(routine, None)]  # perhaps 12/512
    assert passes(f"{start}   0%|    | 0/5") == [(routine, None)]
    assert passes(f"{start}   0%|    | 0/0 [00:00<?, ?it/s]") == [(routine, None)]
    assert passes(f"{start}  24%|██▍ | 51/51 [00:0") == [(routine, None)]  # two bars in one
    assert passes(f"{start} 10") == [(routine, None)]


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        ("(mixed prefill-decode, PIECEWISE): 100", ("PIECEWISE", 35)),
        ("(mixed prefill-decode, PIECEWISE)", ("PIECEWISE", 35)),
        ("(mixed prefill-decode, PIECE", ("PIECEWISE", 35)),
        ("(decode, F", ("FULL", 19)),
        ("(deco", ("FULL", 19)),
        ("(mixed prefill-decode, ", (None, None)),
    ],
)
def test_a_terminal_may_cut_the_label(cut: str, expected: tuple[str | None, int | None]) -> None:
    profiling = "Profiling CUDA graph memory: PIECEWISE=35 (largest=256), FULL=19 (largest=128)"
    bar = "Capturing CUDA graphs " + cut
    assert passes(H + profiling, bar, "\r" + bar) == [expected]
    assert passes(bar) == [(expected[0], None)]


def test_a_bar_that_was_seen_whole_is_the_pass_of_its_cut_updates() -> None:
    whole = "Capturing CUDA graphs (decode, FULL):  37%|█| 7/19 [00:05<00:00, 1it/s]"
    assert passes(*(whole[:n] for n in range(len(whole) + 1)), whole[:30]) == [("FULL", 19)]


def test_counts_come_from_the_profile_where_the_log_has_no_bars() -> None:
    profiling = H + "Profiling CUDA graph memory: PIECEWISE=35 (largest=256), FULL=19 (largest=1"
    assert passes(profiling) == []  # nothing was captured yet
    finished = H + "Graph capturing finished in 2 secs, took 0.40 GiB"
    assert passes(profiling, finished) == [("PIECEWISE", 35), ("FULL", 19)]
    assert passes(profiling.removesuffix(" (largest=1"), finished) == [("PIECEWISE", 35)]
    assert passes(finished) == []


# --- what only resembles


@pytest.mark.parametrize(
    "line",
    [
        "Loading safetensors checkpoint shards: 100% Completed | 2/2 [00:01<00:00,  1.28it/s]",
        "Chargement des poids: 100%|██████| 7/7 [00:01<00:00,  1.28it/s]",
        "正在捕获 CUDA 图: 100%|██████| 35/35 [00:36<00:00,  1.05s/it]",
        "CUDA グラフをキャプチャ中: 100%|██████| 35/35 [00:36<00:00,  1.05s/it]",
        "Capturing eagle prefill CUDA graphs (FULL): 100%|███| 9/9 [00:01<00:00,  9.00it/s]",
        "Capturing batches (bs=1 avail_mem=3.03 GB): 100%|███| 23/23 [00:04<00:00, 5.40it/s]",
        "Capturing CUDA graphs takes a while (35/35 [x",
        "Graph capturing finished in 7 secs, took 0.41 GiB",
        "Prompt: 'Graph capturing finished in 7 secs, took 0.41 GiB', Generated text: 'a'",
        "Prompt: 'INFO 06-05 07:28:29 [core.py:1] Graph capturing finished in 7 secs.'",
        "Prompt: 'Capturing CUDA graphs (decode, FULL): 100%|█| 7/7 [00:01<00:00, 1it/s]'",
        H + "Received request 1: prompt: 'GPU KV cache size: 7 tokens'",
        H + 'Received request 1: prompt: "Graph capturing finished in 7 secs, took 0.41 GiB"',
        H + 'Received request 1: prompt: "Capturing CUDA graphs (FULL): 100%|█| 7/7 [00:01<00:00]"',
        H + "Received request 1: prompt: init engine (profile) took 3.00 s",
        H + "GPU KV cache size: ١٢٣ tokens",
        H + "Graph capturing is not finished in 7 secs",
    ],
)
def test_what_only_resembles_says_nothing(line: str) -> None:
    assert said(line, "\r" + line, line + "\n") == {}


def test_another_bar_that_breaks_in_lends_no_count() -> None:
    ours = "Capturing CUDA graphs (decode, FULL): 100%|█"
    theirs = "Loading safetensors checkpoint shards: 100% Completed | 2/2 [00:01<00:00,  1.28it/s]"
    assert passes(ours + theirs) == passes(ours + "| " + theirs) == [("FULL", None)]
    assert passes(ours + "加载: 100%|█| 2/2 [00:01<00:00,  1.28it/s]") == [("FULL", None)]
    assert passes(theirs + ours + "| 19/19 [00:01<00:00,  1.28it/s]") == [("FULL", 19)]


# --- several engines, workers, captures


def test_the_last_engine_that_began_is_read_and_nothing_of_another() -> None:
    first = (FIXTURES / "v0.22.0-narrow-terminal.log").read_text()
    second = (FIXTURES / "cpu-0.22.1-eager.log").read_text()
    assert facts(first + second) == EXPECTED["cpu-0.22.1-eager.log"]
    assert facts(second + first) == EXPECTED["v0.22.0-narrow-terminal.log"]
    assert facts(first, second, first) == EXPECTED["v0.22.0-narrow-terminal.log"]
    assert said(first, H + "Initializing a V1 LLM engine (v0.22.1) with config: x") == {
        "vllm_version": "0.22.1"
    }
    assert said(first, H + "Initializing a V1 LLM engine (v0.2") == {}


def test_workers_of_one_engine_print_about_one_capture() -> None:
    log = []
    for percent, done in ((0, 0), (33, 1), (100, 3)):
        log += [
            f"(Worker_TP{n} pid={n}) Capturing CUDA graphs (decode, FULL): {percent}%|#| {done}/3 ["
            for n in (1, 0, 2)
        ]
    log += [
        f"(Worker_TP{n} pid={n}) INFO 06-05 07:28:29 [r.py:1] Graph capturing finished in {9 + n} "
        f"secs, took 0.4{n} GiB"
        for n in (1, 0, 2)
    ]
    # All wait for the slowest; its memory stands beside its seconds.
    assert said(*log) == {
        "passes": [{"routine": "FULL", "shapes": 3}],
        "capture_seconds": 11,
        "capture_gib": 0.42,
        "capture_complete": True,
    }
    only = [line for line in log if "TP1" in line]
    assert said(*only) == said(*log) | {"capture_seconds": 10, "capture_gib": 0.41}


def test_replicas_of_a_data_parallel_engine_give_one_result_each() -> None:
    def lines(rank: int, tokens: int) -> list[str]:
        head = f"(EngineCore_DP{rank} pid={rank}) INFO 06-05 07:28:29 [core.py:1] "
        worker = f"(Worker_DP{rank}_TP0 pid=9{rank}) INFO 06-05 07:28:29 [r.py:1] "
        return [
            head + f"Initializing a V1 LLM engine (v0.11.{rank}) with config: x",
            head + f"GPU KV cache size: {tokens} tokens",
            worker + f"Graph capturing finished in {rank} secs, took 0.5 GiB",
        ]

    def read(*log: str) -> list[tuple[Any, ...]]:
        return [
            (one.engine, one.facts.vllm_version, one.facts.kv_cache_tokens,
             one.facts.capture_seconds)
            for one in parse_engines(log)
        ]  # fmt: skip

    zero, one = lines(0, 100), lines(1, 200)
    expected = [("EngineCore_DP0", "0.11.0", 100, 0), ("EngineCore_DP1", "0.11.1", 200, 1)]
    assert read(*zero, *one) == expected
    assert read(*one, *zero) == expected
    assert read(*(line for pair in zip(one, zero, strict=True) for line in pair)) == expected
    assert said(*one) == FINISHED | {
        "vllm_version": "0.11.1", "kv_cache_tokens": 200, "capture_seconds": 1, "capture_gib": 0.5,
    }  # fmt: skip
    # What could be of either is of none.
    unnamed = "INFO 06-05 07:28:29 [r.py:1] Model loading took 8.61 GiB and 3.4 seconds"
    assert read(*zero, *one, unnamed) == expected


def test_a_profiling_capture_is_not_the_capture() -> None:
    began = H + "Initializing a V1 LLM engine (v0.33.0) with config: x"

    def capture(piecewise: int, seconds: int, gib: float) -> list[str]:
        return [
            f"Capturing CUDA graphs (PIECEWISE): 100%|█| {piecewise}/{piecewise} [00:01<00:00]",
            "Capturing CUDA graphs (FULL): 100%|█| 2/2 [00:01<00:00, 1it/s]",
            H + f"Graph capturing finished in {seconds} secs, took {gib} GiB",
        ]

    sized = H + "GPU KV cache size: 5 tokens"
    real = said(began, sized, *capture(51, 9, 0.5))
    assert [one["shapes"] for one in real["passes"]] == [51, 2]
    assert said(began, *capture(2, 1, 0.1), sized, *capture(51, 9, 0.5)) == real
    assert said(began, sized, *capture(2, 1, 0.1), *capture(51, 9, 0.5)) == real
    # The real capture never finished: the profiling run's figures are not its.
    stopped = said(began, *capture(2, 1, 0.1), sized, capture(51, 9, 0.5)[0])
    assert stopped == {
        "vllm_version": "0.33.0",
        "kv_cache_tokens": 5,
        "passes": [{"routine": "PIECEWISE", "shapes": 51}],
    }


def test_the_memory_of_one_capture_never_stands_beside_the_seconds_of_another() -> None:
    earlier = H + "Graph capturing finished in 2 secs, took 0.10 GiB"
    assert said(earlier, H + "Graph capturing finished in 14 secs, to") == FINISHED | {
        "capture_seconds": 14
    }


def test_the_target_model_names_the_backend_and_the_engine_the_total_compile_time() -> None:
    assert said(
        H + "Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN'].",
        H + "Using TRITON_ATTN attention backend out of potential backends: ['TRITON_ATTN'].",
        H + "torch.compile took 40.00 s in total",
        H + "torch.compile took 5.00 s in total",
        H + "init engine (profile, create kv cache, warmup model) took 60.00 s "
        "(compilation: 45.00 s)",
    ) == {"attention_backend": "FLASH_ATTN", "compile_seconds": 45, "init_engine_seconds": 60}


def test_a_profiling_capture_by_the_first_rank_alone_is_forgotten_too() -> None:
    def finished(rank: int, seconds: int) -> str:
        head = f"(Worker_TP{rank} pid=1) INFO 06-05 07:28:29 [r.py:1] "
        return head + f"Graph capturing finished in {seconds} secs, took 0.5{rank} GiB"

    sized = H + "GPU KV cache size: 5 tokens"
    assert said(finished(0, 1), sized, finished(1, 9)) == FINISHED | {
        "kv_cache_tokens": 5,
        "capture_seconds": 9,
        "capture_gib": 0.51,
    }


def test_a_line_may_hold_several_ended_by_carriage_returns() -> None:
    line = H + "GPU KV cache size: 5 tokens"
    assert said("it's loading\r" + line + "\rdone\r\n") == {"kv_cache_tokens": 5}


# --- files


def test_a_line_that_straddles_two_blocks_is_read(tmp_path: Path) -> None:
    line = (H + "GPU KV cache size: 163,225 tokens\n").encode()
    for before in range(0, len(line) + 1, 5):
        padding = b"\n" * ((1 << 18) - before)
        assert read_bytes(padding + line, tmp_path / "log")["kv_cache_tokens"] == 163225


def test_a_compressed_log_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    name = "v0.22.0-narrow-terminal.log"
    log = tmp_path / "log.gz"
    log.write_bytes(gzip.compress((FIXTURES / name).read_bytes()))
    assert read_startup_log(log).model_dump(mode="json") == EXPECTED[name]
    log.write_bytes(log.read_bytes()[:-12])
    assert read_startup_log(log).vllm_version == "0.22.0"


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    plain = tmp_path / "plain.gz"
    plain.write_text("INFO")
    for path in (tmp_path / "missing", tmp_path, plain):
        with pytest.raises(LabError, match=r"^start-up log [^\n]+; name a readable log file$"):
            read_startup_log(path)


NOISE_LINE = (
    b"(APIServer pid=1) INFO 06-05 07:30:00 [loggers.py:1] Engine 000: Running: 3 reqs, took 1 s\n"
)


@pytest.mark.parametrize(
    "noise",
    [NOISE_LINE * 4096, b"x" * (1 << 19), "█".encode() * (1 << 17), b"\r\n" * (1 << 18)],
    ids=["lines", "one line", "one line of bars", "empty lines"],
)
def test_a_long_log_is_read_in_little_memory(noise: bytes, tmp_path: Path) -> None:
    name = "v0.20.2-timestamped-container.log"
    real = (FIXTURES / name).read_bytes()
    head, middle, tail = real[:900], real[900:-900], real[-900:]
    log = tmp_path / "log"
    with log.open("wb") as stream:
        stream.write(head[: head.rindex(b"\n") + 1])
        for _ in range(100_000_000 // len(noise) // 2):
            stream.write(noise)
        stream.write(b"\n" + head[head.rindex(b"\n") + 1 :] + middle + tail + b"\n")
        for _ in range(100_000_000 // len(noise) // 2):
            stream.write(noise)
    assert log.stat().st_size > 90_000_000
    tracemalloc.start()
    try:
        read = read_startup_log(log)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        log.unlink()
    assert read.model_dump(mode="json") == EXPECTED[name]
    assert peak_bytes < 20_000_000


# --- generated logs


@dataclass
class Log:
    """A generated log: its lines, and what it says."""

    truth: dict[str, Any]
    lines: list[bytes] = field(default_factory=list)
    # For each fact, the lines that state it.
    stating: dict[str, list[int]] = field(default_factory=dict)

    def add(self, text: str, *names: str) -> None:
        for name in names:
            self.stating.setdefault(name, []).append(len(self.lines))
        self.lines.append(text.encode())

    def joined(self, ends: list[bytes]) -> bytes:
        return b"".join(line + end for line, end in zip(self.lines, ends, strict=True))


def generate(rng: random.Random) -> Log:
    """Write a log as some version of vLLM would, from facts chosen first."""
    version = rng.choice(["0.11.0", "0.17.1", "0.22.1", "0.28.0", "0.33.0"])
    minor = int(version.split(".")[1])
    v2_runner = minor >= 28 or (minor >= 17 and rng.random() < 0.5)
    truth = choose_truth(rng, version, minor)
    log = Log(truth)
    container = rng.choice(["", "", "vllm-1  | ", "2026-05-14 12:43:21.428 | "])
    colour = rng.random() < 0.3
    pid = rng.randrange(1, 99999)

    def say(message: str, *names: str) -> None:
        process = f"(EngineCore pid={pid}) " if rng.random() < 0.9 else ""
        level, where = "INFO", f"[gpu_model_runner.py:{rng.randrange(1, 9999)}]"
        if colour:
            process = f"\x1b[0;36m{process.rstrip()}\x1b[0;0m " if process else ""
            level, where = f"\x1b[32m{level}\x1b[0m", f"\x1b[90m{where}\x1b[0m"
        log.add(f"{container}{process}{level} 06-05 07:28:29 {where} {message}", *names)

    def capture(seconds: float, gib: float, *names: str) -> None:
        for one in truth["passes"]:
            for bar in capture_bars(rng, one["routine"], one["shapes"], minor, v2_runner):
                log.add(container + bar, "passes")
        say(f"Graph capturing finished in {seconds:.0f} secs, took {gib:.2f} GiB", *names)

    write_load(rng, log, say, minor, v2_runner)
    if truth["estimated_gib"] is not None:
        listed = ", ".join(f"{one['routine']}={one['shapes']} (largest=512)"
                           for one in truth["passes"])  # fmt: skip
        say(f"Profiling CUDA graph memory: {listed}", "passes")
        if v2_runner and minor >= 33:
            # All of these are of the profiling run, and say nothing about the capture.
            capture(truth["capture_seconds"] + 1, 9.99, "profiling")
        say(f"Estimated CUDA graph memory: {truth['estimated_gib']:.2f} GiB total", "estimated_gib")
    write_kv_cache(say, truth["kv_cache_tokens"], minor)
    if truth["passes"]:
        names = ("capture_seconds", "capture_gib", "capture_complete")
        capture(truth["capture_seconds"], truth["capture_gib"], *names)
    took, compiled = truth["init_engine_seconds"], truth["compile_seconds"]
    total = f" (compilation: {compiled:.2f} s)" if compiled and minor > 17 else ""
    unit = "seconds" if minor <= 17 else "s" + total
    init = f"init engine (profile, create kv cache, warmup model) took {took:.2f} {unit}"
    say(init, "init_engine_seconds", *(["compile_seconds"] if total else []))
    return log


def choose_truth(rng: random.Random, version: str, minor: int) -> dict[str, Any]:
    """Draw the facts that a log of this version states."""
    routines = rng.choice([["PIECEWISE", "FULL"], ["FULL"], ["PIECEWISE"], []])
    shapes = {routine: rng.choice([1, 4, 19, 35, 51, 67, 512]) for routine in routines}
    return NOTHING | {
        "vllm_version": version,
        "attention_backend": rng.choice(["FLASH_ATTN", "FLASHINFER", "TRITON_ATTN"]),
        "passes": [{"routine": name, "shapes": shapes[name]} for name in routines],
        "capture_seconds": rng.randrange(0, 200) if routines else None,
        "capture_gib": rng.randrange(-5, 500) / 100 if routines else None,
        "estimated_gib": rng.randrange(0, 500) / 100 if routines and minor >= 21 else None,
        "compile_seconds": rng.randrange(1, 90_000) / 100 if rng.random() < 0.8 else None,
        "init_engine_seconds": rng.randrange(100, 90_000) / 100,
        "kv_cache_tokens": rng.randrange(1, 3_000_000),
        "model_load_gib": rng.randrange(1, 9000) / 100,
        "model_load_seconds": rng.randrange(1, 10**9) / 10**6,
        "capture_complete": bool(routines),
    }


def capture_bars(
    rng: random.Random, routine: str, total: int, minor: int, v2_runner: bool
) -> list[str]:
    """Draw the progress bar of one pass at two or three moments."""
    mixed = routine == "PIECEWISE"
    if not v2_runner:
        label = f"{'mixed prefill-decode' if mixed else 'decode'}, {routine}"
    elif minor == 17:
        label = f"{'mixed' if mixed else 'decode'}, {routine}"
    else:
        label = routine
    bars = []
    for done in sorted({0, rng.randint(0, total), total}):
        width = round(10 * done / total)
        bars.append(
            f"Capturing CUDA graphs ({label}): {100 * done / total:3.0f}%|"
            f"{'█' * width}{' ' * (10 - width)}| {done}/{total} [00:00<00:02,  9.81it/s]"
        )
    return bars


def write_load(
    rng: random.Random, log: Log, say: Callable[..., None], minor: int, v2_runner: bool
) -> None:
    """Write what an engine says until its model is compiled."""
    truth = log.truth
    version, backend = truth["vllm_version"], truth["attention_backend"]
    say(f"Initializing a V1 LLM engine (v{version}) with config: model='/m'", "vllm_version")
    say(f"Using {backend} attention backend out of potential backends: ['A'].", "attention_backend")
    log.add("Loading safetensors checkpoint shards: 100% Completed | 2/2 [00:01<00:00,  1.28it/s]")
    memory = "" if v2_runner or minor < 17 else " memory"
    say(
        f"Model loading took {truth['model_load_gib']} GiB{memory} and "
        f"{truth['model_load_seconds']:.6f} seconds",
        "model_load_gib",
        "model_load_seconds",
    )
    if truth["compile_seconds"] is not None:
        verb = "takes" if minor <= 17 else "took"
        part = "[backbone] " if minor >= 33 else ""
        total = f"{truth['compile_seconds']:.2f} s in total"
        say(f"{part}torch.compile {verb} {total}", "compile_seconds")


def write_kv_cache(say: Callable[..., None], tokens: int, minor: int) -> None:
    """Write how large the KV cache is, on one line or on two."""
    concurrency = "Maximum concurrency for 512 tokens per request: 113.75x"
    if minor >= 28:
        say(f"GPU KV cache size: {tokens:,} tokens, {concurrency}", "kv_cache_tokens")
    else:
        say(f"GPU KV cache size: {tokens:,} tokens", "kv_cache_tokens")
        say(concurrency)


def line_ends(rng: random.Random, log: Log) -> list[bytes]:
    """Choose how each line ends; tqdm's mostly by a carriage return alone."""
    return [
        rng.choice([b"\r", b"\n", b"\n\x1b[A\r"] if b"Capturing" in line else [b"\n", b"\r\n"])
        for line in log.lines
    ]


def binary_noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([1, 7, 60, 3000]))


def noise_line(rng: random.Random) -> bytes:
    """Write what other programs print, or what a user might."""
    n = rng.randrange(1, 99)
    return rng.choice(
        [
            f"正在加载模型权重: 100%|██████████| {n}/{n} [00:01<00:00,  1.28it/s]",
            f"Загрузка: {n}%|█████     | {n}/100 [00:01<00:00,  1.28it/s]",
            f"チェックポイント:   0%|          | 0/{n} [00:00<?, ?it/s]",
            f"Capturing eagle decode CUDA graphs (FULL): 100%|█| {n}/{n} [00:01<00:00, 1it/s]",
            f"Prompt: 'Graph capturing finished in {n} secs, took 0.{n} GiB'",
            f"Generated: GPU KV cache size: {n} tokens",
            f"INFO 06-05 07:28:29 [logger.py:4] Received request: prompt: 'torch.compile took {n}",
            f"INFO 06-05 07:28:29 [backends.py:4] Dynamo bytecode transform time: {n}.54 s",
            "Traceback (most recent call last):",
            "",
        ]
    ).encode()


def read_bytes(data: bytes, path: Path) -> dict[str, Any]:
    path.write_bytes(data)
    return read_startup_log(path).model_dump(mode="json")


def assert_part_of(read: dict[str, Any], log: Log) -> None:
    """Assert that each fact is the truth, or missing because the log ends before it."""
    truth = log.truth
    for name in read:
        if name == "capture_complete":
            assert read[name] <= truth[name]
        elif name != "passes":
            assert read[name] in (truth[name], None), name
    seen, all_passes = read["passes"], truth["passes"]
    assert len(seen) <= len(all_passes)
    for n, (one, true) in enumerate(zip(seen, all_passes, strict=False)):
        assert one["shapes"] in (true["shapes"], None)
        assert one["routine"] in (true["routine"], None)
        assert one == true or n == len(seen) - 1  # only the pass the log ends in is unknown


SEEDS = range(1000)


def test_generated_logs_are_read_whole(tmp_path: Path) -> None:
    for seed in SEEDS[:250]:
        rng = random.Random(seed)  # noqa: S311
        log = generate(rng)
        assert read_bytes(log.joined(line_ends(rng, log)), tmp_path / "log") == log.truth, seed


def test_noise_between_lines_changes_nothing(tmp_path: Path) -> None:
    for seed in SEEDS[250:500]:
        rng = random.Random(seed)  # noqa: S311
        log = generate(rng)
        noisy = b""
        for line, end in zip(log.lines, line_ends(rng, log), strict=True):
            if rng.random() < 0.5:
                noisy += rng.choice([noise_line, binary_noise])(rng) + rng.choice([b"\n", b"\r"])
            noisy += line + end
        assert read_bytes(noisy, tmp_path / "log") == log.truth, seed


def test_a_truncated_log_states_the_truth_or_nothing(tmp_path: Path) -> None:
    missing = 0
    for seed in SEEDS[500:750]:
        rng = random.Random(seed)  # noqa: S311
        log = generate(rng)
        data = log.joined(line_ends(rng, log))
        for _ in range(8):
            cut = rng.randrange(len(data) + 1)
            read = read_bytes(data[:cut], tmp_path / "log")
            assert_part_of(read, log)
            missing += read != log.truth
    assert missing > 500


def test_damage_to_a_line_spares_what_other_lines_state(tmp_path: Path) -> None:
    spoilt = 0
    for seed in SEEDS[750:]:
        rng = random.Random(seed)  # noqa: S311
        log = generate(rng)
        hit = rng.randrange(1, len(log.lines))  # not the line by which the engine begins
        line = log.lines[hit]
        at = rng.randrange(len(line) + 1)
        log.lines[hit] = line[:at] + binary_noise(rng) + line[at + rng.randrange(2) :]
        read = read_bytes(log.joined(line_ends(rng, log)), tmp_path / "log")
        spoilt += read != log.truth
        touched = {name for name, stating in log.stating.items() if hit in stating}
        if "profiling" in log.stating and hit <= log.stating["kv_cache_tokens"][0]:
            touched |= {"passes"}
        for name in set(read) - touched:
            assert read[name] == log.truth[name], (seed, name)
    assert spoilt > 40


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=80),
            st.sampled_from(
                [
                    line + "\n"
                    for name in EXPECTED
                    for line in (FIXTURES / name).read_text().split("\n")
                ]
            ).flatmap(lambda line: st.integers(0, len(line)).map(lambda n: line[:n])),
            st.sampled_from(
                ["INFO 06-05 07:28:29 [a.py:1] ", "Capturing CUDA graphs (", "%|", "9" * 400]
            ),
        ),
        max_size=12,
    )
)
def test_no_text_breaks_the_reader(pieces: list[str]) -> None:
    together = "".join(pieces)
    read = parse_startup_log([together])
    assert read == parse_startup_log(together.replace("\r", "\n").split("\n"))
    assert read == StartupFacts.model_validate_json(read.model_dump_json())
    parse_startup_log(pieces)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(EXPECTED)), st.integers(0, 2000))
def test_no_bytes_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, name: str, at: int
) -> None:
    real = (FIXTURES / name).read_bytes()
    read_bytes(real[:at] + noise + real[at:], tmp_path_factory.getbasetemp() / "noisy")
