"""Adapter: draw the figures, and write down what each of them says."""

from pathlib import Path
from typing import Any

from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.figures.draw import draw_figures, to_svg
from cudagraph_lab.files import write_atomically, write_json
from cudagraph_lab.ledger.store import read_ledger

snakemake: Any  # given by Snakemake

with one_line_errors(snakemake.log[0]):
    drawn = draw_figures(read_ledger(Path(snakemake.input.ledger)))
    paths = {Path(path).stem: Path(path) for path in snakemake.output.svgs}
    for drawing, figure in drawn:
        write_atomically(paths[drawing.name], to_svg(figure))
    write_json(
        Path(snakemake.output.drawings), [drawing.model_dump(mode="json") for drawing, _ in drawn]
    )
