"""Adapter: check the records of a data set and tabulate what they observed."""

from pathlib import Path
from typing import Any

from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.files import write_atomically
from cudagraph_lab.observations.dataset import collect
from cudagraph_lab.observations.table import table_text

snakemake: Any  # given by Snakemake

with one_line_errors(snakemake.log[0]):
    asked = snakemake.params.asked
    dataset, rows = collect(
        snakemake.wildcards.dataset,
        [Path(path) for path in snakemake.input.records],
        asked["description"],
        asked["contrasts"],
        asked["not_measurable"],
        asked["expected"],
    )
    write_atomically(Path(snakemake.output.dataset), dataset.model_dump_json(indent=1) + "\n")
    write_atomically(Path(snakemake.output.table), table_text(rows))
