"""Every number of one data set, before it meets its predictions.

Ids of numbers are built here and nowhere else:

    throughput/<arm>/b<batch>      ratio/<contrast>/b<batch>     step/<arm>/b<batch>
    first_token/<arm>/b<batch>     first_call/<arm>/b<batch>     shape/fade/<contrast>
    shape/no_inversion/<contrast>  spread/between|within|nodes/<arm>/b<batch>
    capture/passes|seconds|gib|shapes/...                        startup/<phase>/<arm>
    replay/full_share|padded_tokens/<arm>/b<batch>               kv/tokens/<arm>
    profile/<quantity>/<arm>/b<batch>                            model/<name>/ratio|error/b<batch>
    attribution/<contrast>_share|interaction/b<batch>            kv/tokens_lost|requests_lost
    saved_ms_per_step/b<batch>     break_even/steps|tokens|seconds/b<batch>
    deploy/tax_min_per_day         launches/break_even_call|asymptotic_speed_up|us_per_launch
    outputs/differing/b<batch>     compile_cache/cold_s|warm_s|saved_s
    ladder/default|best/graphs|padded_share|missed_share|mean_step_s, ladder/best/saved_s
    difference/<contrast>/<other data set>/b<batch>
    repeats_to_halve/<contrast>/b<batch>                         shape/position_of_b8/<contrast>
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cudagraph_lab.engine.capture_sizes import (
    full_decode_sizes,
    pad,
    vllm_capture_sizes,
    vllm_defaults,
)
from cudagraph_lab.models import costs
from cudagraph_lab.models.ladder import LadderCost, compare_ladders
from cudagraph_lab.models.launch import (
    HIDDEN_SHARE,
    LaunchPrediction,
    Profile,
    attribution,
    hidden_share_from_pair,
    predict,
    predict_eager_step_s,
)
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics import estimates as stats

Floats = NDArray[np.float64]
DRAWS = 4_000  # the ends of an interval are then steady to about a tenth of its width

Settle = Callable[[float, float], int | None]


class Draft(BaseModel):
    """A number before it meets its predictions."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    id: str
    value: float | bool | None
    unit: str
    n: int = 0
    low: float | None = None
    high: float | None = None
    method: str | None = None
    note: str | None = None
    missing: str | None = None
    arms: list[str] = []
    files: list[str] = []  # beside those of the arms: another data set's
    outcome: str | None = None  # of a claim
    exact: bool = False  # a count, or the same value in every repeat: needs no interval
    settle: Settle | None = None  # more repeats that would settle it against bounds
    unpredicted: str | None = None


Cells = dict[tuple[str, str, int | None], list[list[float]]]  # (arm, quantity, batch)


def draft_numbers(dataset: Dataset, table: pd.DataFrame, config: Mapping[str, Any]) -> list[Draft]:
    """All numbers of one data set, without their predictions."""
    seed = int(config["seed"])
    timed, first = cells_of(table, role="timed"), cells_of(table, role="first")
    arms = [arm for arm, facts in dataset.arms.items() if facts.purpose == "timed"]
    drafts: list[Draft] = []
    for arm in arms:
        reason = dataset.arms[arm].reason
        for batch in dataset.batch_sizes:
            drafts += _arm_numbers(arm, batch, timed, first, reason, seed)
            if len(dataset.nodes) > 1:
                drafts.append(_node_spread(dataset, table, arm, batch))
    contrasts = dataset.contrasts
    for contrast, sides in contrasts.items():
        drafts += _contrast_numbers(dataset, contrast, sides, timed, seed)
    headline = contrasts.get(config["headline"])
    startup, profiled = cells_of(table, role="startup"), cells_of(table, role="profile")
    if headline is not None:
        drafts += _attribution(dataset, timed, headline, seed)
        drafts += _capture_numbers(dataset, headline, startup)
        drafts += _model_numbers(dataset, headline, timed, profiled, seed)
        drafts += _economics(dataset, headline, timed, startup, config)
    drafts += [
        Draft(
            id=f"outputs/differing/b{compared.batch}",
            unit="arms",
            value=float(len(compared.differing)),
            n=len(compared.arms),
            note="; ".join(
                [f"{arm} forks {where}" for arm, where in compared.differing.items()]
                + [f"distinct tokens in the request compared: {compared.distinct_tokens}"]
            ),
            arms=compared.arms,
        )
        for compared in dataset.outputs
    ]
    drafts += _startup_numbers(dataset, startup, seed)
    drafts += _profile_numbers(dataset, headline, profiled)
    return drafts


def comparison_numbers(
    datasets: Sequence[tuple[Dataset, pd.DataFrame]], config: Mapping[str, Any]
) -> list[Draft]:
    """Speed-ups of the first data set over those of each other one, where both have them.

    The quotient of two speed-ups, each made within its own data set: rates of two data
    sets are never divided by each other. 1 means that graphs matter as much in both.
    """
    if not datasets:
        return []
    (first, first_table), *others = datasets
    first_cells = cells_of(first_table, role="timed")
    drafts = []
    for other, table in others:
        cells = cells_of(table, role="timed")
        for contrast, sides in first.contrasts.items():
            if other.contrasts.get(contrast, {}).get("numerator") != sides["numerator"]:
                continue
            arms = [sides["numerator"], sides["denominator"]]
            for batch in first.batch_sizes:
                terms = [
                    stats.Term(cell, weight, f"{where.name} {arm}")
                    for where, known, sign in ((first, first_cells, 1), (other, cells, -1))
                    for arm, weight in zip(arms, (sign, -sign), strict=True)
                    if (cell := known.get((arm, "throughput", batch))) is not None
                ]
                if len(terms) < 4:
                    continue
                draft = _estimated(
                    f"difference/{contrast}/{other.name}/b{batch}",
                    "x",
                    stats.estimate_contrast(terms, int(config["seed"])),
                    arms,
                )
                draft.files = [file for arm in arms for file in other.files.get(arm, [])]
                draft.unpredicted = "a comparison of two data sets; predictions are about each"
                drafts.append(draft)
    return drafts


