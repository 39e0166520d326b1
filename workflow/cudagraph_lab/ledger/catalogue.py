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
MEAN = ("observations.table.observe", "statistics.means.estimate_mean")
PROFILE = ("engine.profile_trace.summarise_decode_steps",)
CAPTURE_FIT = ("models.costs.fit_capture_cost",)
BACK_TESTED = ("models.anchors.backtest",)
SAVING = ("ledger.quantities.savings.read_savings", "statistics.contrasts.draw_together")
START = ("ledger.quantities.start_costs.read_start_costs", "statistics.contrasts.draw_together")
PAID_BACK = (
    "ledger.quantities.costs.break_even_results",
    "statistics.quotients.quotient_of_draws",
)
UPGRADE = (
    "ledger.quantities.upgrades.upgrade_results",
    "statistics.shapes.ratio_samples",
    "statistics.contrasts.estimate_sample",
)
COUNT = ("observations.table.observe",)
KV_LOST = ("ledger.quantities.startup.kv_results",)
LAUNCH_MODEL = ("models.launch.eager_over_graph", "models.launch.predict_eager_step_s")
LADDERS = ("engine.capture_sizes.vllm_capture_sizes", "models.ladder.best_ladder")
FORECAST = ("models.forecast.answer", "ledger.size_curves.curve_numbers")
SIZE_CLAIMS = ("ledger.selection.sized", "ledger.size_claims.size_claims")
SCORED = ("ledger.scores.score_results", "statistics.scores.score")

# A table: id, unit, words, what computes it, which way is better. Laid out by hand, since one
# argument a line would hide it.
# fmt: off

# Of an arm at a batch size.
THROUGHPUT = Quantity(
    "throughput/{arm}/b{batch}", "tok/s", "throughput", MEAN, "higher", mean_of="throughput")
FIRST_TOKEN = Quantity(
    "first_token/{arm}/b{batch}", "s", "first token", MEAN, "lower", mean_of="first_token_s")
STEP = Quantity(
    "step/{arm}/b{batch}", "s", "decode step",
    ("ledger.cells.step_cell", "statistics.means.estimate_mean"), "lower",
    series=("sizes", "speculation"))
SPREAD_BETWEEN = Quantity(
    "spread/between/{arm}/b{batch}", "relative", "spread between processes",
    ("statistics.spread.spread_between",), "lower")
SPREAD_NODES = Quantity(
    "spread/nodes/{arm}/b{batch}", "relative", "spread between nodes",
    ("ledger.quantities.arms.node_spread", "statistics.spread.spread_between"), "lower")
ENERGY = Quantity(
    "energy/{arm}/b{batch}", "J/token", "energy of a token", MEAN, "lower",
    mean_of="energy_j_per_token")
TIMED_SHARE = Quantity(
    "measurement/timed_share", "share", "time of the measurement inside timed calls",
    ("observations.table.observe", "ledger.quantities.timed_share.timed_share"), "higher")
REPLAYED_SHARE = Quantity(
    "replay/full_share/{arm}/b{batch}", "share", "steps that replayed a full graph",
    ("observations.steps.decode_steps", "observations.steps.share_in_mode"), "higher",
    count_of="full_share", series=("speculation",))
PADDED_TOKENS = Quantity(
    "replay/padded_tokens/{arm}/b{batch}", "tokens", "tokens a step was padded to",
    ("observations.steps.decode_steps",), "lower", count_of="padded_tokens")
DRAFT_REPLAYED_SHARE = Quantity(
    "replay/draft_share/{arm}/b{batch}", "share", "passes of the draft that replayed a graph",
    ("observations.drafts.replayed_share",), "higher", count_of="draft_replayed_share",
    series=("speculation",))
ACCEPTED_SHARE = Quantity(
    "speculation/accepted/{arm}/b{batch}", "share",
    "share of the drafted tokens that were accepted", ("observations.drafts.accepted_share",),
    "higher", count_of="accepted_share", series=("speculation",))
TOKENS_PER_STEP = Quantity(
    "speculation/tokens_per_step/{arm}/b{batch}", "tokens",
    "tokens that a step yielded to a request", ("observations.drafts.tokens_per_step",), "higher",
    count_of="tokens_per_step", series=("speculation",))

