"""Runs: one fresh process per arm and repeat, never two at a time on one device.

Input: what design.smk settled for the data set. Output, per run:
results/<dataset>/runs/<arm>/rep<k>.json, with the start-up log beside it.

Measurements are dear: only a missing record is measured.
"""


rule measure:
    input:
        registered=ancient("results/{dataset}/predictions.registered.json"),
        weights=ancient("results/{dataset}/weights.json"),
        environment=ancient("results/{dataset}/environment.json"),
    output:
        "results/{dataset}/runs/{arm}/rep{repeat}.json",
    log:
        "logs/{dataset}/measure/{arm}.rep{repeat}.log",
    priority: priority_of_run
    conda:
        "../../envs/pipeline.yaml"
    resources:
        gpu=1,
        gpu_model=config["gpu_model"],
        # vLLM's processes, and the compilers that it starts; a larger model needs more.
        mem_mb=32_000,
        # A run ends itself after timeout_s and leaves a record that says so, which it could
        # not if the cluster ended it first; these minutes are for what surrounds it.
        runtime=math.ceil(config["timeout_s"] / 60) + 15,
    shell:
        # exec: Snakemake's child is the measurement itself, and ends with it.
        "exec python3 -m cudagraph_lab.cli measure --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --repeat {wildcards.repeat} --weights {input.weights:q}"
        " --output {output:q} 2> >(tee {log:q} >&2)"
