"""Design: what is settled before the first measurement of a data set, and then stays.

Output, per data set, under results/<dataset>/:
  predictions.registered.json  hashes of what is predicted, with the time
  weights.json                 published or dummy weights; they never change within a data set
  environment.json             the Python that can import vLLM, built where it has to be

The three are made once: they have no inputs, and their parameters are functions that
name `output`, which Snakemake takes for derived and does not compare. So a changed
configuration makes no register and no measurement look stale. update(): the file stays
where the job finds it, also with --forceall; a register that is there is left as it is.
See docs/decisions/records-never-look-stale.md.
"""


rule register_predictions:
    output:
        update("results/{dataset}/predictions.registered.json"),
    log:
        "logs/{dataset}/register_predictions.log",
    priority: BEFORE_ALL
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    params:
        predictions=predictions_of_register,
    shell:
        "python3 -m cudagraph_lab.cli register-predictions --dataset {wildcards.dataset}"
        " --predictions {params.predictions:q} --output {output:q} 2> >(tee {log:q} >&2)"


rule choose_weights:
    output:
        update("results/{dataset}/weights.json"),
    log:
        "logs/{dataset}/choose_weights.log",
    priority: BEFORE_ALL
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    params:
        weights=arguments_of_weights,
        environment=arguments_of_environment,
    shell:
        "python3 -m cudagraph_lab.cli choose-weights {params.weights:q}"
        " {params.environment:q}"
        " --output {output:q} 2> >(tee {log:q} >&2)"


rule build_environment:
    output:
        "results/{dataset}/environment.json",
    log:
        "logs/{dataset}/build_environment.log",
    priority: BEFORE_ALL
    # A download can fail; trying again falsifies nothing.
    retries: 1
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=8_000,
        runtime=60,
    params:
        environment=arguments_of_environment,
    shell:
        "python3 -m cudagraph_lab.cli build-environment {params.environment:q}"
        " --output {output:q} 2> >(tee {log:q} >&2)"
