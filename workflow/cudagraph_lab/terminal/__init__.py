"""Terminal: what `make lab` and `make report` show, in place of Snakemake's own lines.

Input: what Snakemake logs and what its jobs say. Output: the plan, one line that moves, mistakes,
and at the end what came of it. `words` turns text into lines, `screen` writes them, `page` keeps
the state of one call. The adapter to Snakemake's interface for loggers is the package
`snakemake_logger_plugin_lab`.
"""