# Of speculative decoding.
# A step with speculation takes this many times what one without it takes: so many tokens it must
# yield to a request on average to be worth it.
TOKENS_TO_PAY = Quantity(
    "speculation/tokens_to_pay/{arm}/b{batch}", "tokens",
    "speculative step over plain step: tokens a step must yield to pay",
    ("statistics.shapes.ratio_samples", "statistics.contrasts.estimate_sample"), "lower",
    series=("speculation",))
CAN_PAY = Quantity(
    "speculation/can_pay/{arm}/b{batch}", "holds",
    "speculation pays where every draft is accepted",
    ("ledger.quantities.speculation.speculation_results",), "higher", series=("speculation",))
NEEDED_IN_EAGER = Quantity(
    "speculation/eager_over_graphs/{arm}/b{batch}", "x",
    "tokens to pay in eager over those with graphs",
    ("statistics.contrasts.sample_of", "statistics.contrasts.estimate_sample"),
    series=("speculation",))
GRAPHS_NEED_LESS = Quantity(
    "speculation/graphs_need_less/{arm}/b{batch}", "holds",
    "speculation needs fewer tokens to pay with graphs than in eager",
    ("ledger.quantities.speculation.speculation_results",), "higher", series=("speculation",))

# Of contrasts.
RATIO = Quantity(
    "ratio/{contrast}/b{batch}", "x", "speed-up",
    ("statistics.shapes.ratio_samples", "statistics.contrasts.estimate_sample"), "higher",
    series=("sizes", "upgrade", "company"))
STEP_RATIO = Quantity(
    "step_ratio/{contrast}/b{batch}", "x", "speed-up of a decode step",
    ("statistics.contrasts.estimate_sample",), "higher", roles=OF_PRIMARY,
    series=("sizes", "speculation"))
FADE = Quantity(
    "shape/fade/{contrast}", "holds", "fade", ("statistics.shapes.judge_fade_within",),
    roles=OF_PRIMARY)
NO_INVERSION = Quantity(
    "shape/no_inversion/{contrast}", "holds", "no inversion",
    ("statistics.shapes.judge_no_inversion_within",), "higher", roles=OF_GAINS, series=("sizes",))
POSITION_OF_B8 = Quantity(
    "shape/position_of_b8/{contrast}", "share",
    "place of batch 8 between the gains at batch 64 (0%) and batch 1 (100%)",
    ("ledger.draws.draw_cells", "statistics.quotients.quotient_of_draws"), roles=OF_PRIMARY)
FADE_TO = Quantity(
    "fade/{contrast}/b{batch}/to_b{to}", "x", "speed-up over that at a larger batch",
    ("statistics.shapes.pair_samples", "statistics.contrasts.estimate_sample"), roles=OF_PRIMARY)
DIFFERENCE = Quantity(
    "difference/{contrast}/{dataset}/b{batch}", "x", "speed-up over that of another data set",
    ("ledger.quantities.comparison.comparison_results", "statistics.contrasts.estimate_quotient"))
CO_RESIDENT = Quantity(
    "ratio/co_resident/{arm}/b{batch}", "x", "speed in turn over alone",
    ("ledger.quantities.co_residence.co_residence_results", "statistics.contrasts.estimate_sample"))
INTERACTION = Quantity(
    "attribution/interaction/b{batch}", "x", "interaction of compilation and graphs",
    ("statistics.contrasts.sample_of", "statistics.contrasts.estimate_sample"))

# Of starts: capture, phases, KV cache, compile cache.
PASSES = Quantity("capture/passes", "passes", "capture passes", COUNT)
PASSES_OF_ARM = Quantity("capture/passes/{arm}", "passes", "capture passes", COUNT)
SHAPES_PIECEWISE = Quantity(
    "capture/shapes/piecewise", "shapes", "shapes captured piecewise", COUNT)
SHAPES_FULL = Quantity("capture/shapes/full", "shapes", "shapes captured in full", COUNT)
CAPTURE_S = Quantity("capture/seconds", "s", "capture", MEAN, "lower", series=("sizes",))
CAPTURE_GIB = Quantity(
    "capture/gib", "GiB", "memory of the graphs", MEAN, "lower", series=("sizes",))
CAPTURE_S_PER_GRAPH = Quantity(
    "capture/seconds_per_graph", "s", "capture of one more graph", CAPTURE_FIT, "lower")
