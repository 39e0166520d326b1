"""Observations: the records of each data set, checked, as one tidy table.

Input: the records of a data set, measured here, earlier, or shipped. Output:
results/<dataset>/observations.csv, a row per observed number, and
results/<dataset>/dataset.json, what is known of the data set beside its numbers.

`collect_shipped` reads all shipped data sets of the report in one job: their tables are kept, and
a job for each would spend its time on imports. All others have a job each.
"""

SHIPPED = tuple(datasets.shipped_alone(DATASETS, PLANS))
TABULATING = ("observations", "records", "engine", "design")


rule collect_observations:
    input:
        records=lambda wildcards: records_of(wildcards.dataset),
        # What was set aside is missing, and is measured anew.
        aside=lambda wildcards: datasets.records_aside_of(wildcards.dataset),
        package=package(*TABULATING),
    output:
        datasets=["results/{dataset}/dataset.json"],
        tables=["results/{dataset}/observations.csv"],
    log:
        "logs/{dataset}/collect_observations.log",
    wildcard_constraints:
        dataset=datasets.pattern_without(SHIPPED),
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    params:
        # Snakemake compares the first alone, and prints before and after of what has changed.
        digest=lambda wildcards: digest(asked_of_dataset(wildcards.dataset)),
        asked=lambda wildcards, output: asked_of([wildcards.dataset]),
        sources=lambda wildcards, output: sources_of(*TABULATING),
        cache_dir=lambda wildcards, output: CONFIG.cache_dir,
    script:
        "../scripts/collect_observations.py"


if SHIPPED:

    rule collect_shipped:
        input:
            aside=[path for name in SHIPPED for path in datasets.records_aside_of(name)],
        output:
            datasets=[f"results/{name}/dataset.json" for name in SHIPPED],
            tables=[f"results/{name}/observations.csv" for name in SHIPPED],
        log:
            "logs/collect_shipped.log",
        localrule: True
        conda:
            "../../envs/pipeline.yaml"
        # Tables that are not kept yet are made side by side.
        threads: 4
        params:
            # Not as inputs: Snakemake would hash each of them once for each output.
            digest=lambda wildcards: contents_of(SHIPPED, TABULATING),
            asked=lambda wildcards, output: asked_of(SHIPPED),
            sources=lambda wildcards, output: sources_of(*TABULATING),
            cache_dir=lambda wildcards, output: CONFIG.cache_dir,
        script:
            "../scripts/collect_observations.py"
