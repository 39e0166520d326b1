"""Observations: the records of each data set, checked, as one tidy table.

Input: the records of a data set, measured here, earlier, or shipped. Output:
results/<dataset>/observations.csv, a row per observed number, and
results/<dataset>/dataset.json, what is known of the data set beside its numbers.
"""


rule collect_observations:
    input:
        records=lambda wildcards: records_of(wildcards.dataset),
        # What was set aside is missing, and is measured anew.
        aside=lambda wildcards: datasets.records_aside_of(wildcards.dataset),
        package=package("observations", "records", "engine", "design"),
    output:
        table="results/{dataset}/observations.csv",
        dataset="results/{dataset}/dataset.json",
    log:
        "logs/{dataset}/collect_observations.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    params:
        # Snakemake compares the first alone, and prints before and after of what has changed.
        digest=lambda wildcards: digest(asked_of_dataset(wildcards.dataset)),
        asked=lambda wildcards, output: asked_of_dataset(wildcards.dataset),
        cache_dir=lambda wildcards, output: CONFIG.cache_dir,
    script:
        "../scripts/collect_observations.py"