def cells_of(table: pd.DataFrame, role: str) -> Cells:
    """{(arm, quantity, batch): per repeat, its iterations} of one role; batch None at start-up."""
    cells: Cells = {}
    chosen = table[table["role"] == role]
    keys = ["arm", "quantity", "batch", "repeat"]
    for group_key, group in chosen.groupby(keys, dropna=False, sort=True):
        arm, quantity, batch, _ = cast("tuple[str, str, Any, int]", group_key)
        key = (arm, quantity, None if pd.isna(batch) else int(batch))
        cells.setdefault(key, []).append(group["value"].tolist())
    return cells


def step_cell(cells: Cells, arm: str, batch: int) -> list[list[float]] | None:
    """Seconds per decode step: measured from first to last token, else from tokens per second.

    Published runs give tokens per second alone; then a step takes batch / throughput,
    prefill included.
    """
    measured = cells.get((arm, "decode_s_per_step", batch))
    if measured is not None:
        return measured
    throughput = cells.get((arm, "throughput", batch))
    if throughput is None:
        return None
    return [[batch / value for value in repeat] for repeat in throughput]


def absent(number: str, unit: str, reason: str) -> Draft:
    """A number that has no value, with the reason."""
    return Draft(id=number, value=None, unit=unit, missing=reason)


def _estimated(
    number: str, unit: str, estimate: stats.Estimate, arms: list[str], settle: Settle | None = None
) -> Draft:
    return Draft(
        id=number,
        unit=unit,
        value=estimate.value,
        n=estimate.n,
        low=estimate.low,
        high=estimate.high,
        method=estimate.method,
        note=estimate.note,
        exact=estimate.note is not None and estimate.note.startswith("equal repeats"),
        arms=arms,
        settle=settle,
    )


def _exact(number: str, unit: str, cell: list[list[float]], arms: list[str]) -> Draft:
    """A count or share that should not vary: its value, and the range where it does."""
    means = [math.fsum(repeat) / len(repeat) for repeat in cell]
    same = max(means) - min(means) < 1e-12
    note = None if same else f"differs between repeats, from {min(means):g} to {max(means):g}"
    return Draft(
        id=number,
        unit=unit,
        value=math.fsum(means) / len(means),
        n=len(means),
        low=None if same else min(means),
        high=None if same else max(means),
        method=None if same else "range over repeats",
        exact=same,
        note=note,
        arms=arms,
    )


def _arm_numbers(
    arm: str, batch: int, timed: Cells, first: Cells, reason: str | None, seed: int
) -> list[Draft]:
    drafts: list[Draft] = []
    where = f"{arm}/b{batch}"
    throughput = timed.get((arm, "throughput", batch))
    if throughput is None:
        missing = reason or "this batch size was not run"
        return [absent(f"throughput/{where}", "tok/s", missing)]
    for quantity, number, unit in (
        ("throughput", "throughput", "tok/s"),
        ("first_token_s", "first_token", "s"),
    ):
        cell = timed.get((arm, quantity, batch))
        if cell is not None:
            estimate = stats.estimate_mean(cell, seed, name=f"{number}/{where}")
            drafts.append(_estimated(f"{number}/{where}", unit, estimate, [arm]))
    step = step_cell(timed, arm, batch)
    if step is not None:
        estimate = stats.estimate_mean(step, seed, name=f"step/{where}")
        drafts.append(_estimated(f"step/{where}", "s", estimate, [arm]))
    cell = first.get((arm, "throughput", batch))
    if cell is not None:
        estimate = stats.estimate_mean(cell, seed, name=f"first_call/{where}")
        drafts.append(_estimated(f"first_call/{where}", "tok/s", estimate, [arm]))
    components = stats.variance_components(throughput, name=where)
    for part, spread, n in (
        ("between", components.between_cv, components.repeats),
        ("within", components.within_cv, components.repeats),
    ):
        number = f"spread/{part}/{where}"
        if spread is None:
            drafts.append(absent(number, "relative", "one observation has no spread"))
        else:
            drafts.append(
                Draft(
                    id=number, unit="relative", value=spread, n=n, note=components.note, arms=[arm]
                )
            )
    for quantity, unit in (("full_share", "share"), ("padded_tokens", "tokens")):
        cell = timed.get((arm, quantity, batch))
        if cell is not None:
            drafts.append(_exact(f"replay/{quantity}/{where}", unit, cell, [arm]))
    return drafts


