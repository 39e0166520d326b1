"""The first screen: one picture, one sentence, and a line each on what follows from it."""

from cudagraph_lab.config.contrast import Role
from cudagraph_lab.design.predictions import LAB, predicted_by
from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.catalogue import EXTRAPOLATION, STARTUP
from cudagraph_lab.ledger.index import (
    Index,
    contrast_of_role,
    everywhere,
    of_primary,
    ratios,
    short_device,
)
from cudagraph_lab.ledger.selection import Sized, leading_role, ranked, sized
from cudagraph_lab.ledger.verdicts import WORDINGS
from cudagraph_lab.models.architecture import WEIGHT_BYTES
from cudagraph_lab.report.advice import advice_sentence, advise
from cudagraph_lab.report.claims import SPEAKERS, families
from cudagraph_lab.report.markup import Code, Exempt, Line, Piece, Strong, join, say
from cudagraph_lab.report.numbers import batch, bounds, noted
from cudagraph_lab.report.phrases import key, title, titles
from cudagraph_lab.report.sections.cost import cold_boot
from cudagraph_lab.report.sections.crossing import gpu_bound
from cudagraph_lab.report.sections.headline import LEADS, headline, leads
from cudagraph_lab.report.sections.outcome import failed, held
from cudagraph_lab.report.view import Answers, Block, Paragraph, Picture, Section

NO_DATASET: Line = ("There is no data set in this report.",)
BYTES = {"bfloat16": WEIGHT_BYTES["bf16"], "float16": WEIGHT_BYTES["fp16"]}  # of a weight


def answer(index: Index, drawings: dict[str, Drawing]) -> Section:
    """The first section."""
    heading = "How much do CUDA graphs matter in vLLM?"
    absent = [
        Paragraph(
            say(
                "There is no data set {name}, though {key} asks for it; the report goes on "
                "without it.",
                name=Code(name),
                key=Code("compare"),
            )
        )
        for name in index.ledger.absent
    ]
    if not index.main:
        return Section("answer", "Answer", heading, [Paragraph(NO_DATASET), *absent])
    role = leading_role(index)
    sentence = Paragraph((Strong(headline(index, role)),))
    rows = [
        ("Know", _caveats(index, role)),
        ("Held", held(index)),
        ("Did not hold", failed(index)),
        ("Set", what_to_set(index)),
        ("Costs", costs(index)),
        ("Larger models", larger(index)),
    ]
    here = index.ledger.measured_here
    beside: list[Block] = [sentence, Answers([(words, line) for words, line in rows if line])]
    if here and len(here) < len(index.datasets):
        said = "Measured here: {names}. Shipped data stand in grey."
        beside.append(Paragraph(say(said, names=titles(index, here)), small=True))
    beside += absent
    below = [Paragraph(line, small=True) for line in _terms(index)]
    picture = Picture(drawings["speed-up"], heading=True, beside=beside, below=below)
    return Section("answer", "Answer", heading, [picture])


_KEY = say(
    "{yes} predicted and confirmed, {no} refuted, {open} not settled. Point at a mark, or tap it, "
    "for the prediction. An underlined number leads to its row in the table of all numbers.",
    yes=WORDINGS["confirmed"].sign,
    no=WORDINGS["refuted"].sign,
    open=WORDINGS["inconclusive"].sign,
)


def _terms(index: Index) -> list[Line]:
    """What the marks mean, what the numbers are of, who predicted, how arms were measured."""
    said: list[Line] = [_KEY] if families(index) else []
    if leading_role(index) == "primary":
        said.append(
            (
                "The speed-up is in output tokens a second, the prompt’s pass included. It is that "
                "of graphs and compilation together, which is what the switch ",
                Code("enforce_eager"),
                " takes away. The graphs alone are under “Why”, the decode step alone under "
                "“Sizes”.",
            )
        )
    if any(claims.speaker == SPEAKERS[LAB][0] for claims in families(index)):
        said.append(
            (
                "The course lab is the teaching text whose claims are tested here; the step model "
                "and the expectations are this project’s own.",
            )
        )
    kinds = {d.measured for d in index.main if d.kind == "measured" and len(d.arms) > 1}
    role = leading_role(index)
    sides = [contrast_of_role(index, d.name, role) for d in index.main] if role else []
    pair = next(filter(None, sides), None)
    if len(kinds) > 1 and pair:
        arms = say("{a} or {b}", a=Code(pair.denominator), b=Code(pair.numerator))
        said.append(
            (
                "An arm is one way of starting vLLM, such as ",
                *arms,
                ". In turn: the arms are loaded together on one device and their calls alternate. "
                "Apart: each arm runs alone, one after the other, so that a change of the host’s "
                "load can look like a difference between arms.",
            )
        )
    return said


def _caveats(index: Index, role: Role | None) -> Line:
    """What a reader must know of the data sets that the sentence is about."""
    told = leads(index, role) if role else []
    said = list(dict.fromkeys(d.caveat for d in told if d.caveat))
    lines: list[Line | Piece] = [Exempt(caveat) for caveat in said]
    if said and any(d.platform == "cuda" and d.kind == "measured" for d in told):
        lines.append("Graphs save the host’s work, so that a quicker host gains less.")
    return join(lines, " ")


def advised(index: Index) -> list[str]:
    """The data sets that the advice is for: those that the page leads with."""
    here = index.ledger.measured_here
    names = [n for n in here if n in index.datasets] or list(index.datasets)
    decided = [n for n in names if advise(index, n).action not in ("cpu", "unmeasured", "nothing")]
    return [n for n in decided if index.datasets[n].kind == "measured"] or decided or names[:1]


