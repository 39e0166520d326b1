"""Ledger: every number that the report prints, beside what was predicted of it.

Input: the observations of all data sets in the report, the predictions and their
registers. Output: results/ledger.json and, for spreadsheets, results/ledger.csv.
"""


rule build_ledger:
    input:
        tables=expand("results/{dataset}/observations.csv", dataset=DATASETS),
        datasets=expand("results/{dataset}/dataset.json", dataset=DATASETS),
        predictions=local(PREDICTIONS),
        outlook=local([str(path) for path in extrapolation.FILES]),
        batch_mix=local(config["batch_mix"] or []),
        package=package("ledger", "models", "statistics", "design"),
    output:
        json=report(
            "results/ledger.json",
            caption="../../report/captions/ledger.rst",
            category="Ledger",
            labels={"format": "JSON"},
        ),
        csv=report(
            "results/ledger.csv",
            caption="../../report/captions/ledger.rst",
            category="Ledger",
            labels={"format": "CSV"},
        ),
    log:
        "logs/build_ledger.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    params:
        registers={dataset: register_of(dataset) for dataset in DATASETS},
        settings={
            key: config.get(key)
            for key in ("seed", "headline", "restarts_per_day", "ladder_rungs")
        },
        largest_batch=max(config["workload"]["batch_sizes"]),
        measured=DATASET,
        absent=ABSENT,
        questions=config["extrapolate"],
    script:
        "../scripts/build_ledger.py"
