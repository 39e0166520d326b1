"""Whoever waits for a report waits for imports too: what is dear is imported where it is needed."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "spared"),
    [
        # Those of rules/common.smk: every call of Snakemake waits for them.
        (
            "config.read design.runs design.datasets models.architecture measure.machine "
            "measure.leftovers design.predictions",
            "numpy scipy matplotlib pandas jsonschema",
        ),
        (
            "observations.dataset records.record",
            "numpy scipy matplotlib pandas jsonschema snakemake",
        ),
        ("report.page", "matplotlib snakemake"),
        (
            "ledger.dataset_results ledger.build ledger.extrapolations",
            "matplotlib jinja2 snakemake",
        ),
    ],
)
def test_a_step_imports_no_more_than_it_needs(modules, spared):
    imports = "".join(f"import cudagraph_lab.{module}\n" for module in modules.split())
    code = f"{imports}import sys\nprint([m for m in {spared.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
