"""How the gain depends on the model's size, and why there is a gain at all."""

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import (
    BACKTEST_HITS,
    BACKTEST_INFEASIBLE,
    BACKTEST_TESTED,
    BACKTEST_WIDTH,
    EXTRAPOLATION,
    GRAPH_LAUNCHES,
    KERNELS,
    LAUNCHES,
)
from cudagraph_lab.ledger.index import (
    Index,
    contrast_of_role,
    having,
    ratios,
    short_model,
    short_title,
    value_at,
    with_quantity,
)
from cudagraph_lab.ledger.selection import factors, profiled
from cudagraph_lab.report.markup import Code, Exempt, Line, join, say
from cudagraph_lab.report.numbers import batch, bounds, noted
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Picture, Section


def sizes(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Speed-up against model size: what was measured, and the brackets beside it."""
    models = sorted({short_model(d) for d in having(index, "primary") if d.kind != "transcribed"})
    if len(models) > 1:
        first = say("{names} were measured.", names=join([(Exempt(m),) for m in models]))
    elif models:
        first = say(
            "One size was measured: {name}. How the gain falls with size is therefore not "
            "measured, only bracketed.",
            name=Exempt(models[0]),
        )
    else:
        first = ("No model was measured with graphs against eager.",)
    beside: list[Block] = [Paragraph(first), Bullets(_backtest(index) + _claims(index))]
    blocks: list[Block] = [Picture(drawings["sizes"], heading=False, beside=beside)]
    return Section("sizes", "Sizes", drawings["sizes"].title, blocks)


def _backtest(index: Index) -> list[Line]:
    lines: list[Line] = []
    for name in index.groups:
        tested, hits, width, infeasible = (
            value_at(index, name, quantity())
            for quantity in (BACKTEST_TESTED, BACKTEST_HITS, BACKTEST_WIDTH, BACKTEST_INFEASIBLE)
        )
        if not (tested and hits):
            continue
        lines.append(
            say(
                "Of {tested} published by others that our brackets had not been fitted to, {hits} "
                "lie inside{width}. Brackets this wide are easily hit: that is weak evidence.",
                tested=noted(index, tested),
                hits=noted(index, hits),
                width=say(" (median width of a bracket {w})", w=noted(index, width))
                if width
                else (),
            )
        )
        if infeasible and infeasible.value:
            lines.append(say("Faster than the hardware allows: {n}.", n=noted(index, infeasible)))
    return lines


def _claims(index: Index) -> list[Line]:
    """The claims about models that nobody here measured, one line for all of their brackets."""
    brackets = [n for name in index.groups for n in with_quantity(index, name, EXTRAPOLATION)]
    claimed = [(n, p) for n in brackets for p in n.predictions]
    lines: list[Line] = []
    for claim in dict.fromkeys(p.id for _, p in claimed):
        pairs = [(n, p) for n, p in claimed if p.id == claim]
        number, judged = pairs[0]
        tightest = min(pairs, key=lambda pair: pair[0].high or 0)[0]
        loosest = max(pairs, key=lambda pair: pair[0].high or 0)[0]
        lines.append(
            say(
                "The course lab says {bounds} for {model}. Our brackets go from {tight} "
                "({a}) to {loose} ({b}), so they settle nothing: only a measurement there does.",
                bounds=bounds(number, judged),
                model=Exempt(str(number.id.model), "key"),
                tight=noted(index, tightest),
                loose=noted(index, loosest),
                a=Exempt(_setting(tightest), "key"),
                b=Exempt(_setting(loosest), "key"),
            )
            if judged.verdict == "inconclusive"
            else say(
                "The course lab says {bounds} for {model}; our bracket is {tight}.",
                bounds=bounds(number, judged),
                model=Exempt(str(number.id.model), "key"),
                tight=noted(index, tightest),
            )
        )
    return lines


def _setting(number: Number) -> str:
    key = number.id
    return f"{key.tp} {str(key.device).upper()}, {key.dtype}"


def why(index: Index, drawings: dict[str, Drawing]) -> Section:
    """A step as GPU work and waiting; then graphs and compilation apart."""
    steps: list[Line] = []
    for dataset in index.ledger.datasets:
        steps += _step_lines(index, dataset.name)[:2]
    method = Paragraph(
        (
            "The GPU’s work is from one profiled run per arm; the step is the mean of the timed "
            "runs, which carry no profiler. While it waits, the host schedules, samples, passes "
            "messages, runs Python and launches kernels. The profile does not divide these.",
        ),
        small=True,
    )
    blocks: list[Block] = [
        Picture(
            drawings["step"], heading=False, beside=[Bullets(steps[:4]), method] if steps else []
        ),
        Picture(drawings["split"], heading=True, beside=[Bullets(_split_lines(index))]),
    ]
    if len(steps) > 4:
        blocks.insert(1, Fold(("The same for the other data sets",), [Bullets(steps[4:])]))
    return Section("why", "Why", drawings["step"].title, blocks)


def _step_lines(index: Index, dataset: str) -> list[Line]:
    """Eager beside graphs at the smallest profiled batch, in time and in launches."""
    pair = contrast_of_role(index, dataset, "primary")
    rows = profiled(index, dataset)
    if pair is None or not rows:
        return []
    size = min(row[1] for row in rows)
    known = {arm: (step, work) for arm, at, step, work in rows if at == size}
    fast, slow = pair[1].numerator, pair[1].denominator
    name = Exempt(short_title(index, index.datasets[dataset]))
    if fast not in known or slow not in known:
        return []
    lines = [
        say(
            "{name}, batch {size}: a step of {slow} takes {step}, in which the GPU works {work}. "
            "For the rest of the step it waits. With {fast} a step takes {step2}, and it works "
            "{work2}.",
            name=name,
            size=batch(size),
            slow=Code(slow),
            fast=Code(fast),
            step=noted(index, known[slow][0]),
            work=noted(index, known[slow][1]),
            step2=noted(index, known[fast][0]),
            work2=noted(index, known[fast][1]),
        )
    ]
    counts = [
        value_at(index, dataset, quantity(arm=arm, batch=size))
        for quantity, arm in ((KERNELS, slow), (GRAPH_LAUNCHES, fast), (LAUNCHES, fast))
    ]
    kernels, replays, launches = counts
    if kernels and replays and launches:
        lines.append(
            say(
                "{name}: {slow} launches {kernels} a step one by one; {fast} needs {replays} for "
                "replays and {launches} beside them.",
                name=name,
                slow=Code(slow),
                fast=Code(fast),
                kernels=noted(index, kernels),
                replays=noted(index, replays),
                launches=noted(index, launches),
            )
        )
    return lines


def _split_lines(index: Index) -> list[Line]:
    lines: list[Line] = []
    for dataset in index.ledger.datasets:
        parts = factors(index, dataset.name)
        if parts is None:
            continue
        graph, compiler = parts
        small = min(set(graph) & set(compiler), default=None)
        if small is None:
            continue
        lines.append(
            say(
                "{name}: at batch {size} graphs alone give {graph}, compilation alone {compiler}."
                "{more}",
                name=Exempt(short_title(index, dataset)),
                size=batch(small),
                graph=noted(index, graph[small]),
                compiler=noted(index, compiler[small]),
                more=f" Intervals that show a gain: {_all_or_none(graph)} of those of the graphs, "
                f"{_all_or_none(compiler)} of those of compilation.",
            )
        )
    for dataset in index.ledger.datasets:
        numbers = ratios(index, dataset.name, "piecewise")
        if numbers:
            size = min(numbers)
            lines.append(
                say(
                    "{name}: piecewise graphs run at {x} the speed of the default at batch {size}, "
                    "and {y} at batch {large}.",
                    name=Exempt(short_title(index, dataset)),
                    x=noted(index, numbers[size]),
                    size=batch(size),
                    y=noted(index, numbers[max(numbers)]),
                    large=batch(max(numbers)),
                )
            )
    return lines


def _all_or_none(numbers: dict[int, Number]) -> str:
    """At how many batch sizes the whole interval lies above 1, in a word."""
    shown = [n.low is not None and n.low > 1 for n in numbers.values()]
    return "all" if all(shown) else "some" if any(shown) else "none"
