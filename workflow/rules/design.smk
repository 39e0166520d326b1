"""Design: what is settled before the first measurement of a data set, and then stays.

Output, per data set, under results/<dataset>/:
  predictions.registered.json  hashes of what is predicted, with the time
  weights.json                 published or dummy weights; they never change within a data set
  environment.json             the Python that can import vLLM, built where it has to be

The three are made once. They have no inputs and no parameters on purpose: a
register that could be renewed would register nothing. What they need to know of
the configuration, they and `measure` read from the environment variable that
common.smk sets, so that a changed configuration never makes old measurements
look stale; `measure` refuses by itself to mix requests in one data set.
"""


rule register_predictions:
    output:
        "results/{dataset}/predictions.registered.json",
    log:
        "logs/{dataset}/register_predictions.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    shell:
        "python3 -m cudagraph_lab.cli register-predictions --dataset {wildcards.dataset}"
        " --output {output:q} 2> >(tee {log:q} >&2)"


rule choose_weights:
    output:
        "results/{dataset}/weights.json",
    log:
        "logs/{dataset}/choose_weights.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    shell:
        "python3 -m cudagraph_lab.cli choose-weights --output {output:q} 2> >(tee {log:q} >&2)"


rule build_environment:
    output:
        "results/{dataset}/environment.json",
    log:
        "logs/{dataset}/build_environment.log",
    # A download can fail; trying again falsifies nothing.
    retries: 1
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=8_000,
        runtime=60,
    shell:
        "python3 -m cudagraph_lab.cli build-environment --output {output:q} 2> >(tee {log:q} >&2)"
