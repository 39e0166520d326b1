"""Adapter: draw the figures, and write down what each of them says."""

from pathlib import Path
from typing import Any

from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.figures.catalogue import FIGURES, Drawing
from cudagraph_lab.figures.draw import draw_figure, to_svg
from cudagraph_lab.files import write_atomically, write_json
from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.ledger.store import read_ledger
from cudagraph_lab.side_by_side import side_by_side

snakemake: Any  # given by Snakemake

with one_line_errors(snakemake.log[0]):
    index = make_index(read_ledger(Path(snakemake.input.ledger)))
    paths = {Path(path).stem: Path(path) for path in snakemake.output.svgs}

    def draw(name: str) -> Drawing:
        """Write one figure."""
        drawing, figure = draw_figure(index, name)
        write_atomically(paths[name], to_svg(figure))
        return drawing

    drawings = side_by_side(draw, list(FIGURES), snakemake.threads)
    write_json(Path(snakemake.output.drawings), [one.model_dump(mode="json") for one in drawings])
