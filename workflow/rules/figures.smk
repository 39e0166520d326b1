"""Figures: what the ledger says, drawn.

Input: the ledger and the one style. Output: results/figures/*.svg and, for the
report, results/figures/figures.json: each figure's finding in words, and which
numbers of the ledger it shows.
"""

# Name, and what it shows in the words of Snakemake's own report.
FIGURES = {
    "speed-up": "speed-up against batch size",
    "attribution": "compilation and graphs apart",
    "models": "launch models against what was measured",
    "throughput": "throughput against batch size",
    "step-time": "decode step against batch size",
    "start-up": "phases of the start-up",
}


rule plot_figures:
    input:
        ledger="results/ledger.json",
        style=local(str(REPOSITORY / "report" / "lab.mplstyle")),
        package=package("figures", "ledger", "report"),
    output:
        svgs=[
            report(
                f"results/figures/{name}.svg",
                caption=f"../../report/captions/{name}.rst",
                category="Figures",
                labels={"figure": words},
            )
            for name, words in FIGURES.items()
        ],
        drawings="results/figures/figures.json",
    log:
        "logs/plot_figures.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    script:
        "../scripts/plot_figures.py"