GRAPHS_OF_ARM = Quantity(
    "capture/graphs/{arm}", "graphs", "graphs captured", COUNT, series=("upgrade",))
STARTUP = Quantity("startup/{phase}/{arm}", "s", "start-up", MEAN, "lower", series=("sizes",))
KV_TOKENS = Quantity("kv/tokens/{arm}", "tokens", "KV cache", COUNT, "higher")
KV_TOKENS_LOST = Quantity(
    "kv/tokens_lost", "tokens", "KV cache lost to graphs", KV_LOST, "lower", series=("sizes",))
KV_REQUESTS_LOST = Quantity(
    "kv/requests_lost", "requests", "KV cache lost to graphs", KV_LOST, "lower")
COMPILE_COLD_S = Quantity(
    "compile_cache/cold_s", "s", "compilation with an empty cache", MEAN, "lower")
COMPILE_WARM_S = Quantity(
    "compile_cache/warm_s", "s", "compilation with a warm cache", MEAN, "lower")

# Of a profile.
KERNELS = Quantity(
    "profile/kernels_per_step/{arm}/b{batch}", "kernels", "kernels a step", PROFILE, "lower",
    series=("sizes",))
LAUNCHES = Quantity(
    "profile/launches_per_step/{arm}/b{batch}", "launches", "launches a step", PROFILE, "lower",
    series=("speculation",))
GRAPH_LAUNCHES = Quantity(
    "profile/graph_launches_per_step/{arm}/b{batch}", "launches", "replays a step", PROFILE,
    series=("speculation",))
BUSY_S = Quantity(
    "profile/device_busy_s_per_step/{arm}/b{batch}", "s", "GPU work a step", PROFILE, "lower",
    series=("sizes", "speculation"))
DRAFT_BUSY_S = Quantity(
    "profile/draft_busy_s_per_step/{arm}/b{batch}", "s", "GPU work of the draft's passes a step",
    PROFILE, "lower", series=("speculation",))
US_PER_LAUNCH = Quantity(
    "launches/us_per_launch/b1", "us", "cost of a launch",
    ("engine.profile_trace.summarise_decode_steps", "ledger.quantities.savings.launch_cost"),
    "lower")
LAUNCH_SPEED_UP = Quantity(
    "launches/asymptotic_speed_up", "x", "most that fewer launches can gain",
    ("engine.profile_trace.summarise_decode_steps", "ledger.quantities.profile.profile_results"),
    "higher")
LAUNCH_BREAK_EVEN = Quantity(
    "launches/break_even_call", "calls", "call at which capture pays, in launches",
    ("ledger.quantities.profile.profile_results",), "lower")

# Of the lab's launch models.
MODEL_RATIO = Quantity(
    "model/{model}/ratio/b{batch}", "x", "speed-up by a launch model", LAUNCH_MODEL, "higher")
MODEL_ERROR = Quantity(
    "model/{model}/error/b{batch}", "relative", "error of a launch model", LAUNCH_MODEL)

# Of what graphs save and cost.
SAVED_MS = Quantity("saved_ms_per_step/b{batch}", "ms", "saved a step", SAVING, "higher")
# `start` is what a start finds in its compile cache: `warm` or `cold`.
START_COST = Quantity("start_cost/{start}", "s", "what graphs cost at a start", START, "lower")
CAPTURE_SHARE = Quantity(
    "start_cost/{start}/capture_share", "share", "share of the capture in that cost", START)
BREAK_EVEN_STEPS = Quantity(
    "break_even/steps/{start}/b{batch}", "steps", "break-even", PAID_BACK, "lower")
BREAK_EVEN_S = Quantity(
    "break_even/seconds/{start}/b{batch}", "s", "break-even", PAID_BACK, "lower")
DEPLOY_TAX = Quantity(
    "deploy/tax_min_per_day/{start}", "min/day", "serving time lost to restarts",
    ("models.costs.deploy_tax_min_per_day", *START), "lower")
CAPTURE_TAX = Quantity(
    "deploy/tax_min_per_day", "min/day", "serving time lost to captures at restarts",
    ("models.costs.deploy_tax_min_per_day",), "lower")
OUTPUTS_DIFFERING = Quantity(
    "outputs/differing/b{batch}", "arms", "arms with other outputs",
    ("observations.outputs.compare_outputs",), "lower")

