"""Adapter: check the records of a data set and tabulate what they observed."""

from pathlib import Path
from typing import Any

from cudagraph_lab.engine.environment import cache_directory
from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.files import write_atomically
from cudagraph_lab.observations.kept import kept_or_made

snakemake: Any  # given by Snakemake


def make(name: str, records: list[Path], asked: dict[str, Any]) -> tuple[str, str]:
    """The data set as JSON and its table as CSV."""
    from cudagraph_lab.observations.dataset import collect
    from cudagraph_lab.observations.table import table_text

    dataset, rows = collect(
        name,
        records,
        asked["description"],
        asked["contrasts"],
        asked["not_measurable"],
        asked["expected"],
    )
    return dataset.model_dump_json(indent=1) + "\n", table_text(rows)


with one_line_errors(snakemake.log[0]):
    name = snakemake.wildcards.dataset
    given = [Path(path) for path in snakemake.input.records]
    dataset, table = kept_or_made(
        cache_directory(snakemake.params.cache_dir) / "tables" / f"{name}.json",
        given,
        snakemake.params.asked,
        [Path(path) for path in snakemake.input.package],
        lambda: make(name, given, snakemake.params.asked),
    )
    write_atomically(Path(snakemake.output.dataset), dataset)
    write_atomically(Path(snakemake.output.table), table)
