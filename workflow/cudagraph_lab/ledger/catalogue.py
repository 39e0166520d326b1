"""The catalogue of quantities: each is declared here once, and ids are made and read only here.

    RATIO(contrast="bundle", batch=8)      an id; str() gives ratio/bundle/b8
    parse("ratio/bundle/b8").batch         8

An id is a `NumberId`; text only where it is written or matched against a prediction.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

KEYS = frozenset(
    {
        "arm",
        "contrast",
        "batch",
        "phase",
        "dataset",
        "ladder",
        "model",
        "device",
        "tp",
        "dtype",
        "pair",
    }
)


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

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read an id from text and write it as text."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else parse(value),
            serialization=core_schema.to_string_ser_schema(),
        )


@dataclass(frozen=True)
class Quantity:
    """A kind of number. `template` names its keys; batch and tp are whole numbers."""

    template: str
    unit: str
    label: str  # in words, singular, without its keys

    def __call__(self, **keys: str | int) -> NumberId:
        """The id with these keys. Raises TypeError where a key is missing or not one of its."""
        if keys.keys() != set(self.key_names):
            raise TypeError(f"{self.template} takes {', '.join(self.key_names)}, not {keys}")
        return NumberId(self, tuple((name, keys[name]) for name in self.key_names))

    @property
    def key_names(self) -> tuple[str, ...]:
        """The keys of its ids, in their order."""
        return tuple(re.findall(r"\{(\w+)\}", self.template))

    def read(self, text: str) -> NumberId | None:
        """The id that this text is, if it is one of this quantity."""
        found = _pattern(self.template).fullmatch(text)
        if found is None:
            return None
        keys = found.groupdict()
        return self(**{k: int(v) if k in ("batch", "tp") else v for k, v in keys.items()})


@cache
def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    return re.compile(
        re.sub(
            r"\{(\w+)\}",
            lambda key: rf"(?P<{key[1]}>{r'[0-9]+' if key[1] in ('batch', 'tp') else '[^/]+'})",
            escaped,
        )
    )


THROUGHPUT = Quantity("throughput/{arm}/b{batch}", "tok/s", "throughput")
FIRST_TOKEN = Quantity("first_token/{arm}/b{batch}", "s", "first token")
STEP = Quantity("step/{arm}/b{batch}", "s", "decode step")
FIRST_CALL = Quantity("first_call/{arm}/b{batch}", "tok/s", "first call")
SPREAD_BETWEEN = Quantity("spread/between/{arm}/b{batch}", "relative", "spread between processes")
SPREAD_WITHIN = Quantity("spread/within/{arm}/b{batch}", "relative", "spread within a process")
SPREAD_NODES = Quantity("spread/nodes/{arm}/b{batch}", "relative", "spread between nodes")
REPLAYED_SHARE = Quantity(
    "replay/full_share/{arm}/b{batch}", "share", "steps that replayed a full graph"
)
PADDED_TOKENS = Quantity(
    "replay/padded_tokens/{arm}/b{batch}", "tokens", "tokens a step was padded to"
)
RATIO = Quantity("ratio/{contrast}/b{batch}", "x", "speed-up")
REPEATS_TO_HALVE = Quantity(
    "repeats_to_halve/{contrast}/b{batch}", "repeats", "repeats to halve the interval"
)
FADE = Quantity("shape/fade/{contrast}", "holds", "fade")
NO_INVERSION = Quantity("shape/no_inversion/{contrast}", "holds", "no inversion")
POSITION_OF_B8 = Quantity("shape/position_of_b8/{contrast}", "share", "position of batch 8")
DIFFERENCE = Quantity(
    "difference/{contrast}/{dataset}/b{batch}", "x", "speed-up over that of another data set"
)
INTERACTION = Quantity(
    "attribution/interaction/b{batch}", "x", "interaction of compilation and graphs"
)
SHARE = Quantity("attribution/{contrast}_share/b{batch}", "share", "share of the speed-up")
PASSES = Quantity("capture/passes", "passes", "capture passes")
PASSES_OF_ARM = Quantity("capture/passes/{arm}", "passes", "capture passes")
SHAPES_PIECEWISE = Quantity("capture/shapes/piecewise", "shapes", "shapes captured piecewise")
SHAPES_FULL = Quantity("capture/shapes/full", "shapes", "shapes captured in full")
CAPTURE_S = Quantity("capture/seconds", "s", "capture")
CAPTURE_GIB = Quantity("capture/gib", "GiB", "memory of the graphs")
CAPTURE_S_PER_GRAPH = Quantity("capture/seconds_per_graph", "s", "capture of one more graph")
CAPTURE_MIB_PER_GRAPH = Quantity("capture/mib_per_graph", "MiB", "memory of one more graph")
CAPTURE_S_FIXED = Quantity("capture/seconds_fixed", "s", "capture, beside its graphs")
CAPTURE_MIB_FIXED = Quantity("capture/mib_fixed", "MiB", "memory beside the graphs")
STARTUP = Quantity("startup/{phase}/{arm}", "s", "start-up")
KV_TOKENS = Quantity("kv/tokens/{arm}", "tokens", "KV cache")
KV_TOKENS_LOST = Quantity("kv/tokens_lost", "tokens", "KV cache lost to graphs")
KV_REQUESTS_LOST = Quantity("kv/requests_lost", "requests", "KV cache lost to graphs")
COMPILE_COLD_S = Quantity("compile_cache/cold_s", "s", "compilation with an empty cache")
COMPILE_WARM_S = Quantity("compile_cache/warm_s", "s", "compilation with a warm cache")
COMPILE_SAVED_S = Quantity("compile_cache/saved_s", "s", "compilation saved by the cache")
KERNELS = Quantity("profile/kernels_per_step/{arm}/b{batch}", "kernels", "kernels a step")
LAUNCHES = Quantity("profile/launches_per_step/{arm}/b{batch}", "launches", "launches a step")
GRAPH_LAUNCHES = Quantity(
    "profile/graph_launches_per_step/{arm}/b{batch}", "launches", "replays a step"
)
BUSY_S = Quantity("profile/device_busy_s_per_step/{arm}/b{batch}", "s", "GPU work a step")
OPERATORS = Quantity("profile/operators_per_step/{arm}/b{batch}", "operators", "operators a step")
US_PER_LAUNCH = Quantity("launches/us_per_launch/b1", "us", "cost of a launch")
LAUNCH_SPEED_UP = Quantity("launches/asymptotic_speed_up", "x", "most that fewer launches can gain")
LAUNCH_BREAK_EVEN = Quantity(
    "launches/break_even_call", "calls", "call at which capture pays, in launches"
)
MODEL_RATIO = Quantity("model/{model}/ratio/b{batch}", "x", "speed-up by a launch model")
MODEL_ERROR = Quantity("model/{model}/error/b{batch}", "relative", "error of a launch model")
SAVED_MS = Quantity("saved_ms_per_step/b{batch}", "ms", "saved a step")
BREAK_EVEN_STEPS = Quantity("break_even/steps/b{batch}", "steps", "break-even")
BREAK_EVEN_TOKENS = Quantity("break_even/tokens/b{batch}", "tokens", "break-even")
BREAK_EVEN_S = Quantity("break_even/seconds/b{batch}", "s", "break-even")
DEPLOY_TAX = Quantity("deploy/tax_min_per_day", "min/day", "serving time lost to restarts")
OUTPUTS_DIFFERING = Quantity("outputs/differing/b{batch}", "arms", "arms with other outputs")
LADDER_GRAPHS = Quantity("ladder/{ladder}/graphs", "graphs", "graphs captured")
LADDER_PADDED = Quantity("ladder/{ladder}/padded_share", "share", "padding among the tokens")
LADDER_MISSED = Quantity("ladder/{ladder}/missed_share", "share", "steps without a graph")
LADDER_STEP_S = Quantity("ladder/{ladder}/mean_step_s", "s", "mean step of the batch mix")
LADDER_SAVED_S = Quantity("ladder/best/saved_s", "s", "saved at every start")
EXTRAPOLATION = Quantity(
    "extrapolation/{device}/{model}/tp{tp}/{dtype}/b{batch}", "x", "extrapolated speed-up"
)
BACKTEST_HITS = Quantity("backtest/hits", "pairs", "published pairs inside their bracket")
BACKTEST_TESTED = Quantity("backtest/tested", "pairs", "published pairs tested")
BACKTEST_INFEASIBLE = Quantity(
    "backtest/infeasible", "pairs", "published pairs faster than the roofline"
)
BACKTEST_HIT_RATE = Quantity(
    "backtest/hit_rate", "share", "share of published pairs inside their bracket"
)
BACKTEST_WIDTH = Quantity("backtest/median_width", "x", "median width of the brackets")
BACKTEST = Quantity("backtest/{pair}", "x", "published speed-up")

# In the order in which an id is read: what has no key comes before what has.
QUANTITIES: tuple[Quantity, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Quantity)
)


@cache
def parse(text: str) -> NumberId:
    """The id that a text is. Raises ValueError where no quantity of the catalogue has such ids."""
    for quantity in QUANTITIES:
        if (found := quantity.read(text)) is not None:
            return found
    raise ValueError(f"no quantity of the catalogue has an id like {text!r}")
