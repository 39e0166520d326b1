"""What the step model says of a host of unknown speed, tested since or not."""

from collections.abc import Sequence

from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.catalogue import EXTRAPOLATION
from cudagraph_lab.ledger.index import Index, ratios, with_quantity
from cudagraph_lab.models.architecture import read_devices, read_models
from cudagraph_lab.report.markup import Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, bounds, noted

FORECASTS = 2  # of models and numbers of GPUs that nobody measured
DTYPES = {"bf16": "bfloat16", "fp16": "float16"}  # as forecasts and as records name them


def beyond(index: Index) -> list[Line]:
    """What the step model says where nothing was measured, and whether that tests a claim."""
    lines: list[Line] = []
    for name in index.groups:
        alike: dict[tuple[str, str, int], list[Number]] = {}
        forecasts = with_quantity(index, name, EXTRAPOLATION)
        for number in [n for n in forecasts if not _measured(index, n)][:FORECASTS]:
            key = number.id
            alike.setdefault((str(key.model), str(key.device), int(key.batch)), []).append(number)
        for (model, device, size), numbers in alike.items():
            values = [
                say("{x} on {n}", n=Exempt(str(n.id.tp), "key"), x=noted(index, n)) for n in numbers
            ]
            claims = {j.id: (n, j) for n in numbers for j in n.predictions}
            lines.append(
                say(
                    "{model} was not measured on {counts} {device}. Our step model gives, at batch "
                    "{size} and on a host of unknown speed, {values}.{claims}",
                    model=Strong((Exempt(model, "key"),)),
                    counts=join([(Exempt(str(n.id.tp), "key"),) for n in numbers], ", ", " or "),
                    device=Exempt(device.upper(), "key"),
                    size=Exempt(str(size), "key"),
                    values=join(values),
                    claims=join([_claim(*pair, numbers) for pair in claims.values()], "", ""),
                )
            )
    return lines


def foretold(index: Index) -> list[Line]:
    """What was said of a host of unknown speed, where somebody measured it since."""
    return [
        say(
            "{model} on {n} {device}, batch {size}: without a host to go by our step model gives "
            "{x}; measured: {y}.",
            model=Strong((Exempt(str(number.id.model), "key"),)),
            n=Exempt(str(number.id.tp), "key"),
            device=Exempt(str(number.id.device).upper(), "key"),
            size=batch(int(number.id.batch)),
            x=noted(index, number),
            y=join([noted(index, one) for one in measured]),
        )
        for name in index.groups
        for number in with_quantity(index, name, EXTRAPOLATION)
        if (measured := _measured(index, number))
    ]


def _measured(index: Index, forecast: Number) -> list[Number]:
    """The measured speed-ups of the very model, device, number of GPUs and batch size."""
    key = forecast.id
    hub = read_models()[str(key.model)].hub
    device = read_devices()[str(key.device)].reported_as
    return [
        speed_up
        for dataset in index.ledger.datasets
        if dataset.kind == "measured" and (dataset.model, dataset.device) == (hub, device)
        if (dataset.tensor_parallel_size, dataset.dtype) == (key.tp, DTYPES.get(str(key.dtype)))
        if (speed_up := ratios(index, dataset.name, "primary").get(int(key.batch))) is not None
    ]


def _claim(number: Number, judged: Judged, numbers: Sequence[Number]) -> Line:
    """What was claimed of these forecasts, and whether they can tell."""
    verdicts = {j.verdict for n in numbers for j in n.predictions if j.id == judged.id}
    told = (
        "these ranges are too wide to test that"
        if "inconclusive" in verdicts
        else "these ranges agree"
        if verdicts == {"confirmed"}
        else "these ranges speak against it"
    )
    return say(
        " The course lab said {b} for a model of that size; {told}.",
        b=bounds(number, judged),
        told=told,
    )
