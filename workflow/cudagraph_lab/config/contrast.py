"""A contrast: the ratio of two arms, and the role that it plays in the report."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from cudagraph_lab.forms import ExactForm

# What a contrast is for. The report goes by the role and never by the name, which is the user's.
Role = Literal[
    "primary",  # graphs and compilation together, against neither: what enforce_eager switches
    "graph",  # graphs alone, both arms compiled
    "compile",  # compilation alone, neither arm with graphs
    "a_a",  # an arm against itself: the noise floor
    "co_resident",  # an arm that takes turns, against the same arm alone
    "observer",  # without the per-step statistics, against with them
    "piecewise",  # piecewise graphs against the default
    "graph_compiled",  # the 2x2 factorial, custom operators pinned
    "graph_uncompiled",
    "compile_graphed",
    "compile_ungraphed",
    "speculation",  # the same arm with speculative decoding, against without
    "upgrade",  # the same arm under two versions of vLLM
    "other",
]


class Contrast(ExactForm):
    """The throughput of one timed arm over that of another."""

    numerator: str = Field(description="the arm that is expected to be faster")
    denominator: str = Field(description="the arm it is compared with")
    role: Role = Field(
        "other",
        description="what the report takes it for: `primary`, `graph`, `compile`, `a_a` (an arm "
        "against itself), `co_resident` (an arm in turn against the same arm alone), `observer`, "
        "`piecewise`, `graph_compiled`, `graph_uncompiled`, `compile_graphed`, "
        "`compile_ungraphed`, `speculation` (an arm with speculative decoding against the same "
        "without), `upgrade` or `other`",
    )
    note: str = Field("", description="what a reader should know")


def headline_of(contrasts: Mapping[str, Contrast], chosen: str | None = None) -> str | None:
    """The contrast to lead with: the chosen one, else the first of role primary, else None."""
    if chosen in contrasts:
        return chosen
    return next((name for name, c in contrasts.items() if c.role == "primary"), None)
