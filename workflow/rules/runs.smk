"""Runs: one fresh process per arm and repeat, one at a time on the device.

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
    shell:
        # exec: Snakemake's child is the measurement itself, and ends with it.
        "exec python3 -m cudagraph_lab.cli measure --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --repeat {wildcards.repeat} --weights {input.weights:q}"
        " --output {output:q} 2> >(tee {log:q} >&2)"
