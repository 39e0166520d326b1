"""The ledger: every number that the report prints, with its predictions and verdicts.

A number reaches a page only from here, by id and data set. Ids are built in this
module and nowhere else:

    throughput/<arm>/b<batch>      ratio/<contrast>/b<batch>     step/<arm>/b<batch>
    first_token/<arm>/b<batch>     first_call/<arm>/b<batch>     shape/fade/<contrast>
    shape/no_inversion/<contrast>  spread/between|within/<arm>/b<batch>
    capture/passes|seconds|gib|shapes/...                        startup/<phase>/<arm>
    replay/full_share|padded_tokens/<arm>/b<batch>               kv/tokens/<arm>
    profile/<quantity>/<arm>/b<batch>                            model/<name>/ratio|error/b<batch>
    saved_ms_per_step/b<batch>     break_even/steps|tokens|seconds/b<batch>
    deploy/tax_min_per_day         launches/break_even_call
"""

import math
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import pandas as pd
from pydantic import BaseModel, ConfigDict

from cudagraph_lab import economics, launch_models, stats
from cudagraph_lab.errors import LabError
from cudagraph_lab.observations import Dataset
from cudagraph_lab.predictions import Prediction
from cudagraph_lab.verdicts import Verdict, judge, judge_claim

SCHEMA_VERSION = 1


