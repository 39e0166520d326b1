# The workflow itself is workflow/Snakefile; this one runs it with config/config.yaml, so that
# plain `snakemake` works at the top of the repository. In a directory without one of its own,
# as with --directory, it is the repository's.

from pathlib import Path

CONFIGURATION = Path("config/config.yaml")
if not CONFIGURATION.exists():
    CONFIGURATION = Path(workflow.basedir) / CONFIGURATION


configfile: CONFIGURATION


module lab:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from lab
