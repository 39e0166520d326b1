"""Adapter: check the records of data sets and tabulate what they observed."""

from pathlib import Path
from typing import Any

from cudagraph_lab.engine.environment import cache_directory
from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.files import write_atomically
from cudagraph_lab.observations.kept import kept_or_made
from cudagraph_lab.side_by_side import side_by_side

snakemake: Any  # given by Snakemake


def make(name: str, records: list[Path], asked: dict[str, Any]) -> tuple[str, str]:
    """The data set as JSON and its table as CSV."""
    from cudagraph_lab.observations.dataset import collect
    from cudagraph_lab.observations.table import table_text

    dataset, rows = collect(name, records, **asked)
    return dataset.model_dump_json(indent=1) + "\n", table_text(rows)


def write(name: str, records: list[str], asked: dict[str, Any], dataset: str, table: str) -> None:
    """Write both files of one data set."""
    given = [Path(path) for path in records]
    texts = kept_or_made(
        cache_directory(snakemake.params.cache_dir) / "tables" / f"{name}.json",
        given,
        asked,
        [Path(path) for path in snakemake.params.sources],
        lambda: make(name, given, asked),
    )
    for path, text in zip((dataset, table), texts, strict=True):
        write_atomically(Path(path), text)


with one_line_errors(snakemake.log[0]):
    given = [
        (name, *of_dataset, *paths)
        for (name, of_dataset), *paths in zip(
            snakemake.params.asked.items(),
            snakemake.output.datasets,
            snakemake.output.tables,
            strict=True,
        )
    ]
    side_by_side(lambda arguments: write(*arguments), given, snakemake.threads)
