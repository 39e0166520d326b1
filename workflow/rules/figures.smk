"""Figures: what the ledger says, drawn.

Input: the ledger and the one style. Output: results/figures/*.svg and, for the
report, results/figures/figures.json: each figure's finding in words, and which
numbers of the ledger it shows.
"""

FIGURES = [
    "speed-up",
    "attribution",
    "models",
    "throughput",
    "step-time",
    "start-up",
]


rule plot_figures:
    input:
        ledger="results/ledger.json",
        style=str(REPOSITORY / "report" / "lab.mplstyle"),
        package=package("figures", "forms", "numerals", "printing", "tables"),
    output:
        svgs=report(
            expand("results/figures/{figure}.svg", figure=FIGURES),
            caption="../../report/captions/figures.rst",
            category="Figures",
        ),
        drawings="results/figures/figures.json",
    log:
        "logs/plot_figures.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    script:
        "../scripts/plot_figures.py"