class LedgerPart(BaseModel):
    """Base of the ledger's parts."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Judged(LedgerPart):
    """A prediction beside what came out."""

    id: str
    source: str
    value: float | bool | None
    low: float | None  # None where there is no lower bound
    high: float | None
    in_sample: bool
    post_hoc: bool  # not registered before the data set was measured
    verdict: Verdict
    settle: str | None  # what would settle an inconclusive one


class Origin(LedgerPart):
    """Where a number comes from: the rule that made it and the files it was made from."""

    rule: str
    files: list[str]


class Number(LedgerPart):
    """One number of the report."""

    id: str
    dataset: str
    value: float | bool | None
    unit: str
    n: int
    low: float | None
    high: float | None
    method: str | None
    note: str | None
    missing: str | None  # why there is no value
    predictions: list[Judged]
    unpredicted: str | None  # why nothing was predicted of it
    origin: Origin


class Ledger(LedgerPart):
    """All numbers, and the data sets that they are about."""

    schema_version: int
    headline: str
    measured: str | None  # the data set that was measured here
    datasets: list[Dataset]
    numbers: list[Number]


Settle = Callable[[float, float], int | None]


class _Draft(BaseModel):
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
    outcome: str | None = None  # of a claim
    settle: Settle | None = None  # more repeats that would settle it against bounds
    unpredicted: str | None = None


Cells = dict[tuple[str, str, int | None], list[list[float]]]  # (arm, quantity, batch)


def build_ledger(
    datasets: list[tuple[Dataset, pd.DataFrame]],
    predictions: list[Prediction],
    registered: Mapping[str, Mapping[str, str]],
    config: Mapping[str, Any],
    measured: str | None,
) -> Ledger:
    """Every number of every data set, judged.

    `registered` maps a data set to the hashes registered for it. Raises LabError
    where an observation cannot be a measurement (not positive, not finite).
    """
    numbers: list[Number] = []
    for dataset, table in datasets:
        drafts = draft_numbers(dataset, table, config)
        about = [p for p in predictions if _speaks_about(p, dataset)]
        known = {draft.id for draft in drafts}
        for prediction in about:
            if not any(sign in prediction.number for sign in "*?[") and (
                prediction.number not in known
            ):
                known.add(prediction.number)
                drafts.append(
                    _absent(prediction.number, prediction.unit, "not observed in this data set")
                )
        numbers += [
            _judge_draft(draft, dataset, about, registered.get(dataset.name, {}))
            for draft in drafts
        ]
    return Ledger(
        schema_version=SCHEMA_VERSION,
        headline=config["headline"],
        measured=measured,
        datasets=[dataset for dataset, _ in datasets],
        numbers=numbers,
    )


def draft_numbers(dataset: Dataset, table: pd.DataFrame, config: Mapping[str, Any]) -> list[_Draft]:
    """All numbers of one data set, without their predictions."""
    seed = int(config["seed"])
    timed = cells_of(table, role="timed")
    arms = [arm for arm, facts in dataset.arms.items() if facts.purpose == "timed"]
    drafts: list[_Draft] = []
    for arm in arms:
        reason = dataset.arms[arm].reason
        for batch in dataset.batch_sizes:
            drafts += _arm_numbers(arm, batch, timed, cells_of(table, role="first"), reason, seed)
    contrasts = dataset.contrasts
    for contrast, sides in contrasts.items():
        drafts += _contrast_numbers(dataset, contrast, sides, timed, seed)
    headline = contrasts.get(config["headline"])
    if headline is not None:
        drafts += _capture_numbers(dataset, headline, cells_of(table, role="startup"))
        drafts += _model_numbers(dataset, headline, timed)
        drafts += _economics(dataset, headline, timed, table, config)
    drafts += _startup_numbers(dataset, cells_of(table, role="startup"), seed)
    drafts += _profile_numbers(dataset, cells_of(table, role="profile"))
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


def _absent(number: str, unit: str, reason: str) -> _Draft:
    return _Draft(id=number, value=None, unit=unit, missing=reason)


def _estimated(
    number: str, unit: str, estimate: stats.Estimate, arms: list[str], settle: Settle | None = None
) -> _Draft:
    return _Draft(
        id=number,
        unit=unit,
        value=estimate.value,
        n=estimate.n,
        low=estimate.low,
        high=estimate.high,
        method=estimate.method,
        note=estimate.note,
        arms=arms,
        settle=settle,
    )


def _exact(number: str, unit: str, cell: list[list[float]], arms: list[str]) -> _Draft:
    """A count or share that should not vary: its value, and the range where it does."""
    means = [math.fsum(repeat) / len(repeat) for repeat in cell]
    same = max(means) - min(means) < 1e-12
    note = None if same else f"differs between repeats, from {min(means):g} to {max(means):g}"
    return _Draft(
        id=number,
        unit=unit,
        value=math.fsum(means) / len(means),
        n=len(means),
        low=None if same else min(means),
        high=None if same else max(means),
        method=None if same else "range over repeats",
        note=note,
        arms=arms,
    )


def _arm_numbers(
    arm: str, batch: int, timed: Cells, first: Cells, reason: str | None, seed: int
) -> list[_Draft]:
    drafts: list[_Draft] = []
    where = f"{arm}/b{batch}"
    throughput = timed.get((arm, "throughput", batch))
    if throughput is None:
        missing = reason or "this batch size was not run"
        return [_absent(f"throughput/{where}", "tok/s", missing)]
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
            drafts.append(_absent(number, "relative", "one observation has no spread"))
        else:
            drafts.append(
                _Draft(
                    id=number, unit="relative", value=spread, n=n, note=components.note, arms=[arm]
                )
            )
    for quantity, unit in (("full_share", "share"), ("padded_tokens", "tokens")):
        cell = timed.get((arm, quantity, batch))
        if cell is not None:
            drafts.append(_exact(f"replay/{quantity}/{where}", unit, cell, [arm]))
    return drafts


def _contrast_numbers(
    dataset: Dataset, contrast: str, sides: Mapping[str, str], timed: Cells, seed: int
) -> list[_Draft]:
    numerator, denominator = sides["numerator"], sides["denominator"]
    drafts: list[_Draft] = []
    speed_ups: dict[int, tuple[list[list[float]], list[list[float]]]] = {}
    reason = missing_arm(dataset, numerator) or missing_arm(dataset, denominator)
    for batch in dataset.batch_sizes:
        number = f"ratio/{contrast}/b{batch}"
        pair = (
            timed.get((numerator, "throughput", batch)),
            timed.get((denominator, "throughput", batch)),
        )
        if pair[0] is None or pair[1] is None:
            drafts.append(_absent(number, "x", reason or "this batch size was not run"))
            continue
        speed_ups[batch] = (pair[0], pair[1])
        terms = [stats.Term(pair[0], 1, numerator), stats.Term(pair[1], -1, denominator)]
        estimate = stats.estimate_contrast(terms, seed)

        def settle(low: float, high: float, terms: list[stats.Term] = terms) -> int | None:
            return stats.more_repeats_to_settle(
                terms, low if low > 0 else None, high if math.isfinite(high) else None
            )

        drafts.append(_estimated(number, "x", estimate, [numerator, denominator], settle))
    for shape, judge_shape, least in (
        ("fade", stats.judge_fade, 2),
        ("no_inversion", stats.judge_no_inversion, 1),
    ):
        number = f"shape/{shape}/{contrast}"
        if len(speed_ups) < least:
            drafts.append(_absent(number, "holds", reason or "too few batch sizes were run"))
            continue
        judgement = judge_shape(speed_ups, seed)
        drafts.append(
            _Draft(
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


def _capture_numbers(dataset: Dataset, headline: Mapping[str, str], cells: Cells) -> list[_Draft]:
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
            _exact(number, unit, cell, [graphs]) if cell else _absent(number, unit, reason)
        )
    for quantity, number, unit in (
        ("capture_seconds", "capture/seconds", "s"),
        ("capture_gib", "capture/gib", "GiB"),
    ):
        cell = cells.get((graphs, quantity, None))
        if cell is None:
            drafts.append(_absent(number, unit, reason))
        else:
            estimate = stats.estimate_mean(cell, 0, name=number)
            drafts.append(_estimated(number, unit, estimate, [graphs]))
    number = f"capture/passes/{eager}"
    cell = cells.get((eager, "passes", None))
    absent = missing_arm(dataset, eager) or "the start-up log was not kept"
    drafts.append(
        _exact(number, "passes", cell, [eager]) if cell else _absent(number, "passes", absent)
    )
    return drafts


def _startup_numbers(dataset: Dataset, cells: Cells, seed: int) -> list[_Draft]:
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
        elif quantity == "compile_s":
            number = f"startup/compile/{arm}"
            drafts.append(
                _estimated(number, "s", stats.estimate_mean(cell, seed, name=number), [arm])
            )
        elif quantity == "kv_cache_tokens":
            drafts.append(_exact(f"kv/tokens/{arm}", "tokens", cell, [arm]))
    points = [
        (graphs, seconds, gib)
        for (arm, quantity, _), cell in cells.items()
        if quantity == "capture_graphs"
        for (graphs,), (seconds,), (gib,) in zip(
            cell,
            cells.get((arm, "capture_seconds", None), []),
            cells.get((arm, "capture_gib", None), []),
            strict=False,
        )
    ]
    fit = economics.fit_capture_cost(
        [p[0] for p in points], [p[1] for p in points], [p[2] * 1024 for p in points]
    )
    if fit is not None:
        arms = sorted({arm for arm, quantity, _ in cells if quantity == "capture_graphs"})
        note = f"least-squares slope over {fit.points} captures of different ladders"
        for number, unit, value in (
            ("capture/seconds_per_graph", "s", fit.seconds.per_graph),
            ("capture/mib_per_graph", "MiB", fit.mib.per_graph),
            ("capture/seconds_fixed", "s", fit.seconds.intercept),
            ("capture/mib_fixed", "MiB", fit.mib.intercept),
        ):
            drafts.append(
                _Draft(id=number, unit=unit, value=value, n=fit.points, note=note, arms=arms)
            )
    return drafts


def _profile_numbers(dataset: Dataset, cells: Cells) -> list[_Draft]:
    units = {
        "kernels_per_step": "kernels",
        "launches_per_step": "launches",
        "graph_launches_per_step": "launches",
        "device_busy_s_per_step": "s",
        "operators_per_step": "operators",
    }
    drafts = []
    for (arm, quantity, batch), cell in cells.items():
        # A profiled arm is the shadow of the timed one with the same engine arguments.
        arguments = dataset.arms[arm].engine_args
        shadowed = next(
            (
                name
                for name, facts in dataset.arms.items()
                if facts.purpose == "timed" and facts.engine_args == arguments
            ),
            arm,
        )
        drafts.append(
            _exact(f"profile/{quantity}/{shadowed}/b{batch}", units[quantity], cell, [arm])
        )
    return drafts


def _model_numbers(dataset: Dataset, headline: Mapping[str, str], timed: Cells) -> list[_Draft]:
    graphs, eager = headline["numerator"], headline["denominator"]
    steps = {
        batch: (_location(timed, eager, batch), _location(timed, graphs, batch))
        for batch in dataset.batch_sizes
    }
    known = {b: (e, g) for b, (e, g) in steps.items() if e is not None and g is not None}
    if 1 not in known or len(known) < 2:
        return []
    batches = [batch for batch in sorted(known) if batch != 1]
    predicted = launch_models.predict(
        batches, known[1][0], known[1][1], [known[batch][1] for batch in batches]
    )
    drafts = []
    reason = "this is itself a prediction; the measured ratio is beside it"
    for row in predicted:
        eager_s, graph_s = known[row.batch]
        measured = eager_s / graph_s
        drafts += [
            _Draft(
                id=f"model/{row.model}/ratio/b{row.batch}",
                unit="x",
                value=row.ratio,
                n=1,
                note=row.information,
                arms=[graphs, eager],
                unpredicted=reason,
            ),
            _Draft(
                id=f"model/{row.model}/error/b{row.batch}",
                unit="relative",
                value=row.ratio / measured - 1,
                n=1,
                note="predicted over measured, minus 1",
                arms=[graphs, eager],
                unpredicted=reason,
            ),
        ]
    return drafts


def _location(timed: Cells, arm: str, batch: int) -> float | None:
    cell = step_cell(timed, arm, batch)
    if cell is None:
        return None
    return stats.estimate_mean(cell, 0, name=f"step/{arm}/b{batch}").value


def _economics(
    dataset: Dataset,
    headline: Mapping[str, str],
    timed: Cells,
    table: pd.DataFrame,
    config: Mapping[str, Any],
) -> list[_Draft]:
    graphs, eager = headline["numerator"], headline["denominator"]
    capture = cells_of(table, role="startup").get((graphs, "capture_seconds", None))
    absent = missing_arm(dataset, graphs) or "the capture's cost is not known"
    drafts: list[_Draft] = []
    cost_s = None
    if capture is None:
        drafts.append(_absent("deploy/tax_min_per_day", "min/day", absent))
    else:
        cost_s = stats.estimate_mean(capture, 0, name="capture/seconds").value
        restarts = config["restarts_per_day"]
        drafts.append(
            _Draft(
                id="deploy/tax_min_per_day",
                unit="min/day",
                n=len(capture),
                arms=[graphs],
                value=economics.deploy_tax_min_per_day(cost_s, restarts),
                note=f"capture seconds times {restarts:g} restarts a day (restarts_per_day)",
            )
        )
    for batch in dataset.batch_sizes:
        eager_s, graph_s = _location(timed, eager, batch), _location(timed, graphs, batch)
        units = {"steps": "steps", "tokens": "tokens", "seconds": "s"}
        if eager_s is None or graph_s is None:
            reason = missing_arm(dataset, graphs) or missing_arm(dataset, eager) or "not run"
            drafts.append(_absent(f"saved_ms_per_step/b{batch}", "ms", reason))
            drafts += [
                _absent(f"break_even/{what}/b{batch}", unit, reason) for what, unit in units.items()
            ]
            continue
        n = len(step_cell(timed, graphs, batch) or [])
        drafts.append(
            _Draft(
                id=f"saved_ms_per_step/b{batch}",
                unit="ms",
                n=n,
                arms=[graphs, eager],
                value=(eager_s - graph_s) * 1000,
            )
        )
        if cost_s is None:
            drafts += [
                _absent(f"break_even/{what}/b{batch}", unit, absent) for what, unit in units.items()
            ]
            continue
        even = economics.break_even(cost_s, eager_s, graph_s, batch)
        values = {"steps": even.steps, "tokens": even.tokens, "seconds": even.serving_s}
        drafts += [
            _Draft(
                id=f"break_even/{what}/b{batch}",
                unit=units[what],
                value=value,
                n=n,
                missing=even.reason,
                arms=[graphs, eager],
                note="capture cost over what a step saves",
            )
            for what, value in values.items()
        ]
    return drafts


def _speaks_about(prediction: Prediction, dataset: Dataset) -> bool:
    return prediction.speaks_about(
        dataset.name, dataset.platform, dataset.device, dataset.model, dataset.device_memory_gib
    )


def _judge_draft(
    draft: _Draft, dataset: Dataset, predictions: list[Prediction], registered: Mapping[str, str]
) -> Number:
    judged = [
        _judge_prediction(draft, dataset, prediction, registered)
        for prediction in predictions
        if fnmatchcase(draft.id, prediction.number)
    ]
    unpredicted = None
    if not judged:
        unpredicted = draft.unpredicted or "no prediction was registered for this number"
    files = [file for arm in draft.arms for file in dataset.files.get(arm, [])]
    fields = draft.model_dump(exclude={"arms", "outcome", "settle", "unpredicted"})
    return Number(
        **fields,
        dataset=dataset.name,
        predictions=judged,
        unpredicted=unpredicted,
        origin=Origin(rule="build_ledger", files=files),
    )


def _judge_prediction(
    draft: _Draft, dataset: Dataset, prediction: Prediction, registered: Mapping[str, str]
) -> Judged:
    low, high = prediction.low, prediction.high
    settle = None
    verdict: Verdict
    if isinstance(prediction.value, bool):
        if draft.value is None or draft.outcome is None:
            verdict = "not measured"
        else:
            verdict = judge_claim(draft.outcome, draft.n == 1, bool(draft.value), prediction.value)
        if verdict == "inconclusive":
            settle = "more repeats"
    else:
        if low is None or high is None:
            raise LabError(f"prediction {prediction.id}: a number needs low and high")
        verdict = judge(draft.value, draft.low, draft.high, low, high)
        if verdict == "inconclusive":
            more = draft.settle(low, high) if draft.settle else None
            settle = f"about {more} more repeats" if more else "more repeats may not settle it"
    return Judged(
        id=prediction.id,
        source=prediction.source,
        value=prediction.value,
        low=low if low is not None and math.isfinite(low) else None,
        high=high if high is not None and math.isfinite(high) else None,
        in_sample=dataset.name in prediction.in_sample_for,
        post_hoc=registered.get(prediction.id) != prediction.sha256(),
        verdict=verdict,
        settle=settle,
    )


def read_ledger(path: Path) -> Ledger:
    """Read a ledger file; raises LabError naming it where it is not one."""
    try:
        return Ledger.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(
            f"{path}: not a ledger ({type(error).__name__}); run `make report`"
        ) from None


def ledger_table(ledger: Ledger) -> pd.DataFrame:
    """The ledger as a table: a row per number and prediction, for spreadsheets."""
    rows = []
    for number in ledger.numbers:
        row = number.model_dump(exclude={"predictions", "origin"})
        row["files"] = " ".join(number.origin.files)
        judged = [prediction.model_dump() for prediction in number.predictions] or [{}]
        rows += [
            row | {f"prediction_{key}": value for key, value in said.items()} for said in judged
        ]
    return pd.DataFrame(rows)
