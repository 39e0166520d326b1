"""What is checked before anything is measured, and what keeps two measurements apart."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from cudagraph_lab import REPOSITORY
from cudagraph_lab.engine.environment import cache_directory
from cudagraph_lab.engine.versions import VLLM_VERSION
from cudagraph_lab.files import sha256_of
from cudagraph_lab.measure.machine import gpus
from cudagraph_lab.records.agreement import first_believed, other_conditions
from cudagraph_lab.records.request import Request, conflict

HARNESS = REPOSITORY / "workflow" / "harness"
# Snakemake sets these to the rule's threads over the caller's wish; a measurement
# leaves them to vLLM, and records what came of it.
THREAD_VARIABLES = {
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
}


def described_lock(lock: Path | None) -> str:
    """What a record says of the lock that vLLM's environment was built from."""
    return f"{lock.name} sha256:{sha256_of(lock)}" if lock else "taken as it was"


def refuse_other_request(
    output: Path, dataset: str, request: Request, here: Mapping[str, str | None]
) -> None:
    """Refuse to add a run to a data set that was measured under other conditions.

    `here` holds fields of the environment that are known before the run (device, driver,
    lock). Looks at one run of each arm, so that it takes no time.
    """
    others = {path for path in output.parent.parent.glob("*/rep*.json") if path != output}
    # Its own arm first, which has the most to agree in.
    ordered = sorted(others, key=lambda path: (path.parent != output.parent, path))
    believed, refused = first_believed(ordered, dataset)
    if refused and not believed:
        # Not one of them is believed: no damage to a file, but something of a person's making.
        raise refused[0]
    for sibling, known in believed:
        found = conflict(request, known.request, same_arm=sibling.parent == output.parent)
        other_vllm = request.vllm != known.request.vllm
        for name, now in here.items():
            if name == "lock" and other_vllm:
                continue
            then = getattr(known.environment, name)
            if found is None and None not in (now, then) and now != then:
                found = (name, now, then)
        if found:
            name, now, then = found
            raise other_conditions(sibling, name, then, now)


# A program that uses NVLink multicast can put the GPUs of a shared host out of service.
NO_MULTICAST = {
    "NCCL_NVLS_ENABLE": "0",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1",
    "NVSHMEM_DISABLE_NVLS": "1",
    "VLLM_ALLREDUCE_USE_SYMM_MEM": "0",
}


def measurement_environment(base: Mapping[str, str], compile_cache: Path) -> dict[str, str]:
    """Environment of the harness: no thread limits, no network, caches where we want them."""
    kept = {key: value for key, value in base.items() if key not in THREAD_VARIABLES}
    kept.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    # The harness, and this package for the protocol that both sides share.
    harness = f"{HARNESS}:{HARNESS.parent}"
    inherited = kept.get("PYTHONPATH")
    return kept | {
        "PYTHONPATH": f"{harness}:{inherited}" if inherited else harness,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as NVML counts, so that both name the same device
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_CACHE_ROOT": str(compile_cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(compile_cache / "inductor"),
        "TRITON_CACHE_DIR": str(compile_cache / "triton"),
    }


def environment_of_ranks(base: Mapping[str, str], platform: str, ranks: int) -> dict[str, str]:
    """What the harness of an engine with several ranks gets besides; nothing for a single one.

    GPUs sum without NVLink multicast. On a CPU vLLM wants a NUMA node for each rank; here the
    ranks divide the cores, unless the caller binds them.
    """
    if ranks == 1:
        return {}
    if platform == "cuda":
        return NO_MULTICAST
    binding = "VLLM_CPU_OMP_THREADS_BIND"
    return {binding: base.get(binding) or cores_of_ranks(sorted(os.sched_getaffinity(0)), ranks)}


def cores_of_ranks(cores: Sequence[int], ranks: int) -> str:
    """The cores in as many parts as there are ranks, as vLLM binds them: `0,1|2,3`.

    Ranks share cores where there are fewer cores than ranks.
    """
    bounds = [rank * len(cores) // ranks for rank in range(ranks + 1)]
    parts = [cores[low : max(high, low + 1)] for low, high in pairwise(bounds)]
    return "|".join(",".join(map(str, part)) for part in parts)


def device_locks(platform: str, devices: int) -> list[Path]:
    """Locks of the devices that a measurement occupies: two never share one.

    `devices` is how many ranks its engines have; they are on the first GPUs that are visible. A
    GPU is known by its own id wherever it is seen from, so that jobs on two GPUs of one machine
    run at once. A CPU is the machine's, and so is a GPU without an id. The order is the same for
    everyone, so that no two wait for each other. The locks stay in the user's own cache wherever
    `cache_dir` is: another directory is no other device.
    """
    machine = os.uname().nodename
    names = {f"{machine}-{platform}"}
    if platform == "cuda":
        ids = [gpu["device_id"] for gpu in gpus()[:devices]]
        names = {f"cuda-{i}" if i else f"{machine}-cuda" for i in ids}
    return [cache_directory("auto") / "locks" / f"{name}.lock" for name in sorted(names)]


def compile_cache_directory(cache: Path, dataset: str, version: str = VLLM_VERSION) -> Path:
    """Where this version of vLLM keeps what it compiled for a data set, from run to run."""
    own = [] if version == VLLM_VERSION else [f"vllm-{version}"]
    return cache.joinpath("compile", dataset, *own)


def commit() -> str | None:
    """The commit of this repository, with `+changes` where the tree differs from it."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True
            )
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