def _node_spread(dataset: Dataset, table: pd.DataFrame, arm: str, batch: int) -> Draft:
    """Spread of an arm's throughput between the nodes that it ran on, beyond that of repeats.

    One-way random effects, as between repeats and iterations: here the nodes are the groups
    and the repeats' means, on logs, their members.
    """
    number = f"spread/nodes/{arm}/b{batch}"
    rows = table[
        (table["arm"] == arm)
        & (table["batch"] == batch)
        & (table["role"] == "timed")
        & (table["quantity"] == "throughput")
    ]
    means = {
        int(cast("int", repeat)): float(np.exp(np.log(values).mean()))
        for repeat, values in rows.groupby("repeat")["value"]
    }
    nodes = [
        [means[repeat] for repeat in arms[arm] if repeat in means]
        for arms in dataset.nodes.values()
        if arm in arms
    ]
    nodes = [repeats for repeats in nodes if repeats]
    if len(nodes) < 2:
        return absent(number, "relative", "measured on fewer than two nodes")
    if all(len(repeats) == 1 for repeats in nodes):
        return absent(
            number, "relative", "one repeat per node: nodes and repeats cannot be told apart"
        )
    components = stats.variance_components(nodes, name=number)
    return Draft(
        id=number,
        unit="relative",
        value=components.between_cv,
        n=components.repeats,
        note="nodes differ by less than their repeats do: spread between them set to 0"
        if components.note
        else None,
        arms=[arm],
    )


def _contrast_numbers(
    dataset: Dataset, contrast: str, sides: Mapping[str, str], timed: Cells, seed: int
) -> list[Draft]:
    numerator, denominator = sides["numerator"], sides["denominator"]
    drafts: list[Draft] = []
    speed_ups: dict[int, tuple[list[list[float]], list[list[float]]]] = {}
    reason = missing_arm(dataset, numerator) or missing_arm(dataset, denominator)
    for batch in dataset.batch_sizes:
        number = f"ratio/{contrast}/b{batch}"
        pair = (
            timed.get((numerator, "throughput", batch)),
            timed.get((denominator, "throughput", batch)),
        )
        if pair[0] is None or pair[1] is None:
            drafts.append(absent(number, "x", reason or "this batch size was not run"))
            continue
        speed_ups[batch] = (pair[0], pair[1])
        terms = [stats.Term(pair[0], 1, numerator), stats.Term(pair[1], -1, denominator)]
        estimate = stats.estimate_contrast(terms, seed)

        def settle(low: float, high: float, terms: list[stats.Term] = terms) -> int | None:
            return stats.more_repeats_to_settle(
                terms, low if low > 0 else None, high if math.isfinite(high) else None
            )

        drafts.append(_estimated(number, "x", estimate, [numerator, denominator], settle))
        halve = stats.more_repeats_to_halve(terms)
        drafts.append(
            absent(f"repeats_to_halve/{contrast}/b{batch}", "repeats", "no interval to halve")
            if halve is None
            else Draft(
                id=f"repeats_to_halve/{contrast}/b{batch}",
                unit="repeats",
                value=float(halve),
                n=estimate.n,
                note="further repeats per arm that would halve the interval at the present spread",
                arms=[numerator, denominator],
            )
        )
    if {1, 8, 64} <= speed_ups.keys():
        one, eight, many = (_log_ratio(speed_ups[b], contrast, seed + b) for b in (1, 8, 64))
        number = f"shape/position_of_b8/{contrast}"
        if one.value == many.value:
            drafts.append(absent(number, "share", "batch 1 and 64 have the same speed-up"))
        else:
            drawn = None
            if one.draws is not None and eight.draws is not None and many.draws is not None:
                drawn = (eight.draws - many.draws) / (one.draws - many.draws)
            low, high = _central(drawn)
            drafts.append(
                Draft(
                    id=number,
                    unit="share",
                    value=(eight.value - many.value) / (one.value - many.value),
                    n=min(one.n, eight.n, many.n),
                    low=low,
                    high=high,
                    method=None if low is None else "t draws through the quotient",
                    note="where the logarithm of batch 8's speed-up lies between batch 64's (0) "
                    "and batch 1's (1)",
                    arms=[numerator, denominator],
                )
            )
    for shape, judge_shape, least in (
        ("fade", stats.judge_fade, 2),
        ("no_inversion", stats.judge_no_inversion, 1),
    ):
        number = f"shape/{shape}/{contrast}"
        if len(speed_ups) < least:
            drafts.append(absent(number, "holds", reason or "too few batch sizes were run"))
            continue
        judgement = judge_shape(speed_ups, seed)
        drafts.append(
            Draft(
                id=number,
                unit="holds",
                value=judgement.points_agree,
                n=min(len(cell) for pair in speed_ups.values() for cell in pair),
                note=judgement.note,
                outcome=judgement.outcome,
                arms=[numerator, denominator],
            )
        )
    return drafts


def missing_arm(dataset: Dataset, arm: str) -> str | None:
    """Why an arm has no numbers in this data set, or None where it has."""
    facts = dataset.arms.get(arm)
    if facts is None:
        return f"arm {arm!r} was not run"
    return f"{arm}: {facts.reason}" if facts.status != "ok" else None


