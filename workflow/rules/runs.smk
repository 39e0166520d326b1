"""Runs: fresh processes, one per arm and repeat, never two jobs at a time on one device.

Input: what design.smk settled for the data set. Output, per run:
results/<dataset>/runs/<arm>/rep<k>.json, with the start-up log beside it.

`measure` runs one arm. `measure_in_turn_<k>` runs the timed arms of repeat k together on the same
devices, where they are in turn: each arm is a process of its own, and their calls take turns. With
`sizes` there is one such rule for each size, `measure_in_turn_<k>_size_<place>`.
Measurements are dear: only a missing record is measured. What a job is to do goes to it as a
parameter that depends on `output`; a change of it makes no record look stale.
"""

# By the end of the rule's name: data set, repeat and arms.
TURNS = {
    str(repeat) + (f"_size_{place}" if CONFIG.sizes else ""): (name, repeat, arms)
    for place, (name, plan) in enumerate(PLANS.items(), start=1)
    for repeat, arms in design_job.turns_to_measure(plan, PLATFORM, name).items()
}


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
        dataset=design_job.apart_pattern(PLANS, PLATFORM),
    priority: priority_of_run
    conda:
        "../../envs/pipeline.yaml"
    resources:
        gpu=gpus_of_run,
        gpu_model=CONFIG.gpu_model,
        # vLLM's processes, and the compilers that it starts; a larger model needs more.
        mem_mb=32_000,
        runtime=lambda wildcards: minutes_of_run(wildcards.dataset),
    params:
        job=lambda wildcards, output: job_json(
            wildcards.dataset, [wildcards.arm], wildcards.repeat
        ),
    shell:
        # exec: Snakemake's child is the measurement itself, and ends with it.
        "exec python3 -m cudagraph_lab.cli measure --job {params.job:q}"
        " --weights {input.weights:q} 2> >(tee {log:q} >&2)"


for end, (name, repeat, arms) in TURNS.items():

    rule:
        name:
            f"measure_in_turn_{end}"
        input:
            registered=ancient(f"results/{name}/predictions.registered.json"),
            weights=ancient(f"results/{name}/weights.json"),
            environment=ancient(f"results/{name}/environment.json"),
        output:
            [update(design_job.record_path(name, arm, repeat)) for arm in arms],
        log:
            f"logs/{name}/measure/in-turn.rep{repeat}.log",
        priority: lambda wildcards, turn=(name, repeat): priority_of_turn(*turn)
        conda:
            "../../envs/pipeline.yaml"
        resources:
            gpu=design.devices_of_run(PLANS[name], arms, PLATFORM),
            gpu_model=CONFIG.gpu_model,
            mem_mb=32_000 * len(arms),
            runtime=minutes_of_run(name),
        params:
            job=lambda wildcards, output, name=name, arms=arms, repeat=repeat: job_json(
                name, arms, repeat
            ),
        shell:
            "exec python3 -m cudagraph_lab.cli measure --job {params.job:q}"
            " --weights {input.weights:q} 2> >(tee {log:q} >&2)"
