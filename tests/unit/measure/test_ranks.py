"""Ranks of one engine: what the harness reads of each, their devices, cores and environment."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.measure.guards import HARNESS, cores_of_ranks, environment_of_ranks


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(str(HARNESS))
    import conditions
    import ranks

    yield ranks, conditions
    del sys.modules["ranks"], sys.modules["conditions"]


def facts(rank, capture_s=None, graphs=0, available=None, **resolved):
    return {
        "rank": rank,
        "spans": [],
        "graphs": [{}] * graphs,
        "capture": capture_s and {"seconds": capture_s, "pool_bytes": rank},
        "capture_estimate_bytes": None,
        "available_kv_cache_bytes": available,
        "model_bytes": 10 + rank,
        "compile_seconds": 0.0,
        "resolved": {"num_gpu_blocks": 4, "block_size": 16, "dtype": "bfloat16", **resolved},
    }


def test_the_slowest_rank_tells_the_capture_and_the_smallest_the_memory(harness):
    module, _ = harness
    ranks = [facts(0, 1.5, 3, 400), facts(1, 2.5, 3, 300)]
    startup = module.startup_of(ranks, 0.0, 1.0, (1.0, 9.0))
    assert startup["capture"]["seconds"] == 2.5
    assert startup["capture"]["pool_bytes"] == 1
    assert startup["available_kv_cache_bytes"] == 300
    assert startup["kv_cache_tokens"] == 64


def test_a_rank_that_differs_says_in_what(harness):
    module, _ = harness
    assert module.ranks_of([facts(0)]) is None
    ranks = module.ranks_of([facts(0), facts(1, dtype="float16")])
    assert [one["differs"] for one in ranks] == [[], ["dtype"]]


def boards(lacking=False):
    """NVML with boards that have counters; the second one has none where `lacking`."""

    class NVMLError(Exception):
        pass

    def energy(handle):
        if lacking and handle == 1:
            raise NVMLError
        return (handle + 1) * 1000

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda uuid: int(uuid.removeprefix("GPU-")),
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )


def install(monkeypatch, nvml):
    third_party = ModuleType("vllm.third_party")
    third_party.pynvml = nvml  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.third_party", third_party)


def test_energy_is_of_all_devices_or_of_none(harness, monkeypatch):
    _, conditions = harness
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install(monkeypatch, boards())
    assert conditions.energy_meter("cuda", 1)() == 1.0
    assert conditions.energy_meter("cuda", 2)() == 3.0
    install(monkeypatch, boards(lacking=True))
    assert conditions.energy_meter("cuda", 2)() is None


def test_each_device_is_read_in_the_order_that_cuda_sees(harness, monkeypatch):
    _, conditions = harness
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1, GPU-0,GPU-2")
    install(monkeypatch, boards())
    monkeypatch.setattr(conditions, "read_gpu", lambda nvml, visible: {"unavailable": visible})
    readings = conditions.read_conditions("cuda", "during", 3.0, 2)
    told = [(one["place"], one["unavailable"]) for one in readings]
    assert told == [(0, "GPU-1"), (1, "GPU-0")]
    assert len(conditions.read_conditions("cpu", "during", 3.0, 2)) == 1


@given(cores=st.lists(st.integers(0, 500), min_size=1, unique=True), ranks=st.integers(1, 16))
def test_ranks_divide_the_cores(cores, ranks):
    parts = [[int(core) for core in part.split(",")] for part in
             cores_of_ranks(cores, ranks).split("|")]  # fmt: skip
    assert len(parts) == ranks
    assert all(parts)
    assert {core for part in parts for core in part} <= set(cores)
    if len(cores) >= ranks:
        assert sorted(core for part in parts for core in part) == sorted(cores)


def test_several_ranks_sum_without_multicast_and_a_caller_may_bind_cores():
    assert environment_of_ranks({}, "cuda", 1) == {}
    several = environment_of_ranks({}, "cuda", 2)
    assert several["NCCL_NVLS_ENABLE"] == several["VLLM_ALLREDUCE_USE_SYMM_MEM"] == "0"
    mine = {"VLLM_CPU_OMP_THREADS_BIND": "7|9"}
    assert environment_of_ranks(mine, "cpu", 2) == mine