def _capture_numbers(dataset: Dataset, headline: Mapping[str, str], cells: Cells) -> list[Draft]:
    graphs, eager = headline["numerator"], headline["denominator"]
    reason = missing_arm(dataset, graphs) or "the start-up log was not kept"
    drafts = []
    for quantity, number, unit in (
        ("passes", "capture/passes", "passes"),
        ("shapes_piecewise", "capture/shapes/piecewise", "shapes"),
        ("shapes_full", "capture/shapes/full", "shapes"),
    ):
        cell = cells.get((graphs, quantity, None))
        drafts.append(
            _exact(number, unit, cell, [graphs]) if cell else absent(number, unit, reason)
        )
    for quantity, number, unit in (
        ("capture_seconds", "capture/seconds", "s"),
        ("capture_gib", "capture/gib", "GiB"),
    ):
        cell = cells.get((graphs, quantity, None))
        if cell is None:
            drafts.append(absent(number, unit, reason))
        else:
            estimate = stats.estimate_mean(cell, 0, name=number)
            drafts.append(_estimated(number, unit, estimate, [graphs]))
    number = f"capture/passes/{eager}"
    cell = cells.get((eager, "passes", None))
    reason = missing_arm(dataset, eager) or "the start-up log was not kept"
    drafts.append(
        _exact(number, "passes", cell, [eager]) if cell else absent(number, "passes", reason)
    )
    return drafts


def _startup_numbers(dataset: Dataset, cells: Cells, seed: int) -> list[Draft]:
    drafts = []
    for (arm, quantity, _), cell in cells.items():
        if dataset.arms[arm].purpose == "profile":
            continue
        if quantity.startswith("span_") and all(value > 0 for repeat in cell for value in repeat):
            phase = quantity.removeprefix("span_").removesuffix("_s")
            number = f"startup/{phase}/{arm}"
            drafts.append(
                _estimated(number, "s", stats.estimate_mean(cell, seed, name=number), [arm])
            )
        elif quantity.startswith("compile_"):
            number = f"startup/{quantity.removesuffix('_s')}/{arm}"
            drafts.append(
                _estimated(number, "s", stats.estimate_mean(cell, seed, name=number), [arm])
            )
        elif quantity == "kv_cache_tokens":
            drafts.append(_exact(f"kv/tokens/{arm}", "tokens", cell, [arm]))
    fit, arms = fit_of_captures(cells)
    if fit is not None:
        note = f"least-squares slope over {fit.points} captures of different ladders"
        quantile = stats.t_quantile(fit.points - 2)
        for number, unit, value, error in (
            ("capture/seconds_per_graph", "s", fit.seconds.per_graph, fit.seconds.per_graph_se),
            ("capture/mib_per_graph", "MiB", fit.mib.per_graph, fit.mib.per_graph_se),
            ("capture/seconds_fixed", "s", fit.seconds.intercept, fit.seconds.intercept_se),
            ("capture/mib_fixed", "MiB", fit.mib.intercept, fit.mib.intercept_se),
        ):
            drafts.append(
                Draft(
                    id=number,
                    unit=unit,
                    value=value,
                    n=fit.points,
                    low=value - quantile * error,
                    high=value + quantile * error,
                    method="t on the least-squares line",
                    note=note,
                    arms=arms,
                )
            )
    return drafts


def shadowed_arm(dataset: Dataset, arm: str) -> str:
    """The timed arm that a profiled one is the shadow of: the one with its engine arguments."""
    arguments = dataset.arms[arm].engine_args
    for name, facts in dataset.arms.items():
        if facts.purpose == "timed" and facts.engine_args == arguments:
            return name
    return arm


def _profile_numbers(
    dataset: Dataset, headline: Mapping[str, str] | None, cells: Cells
) -> list[Draft]:
    units = {
        "kernels_per_step": "kernels",
        "launches_per_step": "launches",
        "graph_launches_per_step": "launches",
        "device_busy_s_per_step": "s",
        "operators_per_step": "operators",
    }
    drafts = [
        _exact(
            f"profile/{quantity}/{shadowed_arm(dataset, arm)}/b{batch}",
            units[quantity],
            cell,
            [arm],
        )
        for (arm, quantity, batch), cell in cells.items()
    ]
    if headline is None:
        return drafts
    counts = {draft.id: draft for draft in drafts}
    eager = counts.get(f"profile/launches_per_step/{headline['denominator']}/b1")
    left = counts.get(f"profile/launches_per_step/{headline['numerator']}/b1")
    replays = counts.get(f"profile/graph_launches_per_step/{headline['numerator']}/b1")
    if eager and left and replays and eager.value and left.value is not None and replays.value:
        launches = float(left.value) + float(replays.value)
        # Lab 02 counts a replay as the only launch of a step; those beside it count too.
        drafts += [
            Draft(
                id="launches/asymptotic_speed_up",
                unit="x",
                value=float(eager.value) / launches,
                n=eager.n,
                note="eager launches per step over launches and replays per step with graphs",
                arms=eager.arms + left.arms,
            ),
            Draft(
                id="launches/break_even_call",
                unit="calls",
                value=costs.launch_break_even_call(float(eager.value), launches),
                missing=None if launches < float(eager.value) else "graphs launch as often",
                exact=True,
                n=eager.n,
                note="first call after which graphs have launched less, the capture being the "
                "first call (lab 02's counting)",
                arms=eager.arms + left.arms,
            ),
        ]
    return drafts


def profile_of(dataset: Dataset, headline: Mapping[str, str], cells: Cells) -> Profile | None:
    """Launches and busy time of a decode step at batch 1, where both arms were profiled."""
    graphs, eager = headline["numerator"], headline["denominator"]
    launches = _profiled(dataset, eager, "launches_per_step", 1, cells)
    eager_busy_s = _profiled(dataset, eager, "device_busy_s_per_step", 1, cells)
    graph_busy_s = _profiled(dataset, graphs, "device_busy_s_per_step", 1, cells)
    if launches is None or eager_busy_s is None or graph_busy_s is None:
        return None
    return Profile(round(launches), eager_busy_s, graph_busy_s)


