"""Records of a simulated experiment whose truth is known: to see that the report finds it.

Simulated data says so in every record, lives under a name that begins with
`simulated`, and enters a report only where `compare` names it.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from cudagraph_lab.design.runs import SIMULATED
from cudagraph_lab.errors import LabError
from cudagraph_lab.forms import ExactForm
from cudagraph_lab.models.launch import eager_step_s
from cudagraph_lab.records.call import Call, Cell
from cudagraph_lab.records.record import Environment, Record
from cudagraph_lab.records.request import Request, Workload
from cudagraph_lab.records.store import write_record

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Truth(ExactForm):
    """What a simulated machine does; the launch model's formula with these constants.

    GPU work of a step is `gpu_s + gpu_s_per_request * batch`; compilation takes
    `compile_share` off the launch bill; spreads are standard deviations of logarithms.
    """

    launch_s: Seconds = 1.0e-3
    gpu_s: Seconds = 4.0e-4
    gpu_s_per_request: Seconds = 1.5e-5
    host_s: Seconds = 0.0
    hidden_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    compile_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    between_sd: Seconds = 0.02
    within_sd: Seconds = 0.01

    def step_s(self, arm: str, batch: int) -> float:
        """Seconds per decode step of `eager`, `compiled` or `graphs` at a batch size."""
        share = {"eager": 1.0, "compiled": 1.0 - self.compile_share, "graphs": 0.0}[arm]
        gpu_s = self.gpu_s + self.gpu_s_per_request * batch
        step = eager_step_s(gpu_s, share * self.launch_s, self.hidden_share, self.host_s)
        return float(step)


ARMS: dict[str, dict[str, Any]] = {
    "eager": {"enforce_eager": True},
    "compiled": {"compilation_config": {"cudagraph_mode": "NONE"}},
    "graphs": {},
}


def simulate(
    truth: Truth, dataset: str, directory: Path, repeats: int, iterations: int, seed: int
) -> list[Path]:
    """Write the records of a simulated experiment under `directory`/runs; returns their paths.

    Raises LabError for a name that does not begin with `simulated`.
    """
    if not dataset.startswith(SIMULATED):
        raise LabError(f"data set {dataset!r}: a simulated one is named {SIMULATED}...; rename it")
    rng = np.random.default_rng(seed)
    workload = Workload(
        prompt=None,
        prompt_token_ids=[1],
        output_tokens=128,
        batch_sizes=[1, 8, 64],
        max_model_len=512,
        gpu_memory_utilization=0.5,
    )
    paths = []
    for arm, arguments in ARMS.items():
        for repeat in range(1, repeats + 1):
            cells = []
            for batch in workload.batch_sizes:
                process = rng.normal(0, truth.between_sd)
                steps = truth.step_s(arm, batch) * np.exp(
                    process + rng.normal(0, truth.within_sd, iterations)
                )
                calls = [
                    Call(
                        role="timed",
                        seconds=float(step) * workload.output_tokens,
                        tokens=batch * workload.output_tokens,
                        decode_s_per_step=[float(step)] * batch,
                    )
                    for step in steps
                ]
                cells.append(Cell(batch=batch, calls=calls))
            record = Record(
                dataset=dataset,
                arm=arm,
                repeat=repeat,
                kind="simulated",
                status="ok",
                source=f"simulated, seed {seed}: {truth.model_dump_json()}",
                measured_at=None,
                request=Request(
                    model="facebook/opt-125m",
                    weights="dummy",
                    workload=workload,
                    engine_args=arguments,
                    purpose="timed",
                    compile_cache="shared",
                    iterations=iterations,
                    warmups=0,
                    seed=seed,
                    order=list(ARMS),
                ),
                resolved=None,
                startup=None,
                cells=cells,
                environment=Environment(platform="cuda", device="simulated", vllm=None),
            )
            path = directory / "runs" / arm / f"rep{repeat}.json"
            write_record(record, path)
            paths.append(path)
    return paths
