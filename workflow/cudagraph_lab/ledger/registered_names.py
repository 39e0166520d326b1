"""Predictions by the names that contrasts had when the predictions were registered.

A registered prediction is never edited, and speaks of `ratio/bundle/b8`. A contrast's name is
the user's and may change. So a pattern is matched against the id of a number and against the
id with the contrast's name replaced by the registered name of its role.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from cudagraph_lab.config.contrast import Contrast, Role
from cudagraph_lab.ledger.quantity import NumberId

# Where the shipped predictions name a contrast otherwise than its role. They were registered
# before contrasts had roles; every other role has the name that they use.
REGISTERED_NAMES: Mapping[Role, str] = {"primary": "bundle", "a_a": "noise"}

WILD = frozenset("*?[")


def registered_name(role: Role) -> str | None:
    """The name that predictions give the contrast of a role; None for a contrast without one."""
    return None if role == "other" else REGISTERED_NAMES.get(role, role)


def predicted_as(number: NumberId, contrasts: Mapping[str, Contrast]) -> list[str]:
    """The ids under which a prediction may speak of a number.

    A contrast that bears the registered name of another one's role goes by its own role alone.
    """
    contrast = contrasts.get(number.contrast or "")
    name = registered_name(contrast.role) if contrast else None
    if name is None or name == number.contrast:
        return [str(number)]
    others = {registered_name(other.role) for other in contrasts.values()}
    own = [] if number.contrast in others else [str(number)]
    return [*own, str(number.replace(contrast=name))]


def speaks_of(pattern: str, names: Sequence[str]) -> bool:
    """Whether a prediction with this pattern is about a number that is `predicted_as` `names`."""
    if is_wild(pattern):
        return any(fnmatchcase(name, pattern) for name in names)
    return pattern in names


def is_wild(pattern: str) -> bool:
    """Whether a prediction with this pattern is about more than the one number that it names."""
    return not WILD.isdisjoint(pattern)


def named_here(number: NumberId, contrasts: Mapping[str, Contrast]) -> NumberId:
    """The id that a predicted number has in a data set whose contrasts have other names."""
    for name, contrast in contrasts.items():
        if number.contrast and registered_name(contrast.role) == number.contrast:
            return number.replace(contrast=name)
    return number
