"""Runs: fresh processes, one per arm and repeat, never two jobs at a time on one device.

Input: what design.smk settled for the data set. Output, per run:
results/<dataset>/runs/<arm>/rep<k>.json, with the start-up log beside it.

`measure` runs one arm. `measure_in_turn_<k>` runs the timed arms of repeat k together on one
device, where `order` is in_turn: each arm is a process of its own, and their calls take turns.
Measurements are dear: only a missing record is measured. What a job is to do goes to it as a
parameter that depends on `output`; a change of it makes no record look stale.
"""

TURNS = design_job.turns_to_measure(CONFIG, PLATFORM, DATASET) if DATASET else {}
TOGETHER = design.arms_in_turn(CONFIG, PLATFORM) if DATASET else []


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
    wildcard_constraints:
        # Arms in turn have rules of their own.
        arm=design_job.other_names(TOGETHER),
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
        job=lambda wildcards, output: job_json([wildcards.arm], wildcards.repeat),
    shell:
        # exec: Snakemake's child is the measurement itself, and ends with it.
        "exec python3 -m cudagraph_lab.cli measure --job {params.job:q}"
        " --weights {input.weights:q} 2> >(tee {log:q} >&2)"


for repeat, arms in TURNS.items():

    rule:
        name:
            f"measure_in_turn_{repeat}"
        input:
            registered=ancient(f"results/{DATASET}/predictions.registered.json"),
            weights=ancient(f"results/{DATASET}/weights.json"),
            environment=ancient(f"results/{DATASET}/environment.json"),
        output:
            [update(design_job.record_path(DATASET, arm, repeat)) for arm in arms],
        log:
            f"logs/{DATASET}/measure/in-turn.rep{repeat}.log",
        priority: lambda wildcards, repeat=repeat: priority_of_turn(repeat)
        conda:
            "../../envs/pipeline.yaml"
        resources:
            gpu=1,
            gpu_model=CONFIG.gpu_model,
            mem_mb=32_000 * len(arms),
            runtime=math.ceil(CONFIG.timeout_s / 60) + 15,
        params:
            job=lambda wildcards, output, arms=arms, repeat=repeat: job_json(
                arms, repeat
            ),
        shell:
            "exec python3 -m cudagraph_lab.cli measure --job {params.job:q}"
            " --weights {input.weights:q} 2> >(tee {log:q} >&2)"
