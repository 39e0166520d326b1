"""Adapter: write the report, as a page and in Markdown, and its short answer."""

from pathlib import Path
from typing import Any

from cudagraph_lab import REPOSITORY
from cudagraph_lab.errors import one_line_errors
from cudagraph_lab.files import write_atomically
from cudagraph_lab.ledger.store import read_ledger
from cudagraph_lab.report.page import (
    make_view,
    read_drawings,
    render_html,
    render_markdown,
    render_text,
)

snakemake: Any  # given by Snakemake

with one_line_errors(snakemake.log[0]):
    ledger = read_ledger(Path(snakemake.input.ledger))
    drawings = read_drawings(Path(snakemake.input.drawings))
    svgs = {Path(path).stem: Path(path).read_text("utf-8") for path in snakemake.input.svgs}
    view = make_view(ledger, drawings)
    page = render_html(view, drawings, svgs, in_repository=Path.cwd() == REPOSITORY)
    write_atomically(Path(snakemake.output.html), page)
    write_atomically(Path(snakemake.output.markdown), render_markdown(view))
    write_atomically(Path(snakemake.output.text), render_text(view))
