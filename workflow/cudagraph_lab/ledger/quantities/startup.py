"""What a start costs: capture, compilation, phases of the start-up, and the KV cache."""

import math
from collections.abc import Iterator

from cudagraph_lab.config.contrast import Contrast
from cudagraph_lab.ledger import catalogue
from cudagraph_lab.ledger.cells import Cells, missing_arm
from cudagraph_lab.ledger.quantity import NumberId
from cudagraph_lab.ledger.results import Result, absent, bounded, counted, mean
from cudagraph_lab.models import costs
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.statistics.uncertainty import t_quantile

NO_LOG = "the start-up log was not kept"
KV_GIVEN = "the size of the KV cache was given, so that graphs could take nothing of it"


def capture_results(dataset: Dataset, headline: Contrast, cells: Cells) -> list[Result]:
    """Passes, shapes, seconds and memory of the capture of the headline's arms."""
    graphs, eager = headline.numerator, headline.denominator

    def result(number: NumberId, arm: str, quantity: str) -> Result:
        cell = cells.get((arm, quantity, None))
        if cell is None:
            return absent(number, missing_arm(dataset, arm) or NO_LOG)
        if number.quantity.unit in ("s", "GiB"):
            return mean(number, cell, [arm])
        return counted(number, cell, [arm])

    return [
        result(catalogue.PASSES(), graphs, "passes"),
        result(catalogue.SHAPES_PIECEWISE(), graphs, "shapes_piecewise"),
        result(catalogue.SHAPES_FULL(), graphs, "shapes_full"),
        result(catalogue.CAPTURE_S(), graphs, "capture_seconds"),
        result(catalogue.CAPTURE_GIB(), graphs, "capture_gib"),
        result(catalogue.PASSES_OF_ARM(arm=eager), eager, "passes"),
    ]


def startup_results(dataset: Dataset, cells: Cells) -> Iterator[Result]:
    """Phases of every start, and the KV cache that it left room for."""
    for (arm, quantity, _), cell in cells.items():
        if dataset.arms[arm].purpose == "profile":
            continue
        took_time = quantity.startswith("span_") and all(min(repeat) > 0 for repeat in cell)
        if took_time or quantity.startswith("compile_"):
            phase = quantity.removeprefix("span_").removesuffix("_s")
            yield mean(catalogue.STARTUP(phase=phase, arm=arm), cell, [arm])
        elif quantity == "kv_cache_tokens":
            yield counted(catalogue.KV_TOKENS(arm=arm), cell, [arm])
        elif quantity == "capture_graphs" and len(dataset.versions) > 1:
            yield counted(catalogue.GRAPHS_OF_ARM(arm=arm), cell, [arm])


def fit_of_captures(startup: Cells) -> tuple[costs.CostFit | None, list[str]]:
    """Seconds per graph over all captures of a data set, and the arms that entered."""
    points = [
        (graphs, seconds)
        for (arm, quantity, _), cell in startup.items()
        if quantity == "capture_graphs"
        for (graphs,), (seconds,) in zip(
            cell, startup.get((arm, "capture_seconds", None), []), strict=False
        )
    ]
    arms = sorted({arm for arm, quantity, _ in startup if quantity == "capture_graphs"})
    return costs.fit_capture_cost(points), arms


def capture_fit_results(cells: Cells) -> list[Result]:
    """What one more graph costs."""
    fit, arms = fit_of_captures(cells)
    if fit is None:
        return []
    margin = t_quantile(fit.points - 2) * fit.per_graph_se
    ends, method = (fit.per_graph - margin, fit.per_graph + margin), "t on the least-squares line"
    note = f"least-squares slope over {fit.points} captures of different ladders"
    number = catalogue.CAPTURE_S_PER_GRAPH()
    return [bounded(number, fit.per_graph, ends, method, n=fit.points, arms=arms, note=note)]


def kv_results(dataset: Dataset, headline: Contrast, startup: Cells) -> list[Result]:
    """KV-cache tokens and requests of full length that graphs cost at equal memory."""
    arms = [headline.numerator, headline.denominator]
    kept = [c for arm in arms if (c := startup.get((arm, "kv_cache_tokens", None))) is not None]
    if len(kept) < 2:
        return []
    if any("kv_cache_memory_bytes" in dataset.arms[arm].engine_args for arm in arms):
        return [
            absent(of(), KV_GIVEN) for of in (catalogue.KV_TOKENS_LOST, catalogue.KV_REQUESTS_LOST)
        ]
    with_graphs, without = (round(math.fsum(value for (value,) in c) / len(c)) for c in kept)
    n = min(len(cell) for cell in kept)
    note = f"at equal memory; a request of max_model_len has {dataset.max_model_len} tokens"
    lost = without - with_graphs
    return [
        Result(id=number, value=value, n=n, note=note, arms=arms)
        for number, value in (
            (catalogue.KV_TOKENS_LOST(), lost),
            (catalogue.KV_REQUESTS_LOST(), lost / dataset.max_model_len),
        )
    ]


def compile_cache_results(dataset: Dataset, headline: Contrast, startup: Cells) -> list[Result]:
    """Compile seconds with a cold and a warm cache, over arms with the headline's arguments."""
    graphs = headline.numerator
    if graphs not in dataset.arms:
        return []
    settings = dataset.arms[graphs].settings
    alike = [arm for arm, facts in dataset.arms.items() if facts.settings == settings]

    def compilation(number: NumberId, state: str) -> Result:
        cells = (startup.get((arm, f"compile_{state}_s", None), []) for arm in alike)
        seconds = [value for cell in cells for repeat in cell for value in repeat]
        if not seconds:
            return absent(number, f"no start with a {state} compile cache was run")
        return mean(number, [[value] for value in seconds], alike)

    return [
        compilation(catalogue.COMPILE_COLD_S(), "cold"),
        compilation(catalogue.COMPILE_WARM_S(), "warm"),
    ]
