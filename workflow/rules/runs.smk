"""Runs: one fresh process per arm and repeat, never two at a time on one device.

Input: what design.smk settled for the data set. Output, per run:
results/<dataset>/runs/<arm>/rep<k>.json, with the start-up log beside it.

Measurements are dear: only a missing record is measured.
"""


def job_of_run(wildcards, output):
    """All that a run needs to know of the configuration; derived, so it makes nothing stale."""
    return json.dumps({"config": CONFIG.model_dump(), "platform": PLATFORM})


rule measure:
    input:
        registered=ancient("results/{dataset}/predictions.registered.json"),
        weights=ancient("results/{dataset}/weights.json"),
        environment=ancient("results/{dataset}/environment.json"),
    output:
        # update(): a record that is there stays where the job finds it, also with --forceall.
        update("results/{dataset}/runs/{arm}/rep{repeat}.json"),
    log:
        "logs/{dataset}/measure/{arm}.rep{repeat}.log",
    priority: priority_of_run
    conda:
        "../../envs/pipeline.yaml"
    resources:
        gpu=gpus_of_run,
        gpu_model=CONFIG.gpu_model,
        # vLLM's processes, and the compilers that it starts; a larger model needs more.
        mem_mb=32_000,
        # A run ends itself after timeout_s and leaves a record that says so, which it could
        # not if the cluster ended it first; these minutes are for what surrounds it.
        runtime=math.ceil(CONFIG.timeout_s / 60) + 15,
    params:
        job=job_of_run,
    shell:
        # exec: Snakemake's child is the measurement itself, and ends with it.
        "exec python3 -m cudagraph_lab.cli measure --dataset {wildcards.dataset}"
        " --arm {wildcards.arm} --repeat {wildcards.repeat} --weights {input.weights:q}"
        " --job {params.job:q}"
        " --output {output:q} 2> >(tee {log:q} >&2)"
