"""The catalogue of quantities: each is declared here once, and ids are made and read only here.

    RATIO(contrast="bundle", batch=8)      an id; str() gives ratio/bundle/b8
    parse("ratio/bundle/b8").batch         8

An id is a `NumberId`; text only where it is written (`WrittenId`) or matched against a prediction.
"""

from functools import cache
from typing import Annotated, Any, get_args

from pydantic import PlainSerializer, PlainValidator

from cudagraph_lab.config.contrast import Role
from cudagraph_lab.ledger.quantity import NumberId, Quantity

# What no section, prediction or table asks of other contrasts is not computed for them.
OF_PRIMARY: frozenset[Role] = frozenset({"primary"})
OF_CHECKS: frozenset[Role] = frozenset({"a_a", "co_resident", "observer", "piecewise"})
OF_SPECULATION: frozenset[Role] = frozenset({"speculation"})
OF_UPGRADE: frozenset[Role] = frozenset({"upgrade"})
OF_GAINS: frozenset[Role] = frozenset(get_args(Role)) - OF_CHECKS - OF_SPECULATION - OF_UPGRADE

# What computes several quantities, from the top of the package.
MEAN = ("observations.table.observe", "statistics.locations.estimate_mean")
PROFILE = ("engine.profile_trace.summarise_decode_steps",)
CAPTURE_FIT = ("models.costs.fit_capture_cost",)
BACK_TESTED = ("models.anchors.backtest", "statistics.scores.score")
SAVING = ("ledger.quantities.savings.read_savings", "statistics.contrasts.draw_together")
START = ("ledger.quantities.starts.read_start_costs", "statistics.contrasts.draw_together")
PAID_BACK = ("models.costs.break_even", "statistics.quotients.quotient_of_draws")
UPGRADE = (
    "ledger.quantities.upgrades.upgrade_results",
    "statistics.shapes.ratio_samples",
    "statistics.contrasts.estimate_sample",
)
COUNT = ("observations.table.observe",)
LAUNCH_MODEL = ("models.launch.predict", "models.launch.predict_eager_step_s")
LADDERS = ("models.ladder.compare_ladders", "models.ladder.ladder_cost")

