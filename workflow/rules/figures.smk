"""Figures: what the ledger says, drawn.

Input: the ledger and the one style. Output: results/figures/*.svg and, for the
report, results/figures/figures.json: the finding of each figure in words, and the
numbers of the ledger that it shows.
"""

from cudagraph_lab.figures.catalogue import FIGURES


rule plot_figures:
    input:
        ledger="results/ledger.json",
        style=local(str(REPOSITORY / "report" / "lab.mplstyle")),
        package=package("figures", "ledger"),
    output:
        svgs=[
            report(
                f"results/figures/{name}.svg",
                caption=f"../../report/captions/{name}.rst",
                category="Figures",
                labels={"figure": question},
            )
            for name, question in FIGURES.items()
        ],
        drawings="results/figures/figures.json",
    log:
        "logs/plot_figures.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    # Figures are drawn side by side.
    threads: 4
    script:
        "../scripts/plot_figures.py"
