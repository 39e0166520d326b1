"""Ledger: every number that the report prints, beside what was predicted of it.

Input: the observations of all data sets in the report, the predictions and their
registers. Output: results/ledger.json and, for spreadsheets, results/ledger.csv.
"""


rule build_ledger:
    input:
        tables=collect("results/{dataset}/observations.csv", dataset=DATASETS),
        datasets=collect("results/{dataset}/dataset.json", dataset=DATASETS),
        predictions=local(PREDICTIONS),
        registers=[placed(path) for path in REGISTERS.values()],
        outlook=local([str(path) for path in TABLES]),
        batch_mix=local(CONFIG.batch_mix or []),
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
    # Data sets are judged side by side.
    threads: 4
    params:
        registered=list(REGISTERS),
        settings=CONFIG.model_dump(
            include={"seed", "headline", "restarts_per_day", "ladder_rungs"}
        ),
        largest_batch=max(CONFIG.workload.batch_sizes),
        measured_here=[name for name in HERE if name in DATASETS],
        absent=ABSENT,
        questions=[question.model_dump() for question in CONFIG.extrapolate],
    script:
        "../scripts/build_ledger.py"