def what_to_set(index: Index) -> Line:
    """Advice for the data sets that the page leads with."""
    own = advised(index)
    gaining = [name for name in own if advise(index, name).action == "on"]
    if gaining:
        where = join([Exempt(d) for d in _devices(index, gaining)])
        return say(
            "{what} (do not pass {flag}): every interval shows a gain, on {where}.",
            what=Strong(("Leave graphs on",)),
            flag=Code("--enforce-eager"),
            where=where,
        )
    return join([advice_sentence(index, name) for name in own[:LEADS]], " ")


def _devices(index: Index, names: list[str]) -> list[str]:
    return list(dict.fromkeys(short_device(index.datasets[name]) for name in names))


def costs(index: Index) -> Line:
    """What graphs cost at start-up, for the first data set that kept it."""
    for dataset in index.main:
        boots = of_primary(index, dataset.name, STARTUP, phase="boot")
        if boots is None:
            continue
        cold = cold_boot(index, dataset.name)
        return say(
            "The engine boots in {graphs} with graphs, in {eager} with {other} ({name}){cold}.",
            other=Code(str(boots[0].id.arm)),
            name=title(index, dataset),
            eager=noted(index, boots[0]),
            graphs=noted(index, boots[1]),
            cold=say("; in {x} with graphs and nothing cached", x=noted(index, cold))
            if cold
            else (),
        )
    return ()


def larger(index: Index) -> Line:
    """The largest model that was measured; where none was, the first that is forecast."""
    devices = sized(index)
    rows = [
        (device, row)
        for device, rows in devices.items()
        for row in rows
        if ratios(index, row.dataset, "primary")  # a data set of drafts has those of steps alone
    ]
    if len({row.label for _, row in rows}) > 1:
        device, row = max(rows, key=lambda pair: pair[1].parameters)
        numbers = ratios(index, row.dataset, "primary")
        first, last = numbers[min(numbers)], numbers[max(numbers)]
        claimed = [
            (n, p) for n in numbers.values() for p in n.predictions if predicted_by(p.id) == LAB
        ]
        return say(
            "{model} on one {device}: {x} at batch {a} and {y} at batch {b}.{claims}{why}"
            "{several}{elsewhere}",
            several=_several(index, row.label),
            elsewhere=_elsewhere(index, row),
            why=" The GPU is busy for nearly all of such a step, so graphs have little to save."
            if gpu_bound(index)
            else "",
            model=Exempt(row.label),
            device=Exempt(device),
            x=noted(index, first),
            y=noted(index, last),
            a=batch(min(numbers)),
            b=batch(max(numbers)),
            claims=join([_claimed(index, n, p) for n, p in claimed], ""),
        )
    forecasts = everywhere(index, EXTRAPOLATION)
    if not forecasts:
        return ()
    asked = forecasts[0].id
    return say(
        "Not measured. Forecast for {model} on {n} {device} at batch {size}, on a host that nobody "
        "measured: {x}.",
        model=key(asked.model),
        n=key(asked.tp),
        device=key(asked.device.upper()),
        size=key(asked.batch),
        x=noted(index, forecasts[0]),
    )


def _claimed(index: Index, number: Number, judged: Judged) -> Line:
    return say(
        " At batch {size} the lab said {bounds}: measured {x}.",
        size=batch(int(number.id.batch)),
        bounds=bounds(number, judged),
        x=noted(index, number),
    )


def _elsewhere(index: Index, row: Sized) -> Line:
    """The devices of the page one of which did not measure a model, and which cannot hold it."""
    labels = {device: {one.label for one in rows} for device, rows in sized(index).items()}
    measured = {device for device, names in labels.items() if row.label in names}
    mine = [d for d in index.main if d.kind == "measured" and d.platform == "cuda"]
    others = [d for d in mine if short_device(d) not in measured]
    needed_gib = row.parameters * BYTES.get(str(index.datasets[row.dataset].dtype), 0) / 2**30
    lines: list[Line] = []
    for name in _devices(index, [d.name for d in others]):
        there_gib = [d.device_memory_gib for d in others if short_device(d) == name]
        small = all(gib is not None and gib < needed_gib for gib in there_gib)
        text = " One {name} does not hold it." if small else " On one {name} it was not measured."
        lines.append(say(text, name=Exempt(name)))
    return join(lines, "")


def _several(index: Index, label: str) -> Line:
    """The same model on several GPUs, at the batch size in the middle; empty where on one only."""
    rows = [
        (device, row)
        for (device, model), found in ranked(index).items()
        for row in found
        if model == label and row.ranks > 1
    ]
    known = [ratios(index, row.dataset, "primary") for _, row in rows]
    common = sorted(set.intersection(*(set(numbers) for numbers in known))) if known else []
    if not common:
        return ("",)
    size = common[len(common) // 2]
    places = [(device, row.ranks) for device, row in rows]
    return say(
        " On several GPUs graphs gain more: at batch {size}, {parts}.",
        size=batch(size),
        parts=join(
            [
                say(
                    "{x} on {n} {device}{other}",
                    x=noted(index, numbers[size]),
                    n=key(row.ranks),
                    device=Exempt(device),
                    other=" of another host" if (device, row.ranks) in places[:at] else "",
                )
                for at, ((device, row), numbers) in enumerate(zip(rows, known, strict=True))
            ]
        ),
    )
