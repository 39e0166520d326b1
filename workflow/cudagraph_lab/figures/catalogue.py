"""The figures by name, each with the question that it answers, which is its title.

They are the modules of `figures.plots`: the first line of a docstring is the question, and a
dash of the name is an underscore of the module. No plotting library is loaded to read them, so
that the workflow can ask here.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

from cudagraph_lab.forms import Form


def _question(module: Path) -> str:
    said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    return (said or "").partition("\n")[0]


FIGURES: Mapping[str, str] = {
    module.stem.replace("_", "-"): _question(module)
    for module in sorted(Path(__file__).with_name("plots").glob("[!_]*.py"))
}


class Drawing(Form):
    """What is said of a figure: its question, its finding in words, and the numbers it shows.

    `numbers` holds (data set, id). It is empty where there is nothing to draw; `finding` then
    says why.
    """

    name: str
    title: str
    finding: str
    numbers: list[tuple[str, str]]
