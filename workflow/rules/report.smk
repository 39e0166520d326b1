"""Report: the ledger as a page to read, the same in Markdown, and its answer in short.

Input: the ledger, the figures and what is said of them, and the templates. Output:
results/report/lab_report.html, one file that needs no other,
results/report/lab_report.md for terminals and pull requests, and
results/report/answer.txt, the sentences that `make lab` and `make report` end with.
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
        text=report(
            "results/report/answer.txt",
            caption="../../report/captions/answer.rst",
            category="Report",
            labels={"format": "Answer in short"},
        ),
    log:
        "logs/render_report.log",
    localrule: True
    conda:
        "../../envs/pipeline.yaml"
    script:
        "../scripts/render_report.py"
