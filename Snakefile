# The workflow itself is workflow/Snakefile; this one runs it with config/config.yaml,
# so that plain `snakemake` works at the top of the repository.


configfile: "config/config.yaml"


module lab:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from lab