def _profiled(dataset: Dataset, arm: str, quantity: str, batch: int, cells: Cells) -> float | None:
    """What the profiled shadow of an arm counted at a batch size, or None."""
    for (name, what, at), cell in cells.items():
        if (what, at) == (quantity, batch) and shadowed_arm(dataset, name) == arm:
            return cell[0][0]
    return None


def _model_numbers(
    dataset: Dataset, headline: Mapping[str, str], timed: Cells, profiled: Cells, seed: int
) -> list[Draft]:
    """What the launch models, calibrated at batch 1, say of the other batches, and their error.

    They are given the graph arm's step and predict the eager arm's. Intervals carry the
    uncertainty of the measured steps through the model, by simulation.
    """
    graphs, eager = headline["numerator"], headline["denominator"]
    steps = {
        batch: (_step(timed, eager, batch, seed), _step(timed, graphs, batch, seed + 1))
        for batch in dataset.batch_sizes
    }
    known = {b: (e, g) for b, (e, g) in steps.items() if e is not None and g is not None}
    if 1 not in known or len(known) < 2:
        return []
    batches = [batch for batch in sorted(known) if batch != 1]
    (eager_1, graph_1), second = known[1], batches[0]
    graph_steps = [known[batch][1].value for batch in batches]
    profile = profile_of(dataset, headline, profiled)
    ways: list[tuple[str, Profile | None, tuple[int, float, float] | None]] = [("", None, None)]
    if profile is not None:
        ways.append(("-profiled", profile, None))
    second_pair = (second, known[second][0].value, known[second][1].value)
    share = hidden_share_from_pair(eager_1.value, graph_1.value, *second_pair[1:])
    drafts: dict[str, Draft] = {}
    if np.isnan(share):
        reason = f"no hidden share explains the pairs at batches 1 and {second}"
        for batch in batches:
            number = f"model/partial/ratio/b{batch}"
            drafts[number] = absent(number, "x", reason)
    else:
        ways.append(("", None, second_pair))
    busy = {batch: _profiled(dataset, graphs, "device_busy_s_per_step", batch, profiled)
            for batch in batches}  # fmt: skip
    busy_known = [value for value in busy.values() if value is not None]
    for suffix, profile_used, pair in ways:
        idle = busy_known if profile_used and len(busy_known) == len(batches) else None
        rows = predict(
            batches, eager_1.value, graph_1.value, graph_steps, profile_used, pair,
            graph_busy_s=idle,
        )  # fmt: skip
        for row in rows:
            name = f"{row.model}{suffix}"
            if f"model/{name}/ratio/b{row.batch}" in drafts:
                continue
            eager_b, graph_b = known[row.batch]
            busy_s = busy[row.batch] if idle else None
            drawn = _drawn_ratio(row, eager_1, graph_1, graph_b, profile_used, busy_s)
            measured = eager_b.value / graph_b.value
            both = (
                drawn * graph_b.draws / eager_b.draws - 1
                if drawn is not None and graph_b.draws is not None and eager_b.draws is not None
                else None
            )
            mark = "; in-sample: calibrated on this batch" if row.in_sample else ""
            for what, unit, value, draws, note in (
                ("ratio", "x", row.ratio, drawn, row.information + mark),
                ("error", "relative", row.ratio / measured - 1, both,
                 "predicted over measured, minus 1" + mark),
            ):  # fmt: skip
                number = f"model/{name}/{what}/b{row.batch}"
                low, high = _central(draws)
                drafts[number] = Draft(
                    id=number,
                    unit=unit,
                    value=value,
                    n=min(eager_1.n, graph_1.n, graph_b.n),
                    low=low,
                    high=high,
                    method=None if low is None else "t draws through the model",
                    note=note,
                    arms=[graphs, eager],
                    unpredicted="this is itself a prediction; the measured ratio is beside it",
                )
    if profile is not None:
        bill_s = eager_1.value - graph_1.value
        drafts["us_per_launch"] = Draft(
            id="launches/us_per_launch/b1",
            unit="us",
            value=bill_s / profile.eager_launches * 1e6,
            n=min(eager_1.n, graph_1.n),
            note="step saved at batch 1 over the launches of an eager step: a launch as the "
            "additive model has it, Python and dispatch included",
            arms=[graphs, eager],
        )
    return list(drafts.values())


@dataclass(frozen=True)
class _Step:
    """A location with draws where it has an interval: seconds per step, a rate, a log ratio."""

    value: float
    n: int
    draws: Floats | None


def _step(timed: Cells, arm: str, batch: int, seed: int) -> _Step | None:
    cell = step_cell(timed, arm, batch)
    if cell is None:
        return None
    return _cell_step(cell, f"step/{arm}/b{batch}", seed * 1_000 + batch)


def _log_ratio(pair: tuple[list[list[float]], list[list[float]]], name: str, seed: int) -> _Step:
    """Logarithm of a speed-up, first cell over second, with draws where both have an interval."""
    cells = [_cell_step(cell, name, 2 * seed + side) for side, cell in enumerate(pair)]
    drawn = None
    if cells[0].draws is not None and cells[1].draws is not None:
        drawn = np.log(cells[0].draws) - np.log(cells[1].draws)
    return _Step(math.log(cells[0].value / cells[1].value), min(c.n for c in cells), drawn)


