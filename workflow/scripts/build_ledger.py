"""Adapter: judge every number of every data set."""

from pathlib import Path
from typing import Any

from cudagraph_lab.design.predictions import read_predictions, registered_hashes
from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.files import write_atomically
from cudagraph_lab.ledger.build import build_ledger, in_order
from cudagraph_lab.ledger.extrapolations import outlook_numbers
from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.ledger.settings import Settings
from cudagraph_lab.ledger.size_claims import size_claims
from cudagraph_lab.ledger.size_curves import curve_numbers
from cudagraph_lab.ledger.store import ledger_table
from cudagraph_lab.ledger.unmeasured_forecasts import waiting_numbers
from cudagraph_lab.models.ladder import read_histogram
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.observations.table import read_table

snakemake: Any  # given by Snakemake

with one_line_errors(snakemake.log[0]):
    given = snakemake.input.batch_mix
    mix = (
        read_histogram(Path(given))
        if given
        else dict.fromkeys(range(1, snakemake.params.largest_batch + 1), 1)
    )
    datasets = [
        (Dataset.model_validate_json(Path(dataset).read_text("utf-8")), read_table(Path(table)))
        for dataset, table in zip(snakemake.input.datasets, snakemake.input.tables, strict=True)
    ]
    settings = Settings(**snakemake.params.settings, batch_mix=mix)
    ordered = in_order(datasets, settings.headline, snakemake.params.measured_here)
    registers = dict(
        zip(snakemake.params.registered, map(Path, snakemake.input.registers), strict=True)
    )
    predictions = read_predictions([Path(path) for path in snakemake.input.predictions])
    ledger = build_ledger(
        datasets,
        predictions,
        {
            dataset.name: registered_hashes(registers[dataset.name], dataset.first_measured_at)
            for dataset, _ in datasets
            if dataset.name in registers
        },
        settings,
        snakemake.params.measured_here,
        [
            *outlook_numbers(snakemake.params.questions),
            *curve_numbers(ordered),
            *waiting_numbers(predictions, [dataset.name for dataset, _ in datasets]),
        ],
        snakemake.params.absent,
        snakemake.threads,
    )
    claims = size_claims(make_index(ledger))
    ledger = ledger.model_copy(update={"numbers": [*ledger.numbers, *claims]})
    write_atomically(Path(snakemake.output.json), ledger.model_dump_json(indent=1) + "\n")
    write_atomically(Path(snakemake.output.csv), ledger_table(ledger).to_csv(index=False))
