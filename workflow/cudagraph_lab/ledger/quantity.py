"""What a quantity and the id of a number are; the quantities themselves are in `catalogue`."""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from cudagraph_lab.config.contrast import Role
from cudagraph_lab.observations.dataset import Series

KEYS = frozenset(
    {"arm", "baseline", "batch", "contrast", "dataset", "device", "dtype", "family", "host",
     "ladder", "model", "pair", "phase", "start", "to", "tp"}
)  # fmt: skip
WHOLE = ("batch", "to", "tp")  # keys whose values are whole numbers


@dataclass(frozen=True)
class NumberId:
    """The id of a number: its quantity and the keys that tell it from others of its kind."""

    quantity: "Quantity"
    keys: tuple[tuple[str, str | int], ...]

    def __str__(self) -> str:
        """The id as it is written."""
        return self.quantity.template.format(**dict(self.keys))

    def __getattr__(self, key: str) -> Any:
        """The value of a key; None where this quantity has no such key."""
        if key in KEYS:
            return dict(self.keys).get(key)
        raise AttributeError(key)

    def replace(self, **keys: str | int) -> "NumberId":
        """The id of the same quantity with other values of these keys."""
        return self.quantity(**{**dict(self.keys), **keys})


@dataclass(frozen=True)
class Quantity:
    """A kind of number. `template` names its keys; batch and tp are whole numbers."""

    template: str
    unit: str
    label: str  # in words, singular, without its keys
    computed_by: tuple[str, ...]  # functions; names, since to import them all takes long
    better: Literal["higher", "lower"] | None = None
    roles: frozenset[Role] | None = None  # contrasts that it is computed for; None for all
    # Series of data sets that are asked for it; a data set of no series is asked for everything.
    series: tuple[Series, ...] = ()
    # A column of the observations' timed rows of an arm and batch size, of which the number is the
    # mean with its interval, or a count or share that should not vary.
    mean_of: str | None = None
    count_of: str | None = None

    def __call__(self, **keys: str | int) -> NumberId:
        """The id with these keys. Raises TypeError where a key is missing or not one of its."""
        if keys.keys() != set(self.key_names):
            raise TypeError(f"{self.template} takes {', '.join(self.key_names)}, not {keys}")
        return NumberId(self, tuple((name, keys[name]) for name in self.key_names))

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """The keys of its ids, in their order."""
        return tuple(re.findall(r"\{(\w+)\}", self.template))

    def is_for(self, role: Role) -> bool:
        """Whether it is computed for contrasts of this role."""
        return self.roles is None or role in self.roles

    def read(self, text: str) -> NumberId | None:
        """The id that this text is, if it is one of this quantity."""
        found = _pattern(self.template).fullmatch(text)
        if found is None:
            return None
        keys = found.groupdict()
        return self(**{k: int(v) if k in WHOLE else v for k, v in keys.items()})


@cache
def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    return re.compile(
        re.sub(
            r"\{(\w+)\}",
            lambda key: rf"(?P<{key[1]}>{r'[0-9]+' if key[1] in WHOLE else '[^/]+'})",
            escaped,
        )
    )