def _cell_step(cell: list[list[float]], name: str, seed: int) -> _Step:
    return _Step(
        _location(cell, name), len(cell), stats.draw_locations(cell, DRAWS, seed, name=name)
    )


def _drawn_ratio(
    row: LaunchPrediction,
    eager_1: _Step,
    graph_1: _Step,
    graph_b: _Step,
    profile: Profile | None,
    busy_s: float | None,
) -> Floats | None:
    """The predicted ratio for every draw of the steps it was made from."""
    if eager_1.draws is None or graph_1.draws is None or graph_b.draws is None:
        return None
    if row.model not in HIDDEN_SHARE:
        return None  # its share was fitted too, which these draws would leave out
    host: float | Floats = 0.0
    host_b: float | Floats = 0.0
    scale = 1.0
    if profile is not None:
        # Draws of a graph step below the GPU's busy time cannot be: no host term is left.
        host = np.maximum(graph_1.draws - profile.graph_busy_s, 0.0)
        host_b = host if busy_s is None else np.maximum(graph_b.draws - busy_s, 0.0)
        scale = profile.eager_busy_s / profile.graph_busy_s
    predicted = predict_eager_step_s(
        eager_1.draws, graph_1.draws, graph_b.draws, row.hidden_share, host, host_b, scale
    )
    return np.asarray(predicted / graph_b.draws, dtype=np.float64)


def _central(draws: Floats | None) -> tuple[float | None, float | None]:
    """The central 95% of draws; (None, None) where there are none or an end is infinite."""
    if draws is None or np.isnan(draws).any():
        return None, None
    # Whole draws, not points between two: an infinite one must not spread to its neighbour.
    low, high = np.quantile(draws, [0.025, 0.975], method="nearest")
    if not (np.isfinite(low) and np.isfinite(high)):
        return None, None
    return float(low), float(high)


def _location(cell: list[list[float]], name: str) -> float:
    return stats.estimate_mean(cell, 0, name=name).value


def _economics(
    dataset: Dataset,
    headline: Mapping[str, str],
    timed: Cells,
    startup: Cells,
    config: Mapping[str, Any],
) -> list[Draft]:
    graphs, eager = headline["numerator"], headline["denominator"]
    capture = startup.get((graphs, "capture_seconds", None))
    reason = missing_arm(dataset, graphs) or missing_arm(dataset, eager)
    unknown = reason or "the capture's cost is not known"
    restarts = config["restarts_per_day"]
    drafts: list[Draft] = []
    seed = int(config["seed"])
    cost_s, cost_draws = None, None
    if capture is None:
        drafts.append(absent("deploy/tax_min_per_day", "min/day", unknown))
    else:
        cost = stats.estimate_mean(capture, seed, name="capture/seconds")
        cost_s = cost.value
        cost_draws = stats.draw_locations(capture, DRAWS, seed + 2, name="capture/seconds")
        per_day = partial(costs.deploy_tax_min_per_day, restarts_per_day=restarts)
        drafts.append(
            Draft(
                id="deploy/tax_min_per_day",
                unit="min/day",
                n=cost.n,
                value=per_day(cost.value),
                low=None if cost.low is None else per_day(cost.low),
                high=None if cost.high is None else per_day(cost.high),
                method=cost.method,
                note=f"capture seconds times {restarts:g} restarts a day (restarts_per_day)",
                arms=[graphs],
            )
        )
    units = {"steps": "steps", "tokens": "tokens", "seconds": "s"}
    for batch in dataset.batch_sizes:
        eager_step = _step(timed, eager, batch, seed)
        graph_step = _step(timed, graphs, batch, seed + 1)
        saved = f"saved_ms_per_step/b{batch}"
        if eager_step is None or graph_step is None:
            drafts.append(absent(saved, "ms", reason or "this batch size was not run"))
            drafts += [
                absent(f"break_even/{what}/b{batch}", unit, reason or "this batch size was not run")
                for what, unit in units.items()
            ]
            continue
        n = min(eager_step.n, graph_step.n)
        drawn = None
        if eager_step.draws is not None and graph_step.draws is not None:
            drawn = (eager_step.draws - graph_step.draws) * 1000
        low, high = _central(drawn)
        drafts.append(
            Draft(
                id=saved,
                unit="ms",
                n=n,
                value=(eager_step.value - graph_step.value) * 1000,
                low=low,
                high=high,
                method=None if low is None else "t draws through the difference",
                arms=[graphs, eager],
            )
        )
        if cost_s is None:
            drafts += [
                absent(f"break_even/{what}/b{batch}", unit, unknown) for what, unit in units.items()
            ]
            continue
        even = costs.break_even(cost_s, eager_step.value, graph_step.value, batch)
        values = {"steps": even.steps, "tokens": even.tokens, "seconds": even.serving_s}
        bounds: dict[str, tuple[float | None, float | None]] = dict.fromkeys(values, (None, None))
        if cost_draws is not None and drawn is not None:
            # A draw that saves nothing never breaks even.
            many = np.divide(
                cost_draws * 1000, drawn, out=np.full_like(drawn, np.inf), where=drawn > 0
            )
            assert graph_step.draws is not None  # noqa: S101 - `drawn` was made of it
            bounds = {
                "steps": _central(many),
                "tokens": _central(many * batch),
                "seconds": _central(many * graph_step.draws),
            }
        drafts += [
            Draft(
                id=f"break_even/{what}/b{batch}",
                unit=units[what],
                value=value,
                low=bounds[what][0],
                high=bounds[what][1],
                method=None if bounds[what][0] is None else "t draws through the quotient",
                n=n,
                missing=even.reason,
                arms=[graphs, eager],
                note="the capture alone over what a step saves; compilation's seconds at start-up "
                "are not counted in, though its savings are",
            )
            for what, value in values.items()
        ]
    return [
        *drafts,
        *_kv_lost(dataset, headline, startup),
        *_compile_cache(dataset, headline, startup),
        *_ladders(dataset, headline, timed, startup, config),
    ]


