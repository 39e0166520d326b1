"""Report: the ledger as a page to read, and the same in Markdown.

Input: the ledger, the figures and what is said of them, and the templates. Output:
results/report/lab_report.html, one file that needs no other, and
results/report/lab_report.md for terminals and pull requests.
"""

# Everything that the page is made from besides numbers.
TEMPLATES = sorted(
    str(path)
    for pattern in ("*.j2", "style.css")
    for path in (REPOSITORY / "report").glob(pattern)
)


rule render_report:
    input:
        ledger="results/ledger.json",
        svgs=rules.plot_figures.output.svgs,
        drawings="results/figures/figures.json",
        templates=local(TEMPLATES),
        package=package("report", "figures", "ledger"),
    output:
        html=report(
            "results/report/lab_report.html",
            caption="../../report/captions/lab_report.rst",
            category="Report",
            labels={"format": "HTML"},
        ),
        markdown=report(
            "results/report/lab_report.md",
            caption="../../report/captions/lab_report.rst",
            category="Report",
            labels={"format": "Markdown"},
        ),
    log:
        "logs/render_report.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    script:
        "../scripts/render_report.py"
