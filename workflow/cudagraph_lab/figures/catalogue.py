"""The figures, declared once: each by the question that it answers, which is its title.

`cudagraph_lab.figures.<name>` draws it, with an underscore for a dash. This module loads no
plotting library, so the workflow reads the names from here.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

FIGURES: Mapping[str, str] = {
    "speed-up": "Where do graphs stop mattering?",
    "sizes": "Do larger models gain less?",
    "step": "Where does the time of a decode step go?",
    "split": "Is it the graphs or the compiler?",
    "start-up": "What do graphs cost at start-up?",
    "resolution": "How small an effect could be seen?",
}


class Drawing(BaseModel):
    """What is said of a figure: its question, its finding in words, and the numbers it shows.

    `numbers` holds (data set, id). It is empty where there is nothing to draw; `finding` then
    says why.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    finding: str
    numbers: list[tuple[str, str]]