def _compile_cache(dataset: Dataset, headline: Mapping[str, str], startup: Cells) -> list[Draft]:
    """Compile seconds with a cold and a warm cache, over arms with the headline's arguments."""
    graphs = headline["numerator"]
    if graphs not in dataset.arms:
        return []
    arguments = dataset.arms[graphs].engine_args
    alike = [arm for arm, facts in dataset.arms.items() if facts.engine_args == arguments]
    drafts: dict[str, Draft] = {}
    for state in ("cold", "warm"):
        seconds = [
            value
            for arm in alike
            for repeat in startup.get((arm, f"compile_{state}_s", None), [])
            for value in repeat
        ]
        number = f"compile_cache/{state}_s"
        if not seconds:
            drafts[state] = absent(number, "s", f"no start with a {state} compile cache was run")
            continue
        estimate = stats.estimate_mean([[value] for value in seconds], 0, name=number)
        drafts[state] = _estimated(number, "s", estimate, alike)
    cold, warm = drafts["cold"].value, drafts["warm"].value
    number = "compile_cache/saved_s"
    if cold is None or warm is None:
        drafts["saved"] = absent(number, "s", "needs a cold and a warm start")
    else:
        drafts["saved"] = Draft(
            id=number,
            unit="s",
            value=float(cold) - float(warm),
            n=min(drafts["cold"].n, drafts["warm"].n),
            note="of the seconds that vLLM counts as compilation; a start saves more, see "
            "startup/boot; the capture runs again regardless",
            arms=alike,
        )
    return list(drafts.values())


def _ladders(
    dataset: Dataset,
    headline: Mapping[str, str],
    timed: Cells,
    startup: Cells,
    config: Mapping[str, Any],
) -> list[Draft]:
    """vLLM's default ladder against the best of `ladder_rungs`, over the configured batch mix.

    What a step of the mix takes is read off the measured steps of the headline's arms.

    The saving is the captures left out times the fitted seconds per graph, where several
    ladder lengths were captured.
    """
    if dataset.device_memory_gib is None or dataset.vllm is None:
        return []
    mix = {int(batch): int(count) for batch, count in config["batch_mix"].items()}
    max_num_seqs, max_tokens = vllm_defaults(
        dataset.device_memory_gib, dataset.device, "cpu" if dataset.platform == "cpu" else "cuda"
    )
    default = vllm_capture_sizes(max_num_seqs, max_tokens, dataset.vllm)
    compared = compare_ladders(mix, default, config["ladder_rungs"])
    note = (
        f"batch mix of {len(mix)} sizes from {min(mix)} to {max(mix)} (batch_mix); "
        f"max_num_seqs {max_num_seqs}"
    )
    drafts = []
    graphs = {}
    for name, cost in (("default", compared.default), ("best", compared.best)):
        graphs[name] = len(cost.sizes) + len(full_decode_sizes(cost.sizes, max_num_seqs))
        sizes = f"; sizes {', '.join(map(str, cost.sizes))}" if name == "best" else ""
        values = {
            "graphs": ("graphs", float(graphs[name])),
            "padded_share": ("share", cost.padded_share),
            "missed_share": ("share", cost.missed_steps / cost.steps),
        }
        drafts += [
            Draft(
                id=f"ladder/{name}/{what}",
                unit=unit,
                value=value,
                missing=None if value is not None else "no step is replayed",
                note=note + sizes,
                unpredicted="computed from vLLM's rule and the batch mix, not measured",
            )
            for what, (unit, value) in values.items()
        ]
        drafts.append(_mean_step(f"ladder/{name}/mean_step_s", dataset, headline, timed, mix, cost))
    fit, arms = fit_of_captures(startup)
    number = "ladder/best/saved_s"
    if fit is None:
        drafts.append(absent(number, "s", "fewer than three ladder lengths were captured"))
    else:
        drafts.append(
            Draft(
                id=number,
                unit="s",
                value=(graphs["default"] - graphs["best"]) * fit.seconds.per_graph,
                n=fit.points,
                note="captures left out times the fitted seconds per graph, per start",
                arms=arms,
            )
        )
    return drafts


def _mean_step(
    number: str,
    dataset: Dataset,
    headline: Mapping[str, str],
    timed: Cells,
    mix: Mapping[int, int],
    cost: LadderCost,
) -> Draft:
    """Mean seconds per step of the batch mix on one ladder, padding and eager misses included."""
    graphs, eager = headline["numerator"], headline["denominator"]
    steps = {
        batch: (step_cell(timed, eager, batch), step_cell(timed, graphs, batch))
        for batch in dataset.batch_sizes
    }
    known = {b: (e, g) for b, (e, g) in steps.items() if e is not None and g is not None}
    rungs = [rung for batch in mix if (rung := pad(batch, cost.sizes)) is not None]
    needed = [*rungs, *mix]
    if not known or min(needed) < min(known) or max(needed) > max(known):
        return absent(number, "s", "the mix or its rungs lie outside the measured batch sizes")
    batches = sorted(known)
    eager_s = [_location(known[batch][0], number) for batch in batches]
    graph_s = [_location(known[batch][1], number) for batch in batches]
    served = costs.mix_cost(mix, cost.sizes, batches, eager_s, graph_s)
    return Draft(
        id=number,
        unit="s",
        value=served.mean_step_s,
        n=min(len(cell) for pair in known.values() for cell in pair),
        note="over the batch mix, from the measured steps, straight lines between them",
        arms=[graphs, eager],
        unpredicted="computed from measured steps and the batch mix",
    )


