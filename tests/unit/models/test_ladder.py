"""Ladders: vLLM's rule against counts known from its code, and the optimum against search."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudagraph_lab.engine.capture_sizes import (
    full_decode_sizes,
    own_capture_sizes,
    pad,
    vllm_capture_sizes,
    vllm_defaults,
)
from cudagraph_lab.errors import LabError
from cudagraph_lab.models.ladder import best_ladder, ladder_cost, read_histogram

VLLM_VERSIONS = ("0.11.0", "0.17.1", "0.22.1", "0.26.0", "0.28.0", "0.32.0", "0.33.0")

LIMITS = st.tuples(st.integers(1, 2048), st.integers(1, 16384))
HISTOGRAMS = st.dictionaries(st.integers(1, 600), st.integers(1, 10_000), min_size=1, max_size=40)
SMALL = st.dictionaries(st.integers(1, 40), st.integers(1, 50), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("max_num_seqs", "version", "piecewise", "full"),
    [
        (256, "0.11.0", 67, 35),
        (256, "0.17.1", 51, 35),
        (256, "0.22.1", 51, 35),
        (256, "0.33.0", 51, 35),
        (256, "0.26.0", 51, 35),
        (1024, "0.26.0", 51, 51),
        (1024, "0.32.0", 51, 51),
        (1024, "0.11.0", 67, 67),
        (1024, "0.22.1", 51, 51),
        (1024, "0.28.0", 51, 51),
        (128, "0.11.0", 35, 19),
        (128, "0.22.1", 35, 19),
        (64, "0.22.1", 19, 11),
        (8, "0.11.0", 5, 4),
        (8, "0.22.1", 5, 4),
    ],
)
def test_counts_of_the_vllm_rule(max_num_seqs: int, version: str, piecewise: int, full: int):
    sizes = vllm_capture_sizes(max_num_seqs, 8192, version)
    assert (len(sizes), len(full_decode_sizes(sizes, max_num_seqs))) == (piecewise, full)


def test_speculative_tokens_and_an_own_maximum():
    sizes = vllm_capture_sizes(40, 8192, "0.22.1", speculative_tokens=3)
    assert (len(sizes), sizes[-1]) == (39, 320)
    assert len(full_decode_sizes(sizes, 40, 3)) == len([size for size in sizes if size <= 160])
    assert vllm_capture_sizes(6, 8192, "0.22.1", 3, max_capture_size=6) == (1, 2, 4)
    assert vllm_capture_sizes(6, 8192, "0.22.1", 3, max_capture_size=24) == (1, 2, 4, 8, 16, 24)
    for version in ("0.14.0", "0.30.0", "1", "new"):
        with pytest.raises(LabError, match=r"use one of 0\.11, 0\.17 to 0\.28, 0\.32 to 0\.33"):
            vllm_capture_sizes(8, 8192, version)


def test_ten_sizes_for_forty_requests_with_three_drafts():
    mix = {4 * requests: 1 for requests in range(1, 41)}
    assert best_ladder(mix, 10) == tuple(range(16, 161, 16))
    cost = ladder_cost(mix, vllm_capture_sizes(40, 8192, "0.22.1", speculative_tokens=3))
    assert cost.missed_steps == 0


def test_an_own_list_is_taken_as_vllm_takes_it():
    assert own_capture_sizes([64, 8, 1, 8], 8192) == (1, 8, 64)
    assert own_capture_sizes([64, 8, 1], 32) == (1, 8)
    assert own_capture_sizes([8, 1], 32, 8) == (1, 8)
    for sizes, most in (([], None), ([0, 1], None), ([64], None), ([1, 8], 4)):
        with pytest.raises(LabError):
            own_capture_sizes(sizes, 32, most)


def test_no_known_version_gives_the_23_rungs_of_the_published_log():
    assert 23 not in {len(vllm_capture_sizes(256, 8192, version)) for version in VLLM_VERSIONS}


def test_token_limit_off_stride_is_a_size_of_its_own():
    assert vllm_capture_sizes(256, 100, "0.22.1")[-2:] == (96, 100)
    assert vllm_capture_sizes(256, 3, "0.22.1") == (1, 2, 3)
    assert 100 not in vllm_capture_sizes(256, 101, "0.22.1")
    assert 100 in vllm_capture_sizes(100, 8192, "0.33.0")


def test_unknown_version_is_refused():
    with pytest.raises(LabError, match=r"version '0\.9\.9'"):
        vllm_capture_sizes(256, 8192, "0.9.9")


@pytest.mark.parametrize(
    ("memory_gib", "name", "platform", "expected"),
    [
        (22.5, "NVIDIA L4", "cuda", (256, 8192)),
        (79.6, "NVIDIA H100 80GB HBM3", "cuda", (1024, 16384)),
        (79.3, "NVIDIA A100-SXM4-80GB", "cuda", (256, 8192)),
        (128.0, "", "cpu", (256, 4096)),
    ],
)
def test_default_limits(memory_gib, name, platform, expected):
    assert vllm_defaults(memory_gib, name, platform) == expected


@given(LIMITS, st.sampled_from(VLLM_VERSIONS[1:]))
def test_every_batch_up_to_the_maximum_has_a_rung(limits, version):
    sizes = vllm_capture_sizes(limits[0], limits[1], version)
    assert list(sizes) == sorted(set(sizes))
    for batch in range(1, sizes[-1] + 1):
        rung = pad(batch, sizes)
        assert rung is not None and rung >= batch
        assert not any(batch <= size < rung for size in sizes)
    assert pad(sizes[-1] + 1, sizes) is None


def test_padding_of_the_lab_examples():
    sizes = vllm_capture_sizes(256, 8192, "0.22.1")
    assert [pad(batch, sizes) for batch in (1, 8, 9, 33, 64)] == [1, 8, 16, 40, 64]


def test_cost_counts_padding_and_misses_apart():
    cost = ladder_cost({3: 10, 4: 1, 9: 2}, (1, 4, 8))
    assert (cost.padded_tokens, cost.missed_steps, cost.missed_tokens) == (10, 2, 18)
    assert (cost.steps, cost.replayed_steps, cost.replayed_tokens) == (13, 11, 34)
    assert cost.padded_share == 10 / 44
    assert ladder_cost({9: 2}, (8,)).padded_share is None


@given(HISTOGRAMS, st.integers(1, 45))
def test_best_ladder_serves_every_batch_and_never_pads_below_zero(histogram, rungs):
    ladder = best_ladder(histogram, rungs)
    cost = ladder_cost(histogram, ladder)
    assert len(ladder) <= rungs and ladder[-1] == max(histogram)
    assert all(pad(batch, ladder) is not None for batch in range(1, max(histogram) + 1))
    assert cost.missed_steps == 0
    assert cost.padded_tokens >= 0
    if rungs >= len(histogram):
        assert cost.padded_tokens == 0


@settings(max_examples=15, deadline=None)
@given(HISTOGRAMS, st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_best_ladder_beats_a_thousand_random_ladders(histogram, rungs, seed):
    rng = np.random.default_rng(seed)
    top = max(histogram)
    batches = np.array(sorted(histogram))
    counts = np.array([histogram[int(batch)] for batch in batches])
    least = ladder_cost(histogram, best_ladder(histogram, rungs)).padded_tokens
    for _ in range(1000):
        ladder = np.unique(np.append(rng.integers(1, top + 1, size=rungs - 1), top))
        rung = ladder[np.searchsorted(ladder, batches)]
        assert least <= int(((rung - batches) * counts).sum())


@settings(max_examples=150, deadline=None)
@given(SMALL, st.integers(1, 5))
def test_best_ladder_equals_brute_force(histogram, rungs):
    top = max(histogram)
    others = [batch for batch in histogram if batch != top]
    least = min(
        ladder_cost(histogram, (*chosen, top)).padded_tokens
        for size in range(min(rungs - 1, len(others)) + 1)
        for chosen in combinations(others, size)
    )
    assert ladder_cost(histogram, best_ladder(histogram, rungs)).padded_tokens == least


@pytest.mark.parametrize("rungs", [0, -1])
def test_a_ladder_needs_a_rung(rungs):
    with pytest.raises(LabError, match="rungs"):
        best_ladder({1: 1}, rungs)


@pytest.mark.parametrize("histogram", [{}, {1: 0}, {0: 1}, {4: -1}])
def test_bad_histograms_are_refused(histogram):
    with pytest.raises(LabError, match="histogram"):
        best_ladder(histogram, 1)


@pytest.mark.parametrize(
    "text",
    [
        "batch,count\n1,10\n8,3\n",
        "# from the server\n1 10 # idle\n\n8\t3\n",
        "\ufeffbatch size,steps\r\n1,10\r\n8, 3\r\n16,0\r\n",
    ],
)
def test_histogram_formats(tmp_path: Path, text: str):
    path = tmp_path / "mix.csv"
    path.write_bytes(text.encode())
    assert read_histogram(path) == {1: 10, 8: 3}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("1 10\n8 x\n", ":2: expected"),
        ("batch,count\nbatch,count\n", ":2: expected"),
        ("1,2,3\n", ":1: expected"),
        ("8,,3\n", ":1: expected"),
        ("1 2.5\n", ":1: expected"),
        ("1 -2\n", ":1: expected"),
        ("1 10\n0 3\n", ":2: a batch size"),
        ("1 10\n1 3\n", ":2: batch size 1 is already on line 1"),
        ("1 0\n", ": no batch"),
        ("", ": no batch"),
    ],
)
def test_histogram_errors_name_file_and_line(tmp_path: Path, text: str, where: str):
    path = tmp_path / "mix.txt"
    path.write_text(text)
    with pytest.raises(LabError) as caught:
        read_histogram(path)
    assert str(caught.value).startswith(f"{path}{where}")
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files_end_in_one_line(tmp_path: Path):
    binary = tmp_path / "b"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none", binary):
        with pytest.raises(LabError, match="cannot be read"):
            read_histogram(path)