THROUGHPUT = Quantity(
    "throughput/{arm}/b{batch}",
    "tok/s",
    "throughput",
    MEAN,
    better="higher",
    mean_of="throughput",
)
FIRST_TOKEN = Quantity(
    "first_token/{arm}/b{batch}", "s", "first token", MEAN, better="lower", mean_of="first_token_s"
)
STEP = Quantity(
    "step/{arm}/b{batch}",
    "s",
    "decode step",
    ("ledger.cells.step_cell", "statistics.locations.estimate_mean"),
    better="lower",
)
SPREAD_BETWEEN = Quantity(
    "spread/between/{arm}/b{batch}",
    "relative",
    "spread between processes",
    ("statistics.spread.variance_components",),
    better="lower",
)
SPREAD_NODES = Quantity(
    "spread/nodes/{arm}/b{batch}",
    "relative",
    "spread between nodes",
    ("ledger.quantities.arms.node_spread", "statistics.spread.variance_components"),
    better="lower",
)
ENERGY = Quantity(
    "energy/{arm}/b{batch}",
    "J/token",
    "energy of a token",
    MEAN,
    better="lower",
    mean_of="energy_j_per_token",
)
TIMED_SHARE = Quantity(
    "measurement/timed_share",
    "share",
    "time of the measurement inside timed calls",
    ("observations.table.observe", "ledger.quantities.measurement.timed_share"),
    better="higher",
)
REPLAYED_SHARE = Quantity(
    "replay/full_share/{arm}/b{batch}",
    "share",
    "steps that replayed a full graph",
    ("observations.steps.decode_steps", "observations.steps.share_in_mode"),
    better="higher",
    count_of="full_share",
)
PADDED_TOKENS = Quantity(
    "replay/padded_tokens/{arm}/b{batch}",
    "tokens",
    "tokens a step was padded to",
    ("observations.steps.decode_steps",),
    better="lower",
    count_of="padded_tokens",
)
DRAFT_REPLAYED_SHARE = Quantity(
    "replay/draft_share/{arm}/b{batch}",
    "share",
    "passes of the draft that replayed a graph",
    ("observations.drafts.replayed_share",),
    better="higher",
    count_of="draft_replayed_share",
)
ACCEPTED_SHARE = Quantity(
    "speculation/accepted/{arm}/b{batch}",
    "share",
    "share of the drafted tokens that were accepted",
    ("observations.drafts.accepted_share",),
    better="higher",
    count_of="accepted_share",
)
TOKENS_PER_STEP = Quantity(
    "speculation/tokens_per_step/{arm}/b{batch}",
    "tokens",
    "tokens that a step yielded to a request",
    ("observations.drafts.tokens_per_step",),
    better="higher",
    count_of="tokens_per_step",
)
# A step with speculation takes this many times what one without it takes: so many tokens it must
# yield to a request on average to be worth it.
TOKENS_TO_PAY = Quantity(
    "speculation/tokens_to_pay/{arm}/b{batch}",
    "tokens",
    "speculative step over plain step: tokens a step must yield to pay",
    ("statistics.shapes.ratio_samples", "statistics.contrasts.estimate_sample"),
    better="lower",
)
CAN_PAY = Quantity(
    "speculation/can_pay/{arm}/b{batch}",
    "holds",
    "speculation pays where every draft is accepted",
    ("ledger.quantities.speculation.speculation_results",),
    better="higher",
)
NEEDED_IN_EAGER = Quantity(
    "speculation/eager_over_graphs/{arm}/b{batch}",
    "x",
    "tokens to pay in eager over those with graphs",
    ("statistics.contrasts.sample_of", "statistics.contrasts.estimate_sample"),
)
GRAPHS_NEED_LESS = Quantity(
    "speculation/graphs_need_less/{arm}/b{batch}",
    "holds",
    "speculation needs fewer tokens to pay with graphs than in eager",
    ("ledger.quantities.speculation.speculation_results",),
    better="higher",
)
RATIO = Quantity(
    "ratio/{contrast}/b{batch}",
    "x",
    "speed-up",
    ("statistics.shapes.ratio_samples", "statistics.contrasts.estimate_sample"),
    better="higher",
)
STEP_RATIO = Quantity(
    "step_ratio/{contrast}/b{batch}",
    "x",
    "speed-up of a decode step",
    ("statistics.contrasts.estimate_sample",),
    better="higher",
    roles=OF_PRIMARY,
)
FADE = Quantity(
    "shape/fade/{contrast}",
    "holds",
    "fade",
    ("statistics.shapes.judge_fade_within",),
    roles=OF_PRIMARY,
)
NO_INVERSION = Quantity(
    "shape/no_inversion/{contrast}",
    "holds",
    "no inversion",
    ("statistics.shapes.judge_no_inversion_within",),
    better="higher",
    roles=OF_GAINS,
)
POSITION_OF_B8 = Quantity(
    "shape/position_of_b8/{contrast}",
    "share",
    "place of batch 8 between the gains at batch 64 (0%) and batch 1 (100%)",
    ("ledger.draws.draw_cells", "statistics.quotients.quotient_of_draws"),
    roles=OF_PRIMARY,
)
FADE_TO = Quantity(
    "fade/{contrast}/b{batch}/to_b{to}",
    "x",
    "speed-up over that at a larger batch",
    ("statistics.shapes.pair_samples", "statistics.contrasts.estimate_sample"),
    roles=OF_PRIMARY,
)
DIFFERENCE = Quantity(
    "difference/{contrast}/{dataset}/b{batch}",
    "x",
    "speed-up over that of another data set",
    ("ledger.quantities.comparison.comparison_results", "statistics.contrasts.estimate_quotient"),
)
CO_RESIDENT = Quantity(
    "ratio/co_resident/{arm}/b{batch}",
    "x",
    "speed in turn over alone",
    (
        "ledger.quantities.co_residence.co_residence_results",
        "statistics.contrasts.estimate_sample",
    ),
)
INTERACTION = Quantity(
    "attribution/interaction/b{batch}",
    "x",
    "interaction of compilation and graphs",
    ("statistics.contrasts.sample_of", "statistics.contrasts.estimate_sample"),
)
SHARE = Quantity(
    "attribution/{contrast}_share/b{batch}",
    "share",
    "share of the speed-up",
    ("ledger.draws.draw_cells", "statistics.quotients.quotient_of_draws"),
)
PASSES = Quantity("capture/passes", "passes", "capture passes", COUNT)
PASSES_OF_ARM = Quantity("capture/passes/{arm}", "passes", "capture passes", COUNT)
SHAPES_PIECEWISE = Quantity(
    "capture/shapes/piecewise", "shapes", "shapes captured piecewise", COUNT
)
SHAPES_FULL = Quantity("capture/shapes/full", "shapes", "shapes captured in full", COUNT)
CAPTURE_S = Quantity("capture/seconds", "s", "capture", MEAN, better="lower")
CAPTURE_GIB = Quantity("capture/gib", "GiB", "memory of the graphs", MEAN, better="lower")
CAPTURE_S_PER_GRAPH = Quantity(
    "capture/seconds_per_graph", "s", "capture of one more graph", CAPTURE_FIT, better="lower"
)
CAPTURE_MIB_PER_GRAPH = Quantity(
    "capture/mib_per_graph", "MiB", "memory of one more graph", CAPTURE_FIT, better="lower"
)
CAPTURE_S_FIXED = Quantity(
    "capture/seconds_fixed", "s", "capture, beside its graphs", CAPTURE_FIT, better="lower"
)
CAPTURE_MIB_FIXED = Quantity(
    "capture/mib_fixed", "MiB", "memory beside the graphs", CAPTURE_FIT, better="lower"
)
GRAPHS_OF_ARM = Quantity("capture/graphs/{arm}", "graphs", "graphs captured", COUNT)
STARTUP = Quantity("startup/{phase}/{arm}", "s", "start-up", MEAN, better="lower")
KV_TOKENS = Quantity("kv/tokens/{arm}", "tokens", "KV cache", COUNT, better="higher")
KV_TOKENS_LOST = Quantity(
    "kv/tokens_lost",
    "tokens",
    "KV cache lost to graphs",
    ("models.costs.kv_tokens_lost",),
    better="lower",
)
KV_REQUESTS_LOST = Quantity(
    "kv/requests_lost",
    "requests",
    "KV cache lost to graphs",
    ("models.costs.kv_tokens_lost",),
    better="lower",
)
COMPILE_COLD_S = Quantity(
    "compile_cache/cold_s", "s", "compilation with an empty cache", MEAN, better="lower"
)
COMPILE_WARM_S = Quantity(
    "compile_cache/warm_s", "s", "compilation with a warm cache", MEAN, better="lower"
)
COMPILE_SAVED_S = Quantity(
    "compile_cache/saved_s",
    "s",
    "compilation saved by the cache",
    ("ledger.quantities.startup.compile_cache_results",),
    better="higher",
)
KERNELS = Quantity(
    "profile/kernels_per_step/{arm}/b{batch}", "kernels", "kernels a step", PROFILE, better="lower"
)
LAUNCHES = Quantity(
    "profile/launches_per_step/{arm}/b{batch}",
    "launches",
    "launches a step",
    PROFILE,
    better="lower",
)
GRAPH_LAUNCHES = Quantity(
    "profile/graph_launches_per_step/{arm}/b{batch}", "launches", "replays a step", PROFILE
)
BUSY_S = Quantity(
    "profile/device_busy_s_per_step/{arm}/b{batch}", "s", "GPU work a step", PROFILE, better="lower"
)
DRAFT_BUSY_S = Quantity(
    "profile/draft_busy_s_per_step/{arm}/b{batch}",
    "s",
    "GPU work of the draft's passes a step",
    PROFILE,
    better="lower",
)
US_PER_LAUNCH = Quantity(
    "launches/us_per_launch/b1",
    "us",
    "cost of a launch",
    ("engine.profile_trace.summarise_decode_steps", "ledger.quantities.savings.launch_cost"),
    better="lower",
)
LAUNCH_SPEED_UP = Quantity(
    "launches/asymptotic_speed_up",
    "x",
    "most that fewer launches can gain",
    ("engine.profile_trace.summarise_decode_steps", "ledger.quantities.profile.profile_results"),
    better="higher",
)
LAUNCH_BREAK_EVEN = Quantity(
    "launches/break_even_call",
    "calls",
    "call at which capture pays, in launches",
    ("models.costs.launch_break_even_call",),
    better="lower",
)
MODEL_RATIO = Quantity(
    "model/{model}/ratio/b{batch}", "x", "speed-up by a launch model", LAUNCH_MODEL, better="higher"
)
MODEL_ERROR = Quantity(
    "model/{model}/error/b{batch}", "relative", "error of a launch model", LAUNCH_MODEL
)
SAVED_MS = Quantity("saved_ms_per_step/b{batch}", "ms", "saved a step", SAVING, better="higher")
# `start` is what a start finds in its compile cache: `warm` or `cold`.
START_COST = Quantity(
    "start_cost/{start}", "s", "what graphs cost at a start", START, better="lower"
)
CAPTURE_SHARE = Quantity(
    "start_cost/{start}/capture_share", "share", "share of the capture in that cost", START
)
BREAK_EVEN_STEPS = Quantity(
    "break_even/steps/{start}/b{batch}", "steps", "break-even", PAID_BACK, better="lower"
)
BREAK_EVEN_S = Quantity(
    "break_even/seconds/{start}/b{batch}", "s", "break-even", PAID_BACK, better="lower"
)
DEPLOY_TAX = Quantity(
    "deploy/tax_min_per_day/{start}",
    "min/day",
    "serving time lost to restarts",
    ("models.costs.deploy_tax_min_per_day", *START),
    better="lower",
)
CAPTURE_TAX = Quantity(
    "deploy/tax_min_per_day",
    "min/day",
    "serving time lost to captures at restarts",
    ("models.costs.deploy_tax_min_per_day",),
    better="lower",
)
OUTPUTS_DIFFERING = Quantity(
    "outputs/differing/b{batch}",
    "arms",
    "arms with other outputs",
    ("observations.outputs.compare_outputs",),
    better="lower",
)
# Of two versions of vLLM, the newer over the older, where both were measured in one data set.
UPGRADE_FIRST_TOKEN = Quantity(
    "upgrade/first_token/{contrast}/b{batch}",
    "x",
    "first token over that of the older version",
    UPGRADE,
    better="lower",
    roles=OF_UPGRADE,
)
UPGRADE_STARTUP = Quantity(
    "upgrade/startup/{phase}/{contrast}",
    "x",
    "start-up over that of the older version",
    UPGRADE,
    better="lower",
    roles=OF_UPGRADE,
)
UPGRADE_CAPTURE_GIB = Quantity(
    "upgrade/capture_gib/{contrast}",
    "x",
    "memory of the graphs over that of the older version",
    UPGRADE,
    better="lower",
    roles=OF_UPGRADE,
)
UPGRADE_KV_TOKENS = Quantity(
    "upgrade/kv_tokens/{contrast}",
    "x",
    "KV cache over that of the older version",
    UPGRADE,
    better="higher",
    roles=OF_UPGRADE,
)
LADDER_GRAPHS = Quantity("ladder/{ladder}/graphs", "graphs", "graphs captured", LADDERS)
LADDER_PADDED = Quantity(
    "ladder/{ladder}/padded_share", "share", "padding among the tokens", LADDERS, better="lower"
)
LADDER_MISSED = Quantity(
    "ladder/{ladder}/missed_share", "share", "steps without a graph", LADDERS, better="lower"
)
LADDER_STEP_S = Quantity(
    "ladder/{ladder}/mean_step_s",
    "s",
    "mean step of the batch mix",
    ("models.costs.mix_step_s",),
    better="lower",
)
LADDER_SAVED_S = Quantity(
    "ladder/best/saved_s", "s", "saved at every start", CAPTURE_FIT, better="higher"
)
EXTRAPOLATION = Quantity(
    "extrapolation/{device}/{model}/tp{tp}/{dtype}/b{batch}",
    "x",
    "extrapolated speed-up",
    ("models.forecast.answer", "ledger.outlook.extrapolate"),
    better="higher",
)
FORECAST = ("models.forecast.answer", "ledger.size_curves.curve_numbers")
CURVE = Quantity(
    "curve/{host}/{device}/{model}/tp{tp}/b{batch}", "x", "speed-up by model size", FORECAST,
    better="higher",
)  # fmt: skip
CURVE_HOST_S = Quantity(
    "curve_host_s/{arm}/{host}/{device}/{model}/tp{tp}/b{batch}", "s", "host work of a step",
    FORECAST, better="lower",
)  # fmt: skip
CURVE_GPU_S = Quantity(
    "curve_gpu_s/{arm}/{host}/{device}/{model}/tp{tp}/b{batch}", "s", "GPU work of a step",
    FORECAST, better="lower",
)  # fmt: skip
CURVE_CROSSING = Quantity(
    "curve_crossing/{host}/{device}/tp{tp}/b{batch}", "B",
    "parameters from which eager loses less than a tenth", FORECAST,
)  # fmt: skip
CURVE_LAUNCH = Quantity(
    "curve_launch_us/{host}", "us", "cost of a launch that a curve rests on", FORECAST,
    better="lower",
)  # fmt: skip
WAITING = Quantity(
    "waiting/{dataset}/b{batch}", "x", "speed-up of a step, forecast and not measured yet",
    FORECAST, better="higher",
)  # fmt: skip
BACKTEST_HITS = Quantity(
    "backtest/hits", "pairs", "published pairs inside their bounds", BACK_TESTED, better="higher"
)
BACKTEST_TESTED = Quantity("backtest/tested", "pairs", "published pairs tested", BACK_TESTED)
BACKTEST_INFEASIBLE = Quantity(
    "backtest/infeasible", "pairs", "published pairs faster than the roofline", BACK_TESTED
)
BACKTEST_HIT_RATE = Quantity(
    "backtest/hit_rate",
    "share",
    "share of published pairs inside their bounds",
    BACK_TESTED,
    better="higher",
)
BACKTEST_WIDTH = Quantity(
    "backtest/median_width", "x", "median width of the bounds", BACK_TESTED, better="lower"
)
BACKTEST_WIS = Quantity(
    "backtest/interval_score", "log", "weighted interval score", BACK_TESTED, better="lower"
)
BACKTEST_ERROR = Quantity(
    "backtest/median_error", "relative", "median error", BACK_TESTED, better="lower"
)
BACKTEST = Quantity("backtest/{pair}", "x", "published speed-up", BACK_TESTED, better="higher")

SCORED = ("ledger.scores.score_results", "statistics.scores.score")
SCORE_WIS = Quantity(
    "score/{family}/interval_score", "log", "weighted interval score", SCORED, better="lower"
)
SCORE_ERROR = Quantity(
    "score/{family}/median_error", "relative", "median error", SCORED, better="lower"
)
SCORE_50 = Quantity("score/{family}/within_50", "share", "inside the bounds of 50%", SCORED)
SCORE_90 = Quantity("score/{family}/within_90", "share", "inside the bounds of 90%", SCORED)
SKILL = Quantity(
    "score/{family}/skill/{baseline}",
    "share",
    "error less than that of a baseline",
    SCORED,
    better="higher",
)

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


def _read(value: Any) -> NumberId:
    return value if isinstance(value, NumberId) else parse(value)


# An id that pydantic reads from text and writes as text.
WrittenId = Annotated[NumberId, PlainValidator(_read), PlainSerializer(str, return_type=str)]