def fit_of_captures(startup: Cells) -> tuple[costs.CaptureCost | None, list[str]]:
    """Seconds and MiB per graph over all captures of a data set, and the arms that entered."""
    points = [
        (graphs, seconds, gib * 1024)
        for (arm, quantity, _), cell in startup.items()
        if quantity == "capture_graphs"
        for (graphs,), (seconds,), (gib,) in zip(
            cell,
            startup.get((arm, "capture_seconds", None), []),
            startup.get((arm, "capture_gib", None), []),
            strict=False,
        )
    ]
    arms = sorted({arm for arm, quantity, _ in startup if quantity == "capture_graphs"})
    columns = [list(column) for column in zip(*points, strict=True)] if points else [[], [], []]
    return costs.fit_capture_cost(*columns), arms


def _kv_lost(dataset: Dataset, headline: Mapping[str, str], startup: Cells) -> list[Draft]:
    """KV-cache tokens and requests of full length that graphs cost at equal memory."""
    graphs, eager = headline["numerator"], headline["denominator"]
    kept = [startup.get((arm, "kv_cache_tokens", None)) for arm in (graphs, eager)]
    if kept[0] is None or kept[1] is None:
        return []
    with_graphs, without = (
        math.fsum(value for (value,) in cell) / len(cell) for cell in kept if cell
    )
    lost = costs.kv_tokens_lost(round(without), round(with_graphs), dataset.max_model_len)
    n = min(len(cell) for cell in kept if cell)
    note = f"at equal memory; a request of max_model_len has {dataset.max_model_len} tokens"
    return [
        Draft(id=number, unit=unit, value=value, n=n, note=note, arms=[graphs, eager])
        for number, unit, value in (
            ("kv/tokens_lost", "tokens", lost.tokens),
            ("kv/requests_lost", "requests", lost.requests),
        )
    ]


def _attribution(
    dataset: Dataset, timed: Cells, headline: Mapping[str, str], seed: int
) -> list[Draft]:
    """How much of the bundle's logarithm each factor carries, and the factorial's interaction.

    The factors themselves are the ratios of the contrasts that make up the headline one.
    """
    drafts: list[Draft] = []
    graphs, eager = headline["numerator"], headline["denominator"]
    contrasts = dataset.contrasts
    factors = [
        (first, second)
        for first, one in contrasts.items()
        for second, other in contrasts.items()
        if one["numerator"] == graphs
        and one["denominator"] == other["numerator"]
        and other["denominator"] == eager
    ]
    for first, _ in factors:
        middle = contrasts[first]["denominator"]
        for batch in dataset.batch_sizes:
            cells = [timed.get((arm, "throughput", batch)) for arm in (eager, middle, graphs)]
            number = f"attribution/{first}_share/b{batch}"
            if any(cell is None for cell in cells):
                reason = missing_arm(dataset, graphs) or missing_arm(dataset, middle)
                drafts.append(absent(number, "share", reason or "this batch size was not run"))
                continue
            rates = [
                _cell_step(cell, number, seed + 10 * batch + i)
                for i, cell in enumerate(cells)
                if cell is not None
            ]
            drawn = None
            if all(rate.draws is not None for rate in rates):
                drawn = attribution(
                    *(1 / rate.draws for rate in rates if rate.draws is not None)
                ).graph_share
            low, high = _central(drawn)
            drafts.append(
                Draft(
                    id=number,
                    unit="share",
                    value=float(attribution(*(1 / rate.value for rate in rates)).graph_share),
                    n=min(rate.n for rate in rates),
                    low=low,
                    high=high,
                    method=None if low is None else "t draws through the quotient",
                    note="share of the logarithm of the headline speed-up",
                    arms=[graphs, middle, eager],
                )
            )
    for batch in dataset.batch_sizes:
        if not {"graph_compiled", "graph_uncompiled"} <= contrasts.keys():
            break
        with_compile, without = contrasts["graph_compiled"], contrasts["graph_uncompiled"]
        arms = [with_compile["numerator"], with_compile["denominator"],
                without["numerator"], without["denominator"]]  # fmt: skip
        cells = [timed.get((arm, "throughput", batch)) for arm in arms]
        if any(cell is None for cell in cells):
            reason = next(filter(None, (missing_arm(dataset, arm) for arm in arms)), "not run")
            drafts.append(absent(f"attribution/interaction/b{batch}", "x", reason))
            continue
        terms = [
            stats.Term(cell, weight, arm)
            for cell, weight, arm in zip(cells, (1, -1, -1, 1), arms, strict=True)
            if cell is not None
        ]
        estimate = stats.estimate_contrast(terms, seed)
        drafts.append(_estimated(f"attribution/interaction/b{batch}", "x", estimate, arms))
    return drafts