# Of two versions of vLLM, the newer over the older, where both were measured in one data set.
UPGRADE_FIRST_TOKEN = Quantity(
    "upgrade/first_token/{contrast}/b{batch}", "x", "first token over that of the older version",
    UPGRADE, "lower", roles=OF_UPGRADE, series=("upgrade",))
UPGRADE_STARTUP = Quantity(
    "upgrade/startup/{phase}/{contrast}", "x", "start-up over that of the older version", UPGRADE,
    "lower", roles=OF_UPGRADE, series=("upgrade",))
UPGRADE_CAPTURE_GIB = Quantity(
    "upgrade/capture_gib/{contrast}", "x", "memory of the graphs over that of the older version",
    UPGRADE, "lower", roles=OF_UPGRADE, series=("upgrade",))
UPGRADE_KV_TOKENS = Quantity(
    "upgrade/kv_tokens/{contrast}", "x", "KV cache over that of the older version", UPGRADE,
    "higher", roles=OF_UPGRADE, series=("upgrade",))

# Of capture sizes over a batch mix.
LADDER_GRAPHS = Quantity("ladder/{ladder}/graphs", "graphs", "graphs captured", LADDERS)
LADDER_SAVED_S = Quantity("ladder/best/saved_s", "s", "saved at every start", CAPTURE_FIT, "higher")

# Of no data set: forecasts, and the back-test on published pairs.
EXTRAPOLATION = Quantity(
    "extrapolation/{device}/{model}/tp{tp}/{dtype}/b{batch}", "x", "extrapolated speed-up",
    ("models.forecast.answer", "ledger.extrapolations.extrapolate"), "higher")
CURVE = Quantity(
    "curve/{host}/{device}/{model}/tp{tp}/b{batch}", "x", "speed-up by model size", FORECAST,
    "higher")
CURVE_HOST_S = Quantity(
    "curve_host_s/{arm}/{host}/{device}/{model}/tp{tp}/b{batch}", "s", "host work of a step",
    FORECAST, "lower")
CURVE_GPU_S = Quantity(
    "curve_gpu_s/{arm}/{host}/{device}/{model}/tp{tp}/b{batch}", "s", "GPU work of a step",
    FORECAST, "lower")
CURVE_CROSSING = Quantity(
    "curve_crossing/{host}/{device}/tp{tp}/b{batch}", "B",
    "parameters from which eager loses less than a tenth", FORECAST)
CURVE_LAUNCH = Quantity(
    "curve_launch_us/{host}", "us", "cost of a launch that a curve rests on", FORECAST, "lower")
WAITING = Quantity(
    "waiting/{dataset}/b{batch}", "x", "speed-up of a step, forecast and not measured yet",
    FORECAST, "higher")
FALLS_WITH_SIZE = Quantity(
    "sizes/falls_with_size/{device}", "holds", "the gain falls with the model's size", SIZE_CLAIMS)
FALLS_WITH_BATCH = Quantity(
    "sizes/falls_with_batch/{device}", "holds", "the gain falls with the batch, at every size",
    SIZE_CLAIMS)
BACKTEST_HITS = Quantity(
    "backtest/hits", "pairs", "published pairs inside their bounds", BACK_TESTED, "higher")
BACKTEST_TESTED = Quantity("backtest/tested", "pairs", "published pairs tested", BACK_TESTED)
BACKTEST_INFEASIBLE = Quantity(
    "backtest/infeasible", "pairs", "published pairs faster than the roofline", BACK_TESTED)
BACKTEST_WIDTH = Quantity(
    "backtest/median_width", "x", "median width of the bounds", BACK_TESTED, "lower")
BACKTEST = Quantity("backtest/{pair}", "x", "published speed-up", BACK_TESTED, "higher")

# Of predictions.
SCORE_WIS = Quantity(
    "score/{family}/interval_score", "log", "weighted interval score", SCORED, "lower")
SCORE_ERROR = Quantity("score/{family}/median_error", "relative", "median error", SCORED, "lower")
SCORE_50 = Quantity("score/{family}/within_50", "share", "inside the bounds of 50%", SCORED)
SCORE_90 = Quantity("score/{family}/within_90", "share", "inside the bounds of 90%", SCORED)
SKILL = Quantity(
    "score/{family}/skill/{baseline}", "share", "error less than that of a baseline", SCORED,
    "higher")
# fmt: on

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
