"""How the gain depends on the model's size, and why there is a gain at all."""

from collections.abc import Iterator

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.ledger.catalogue import GRAPH_LAUNCHES, KERNELS, LAUNCHES
from cudagraph_lab.ledger.index import Index, contrast_of_role, ratios, value_at
from cudagraph_lab.ledger.selection import factors, one_a_device, profiled
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Line, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.phrases import title
from cudagraph_lab.report.view import Block, Bullets, Fold, Paragraph, Picture, Section


def why(index: Index, drawings: dict[str, Drawing]) -> Section:
    """A step as GPU work and waiting; then graphs and compilation apart."""
    steps: list[Line] = []
    profiles = [d.name for d in index.main if profiled(index, d.name)]
    for name in one_a_device(index, profiles):
        steps += _step_lines(index, name)[:2]
    method = Paragraph(
        (
            "The GPU’s work comes from one profiled run per arm, and does not depend on the host. "
            "The length of a step comes from runs without a profiler, with the arms "
            "in turn where there are such runs. While the GPU waits, the host schedules "
            "requests, prepares sampling, passes messages, runs Python and launches kernels; how "
            "much each of these takes was not measured.",
        ),
        small=True,
    )
    blocks: list[Block] = [
        Picture(
            drawings["step"], heading=False, beside=[Bullets(steps[:4]), method] if steps else []
        ),
        Picture(drawings["split"], heading=True, beside=[Bullets([*_split_lines(index)])]),
    ]
    if len(steps) > 4:
        blocks.insert(1, Fold(("The same for the other data sets",), [Bullets(steps[4:])]))
    return Section("why", "Why", drawings["step"].title, blocks)


def _step_lines(index: Index, dataset: str) -> list[Line]:
    """Eager beside graphs at the smallest profiled batch, in time and in launches."""
    sides = contrast_of_role(index, dataset, "primary")
    rows = profiled(index, dataset)
    if sides is None or not rows:
        return []
    size = min(row[1] for row in rows)
    known = {arm: (step, work) for arm, at, step, work in rows if at == size}
    fast, slow = sides.numerator, sides.denominator
    if fast not in known or slow not in known:
        return []
    timed = known[slow][0].dataset
    name = title(index, timed)
    lines = [
        say(
            "{name}, batch {size}: a step of {slow} takes {step}. The GPU works for {work} of it "
            "and waits for the host the rest of the time. With {fast} a step takes {step2}, of "
            "which the GPU works for {work2}.",
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
                "{name}, profiled: {slow} launches {kernels} a step one by one; {fast} needs "
                "{replays} for replays and {launches} beside them.",
                name=title(index, dataset),
                slow=Code(slow),
                fast=Code(fast),
                kernels=noted(index, kernels),
                replays=noted(index, replays),
                launches=noted(index, launches),
            )
        )
    return lines


def _split_lines(index: Index) -> Iterator[Line]:
    both = [d.name for d in index.main if factors(index, d.name)]
    for name in one_a_device(index, both):
        graph, compiler = factors(index, name) or ({}, {})
        small = min(set(graph) & set(compiler), default=None)
        if small is not None:
            yield say(
                "{name}: at batch {size} graphs on top of compilation give {graph}, compilation "
                "alone {compiler}.{more}",
                name=title(index, name),
                size=batch(small),
                graph=noted(index, graph[small]),
                compiler=noted(index, compiler[small]),
                more=f" The interval shows a gain of the graphs at {_at_how_many(graph)}, of "
                f"compilation at {_at_how_many(compiler)}.",
            )
    for dataset in index.main:
        if numbers := ratios(index, dataset.name, "piecewise"):
            size = min(numbers)
            yield say(
                "{name}{design}: with piecewise graphs alone vLLM runs at {x} the speed of its "
                "default at batch {size}, at {y} at batch {large}.",
                name=title(index, dataset),
                design=_design(dataset),
                x=noted(index, numbers[size]),
                size=batch(size),
                y=noted(index, numbers[max(numbers)]),
                large=batch(max(numbers)),
            )


def _design(dataset: Dataset) -> str:
    """What a factorial is, where the data set is one."""
    roles = {contrast.role for contrast in dataset.contrasts.values()}
    if {"graph_compiled", "graph_uncompiled"} <= roles:
        return " (graphs and compilation, each with and without the other)"
    return ""


def _at_how_many(numbers: dict[int, Number]) -> str:
    """At how many batch sizes the whole interval lies above 1, in words."""
    shown = [n.low is not None and n.low > 1 for n in numbers.values()]
    if all(shown):
        return "every batch size"
    return "some batch sizes" if any(shown) else "no batch size"
