"""From which model size eager is as good, and why: forecasts, and the largest measured step."""

from collections.abc import Iterator

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.catalogue import BUSY_S, CURVE_CROSSING, CURVE_LAUNCH, STEP
from cudagraph_lab.ledger.index import Index, of_primary, value_at
from cudagraph_lab.ledger.selection import Curve, curves, sized
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, noted
from cudagraph_lab.report.phrases import bullets, key, title
from cudagraph_lab.report.view import Block, Bullets, Picture

NEARLY = 0.9  # of a step in which the GPU works: beyond it the GPU decides


def crossing(index: Index, drawings: dict[str, Drawing]) -> list[Block]:
    """The curves with their sentences; nothing where no host could be calibrated."""
    found = curves(index)
    lines = [*gpu_bound(index), *_by_host(index, found)]
    if not found:
        return bullets(lines)
    lines.append(
        (
            "Tensor parallelism moves that size up, since the GPUs share the work and each needs "
            "all launches. A slower GPU moves it down, and so does a host that launches faster.",
        )
    )
    return [Picture(drawings["crossing"], heading=True, beside=[Bullets(lines)])]


def gpu_bound(index: Index) -> list[Line]:
    """Why the largest measured model gains little, where the GPU works nearly all of its step."""
    rows = [row for rows in sized(index).values() for row in rows]
    for row in sorted(rows, key=lambda row: -row.parameters):
        size = min(row.ratios)
        steps, works = (of_primary(index, row.dataset, q, batch=size) for q in (STEP, BUSY_S))
        if steps is None or works is None:
            continue
        (slow, fast), (busy, busy_too) = steps, works
        if float(busy.value or 0) < NEARLY * float(slow.value or 1):
            return []
        return [
            say(
                "{what} At batch {size} a step of {a} takes {slow}, for {busy} of which the GPU "
                "works; with {b} a step takes {fast}, for {busy2} of which it works. The host "
                "launches the next kernels while the GPU still works, so that launches cost no "
                "time and graphs have little to save.",
                what=Strong(say("Why {model} gains little.", model=Exempt(row.label))),
                a=Code(str(slow.id.arm)),
                b=Code(str(fast.id.arm)),
                slow=noted(index, slow),
                busy=noted(index, busy),
                fast=noted(index, fast),
                busy2=noted(index, busy_too),
                size=batch(size),
            )
        ]
    return []


def _by_host(index: Index, found: list[Curve]) -> Iterator[Line]:
    for host in dict.fromkeys(curve.host for curve in found):
        mine = [curve for curve in found if curve.host == host]
        cost = value_at(index, mine[0].points[0][1].dataset, CURVE_LAUNCH(host=host))
        if cost is not None:
            yield say(
                "{which}, with {cost} a launch. By our step model, eager loses less than a tenth "
                "{places}.",
                which=Strong(_host(index, host)),
                cost=noted(index, cost),
                places=join([_place(index, curve) for curve in mine], "; "),
            )


def _host(index: Index, host: str) -> Line:
    if host not in index.datasets:
        return ("A quick host, assumed",)
    return say("The host of {name}", name=title(index, host))


def _place(index: Index, curve: Curve) -> Line:
    last = curve.points[-1][1]
    where = say("on {n} {device}", n=key(curve.tp), device=key(curve.device.upper()))
    at = value_at(
        index,
        last.dataset,
        CURVE_CROSSING(host=curve.host, device=curve.device, tp=curve.tp, batch=curve.batch),
    )
    if at is not None:
        return say("{where} from {x} parameters", where=where, x=noted(index, at))
    return say(
        "{where} at no size that fits (graphs still give {x} for {model})",
        where=where,
        x=noted(index, last),
        model=key(last.id.model),
    )
