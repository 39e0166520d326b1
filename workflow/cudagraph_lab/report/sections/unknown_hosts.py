"""What the step model says of a host of unknown speed, tested since or not."""

from collections.abc import Iterator, Sequence

from cudagraph_lab.ledger.build import Judged, Number
from cudagraph_lab.ledger.catalogue import EXTRAPOLATION
from cudagraph_lab.ledger.index import Index, everywhere, ratios
from cudagraph_lab.models.architecture import read_devices, read_models
from cudagraph_lab.report.markup import Line, Strong, join, say
from cudagraph_lab.report.numbers import batch, bounds, noted
from cudagraph_lab.report.phrases import key

FORECASTS = 2  # of models and numbers of GPUs that nobody measured
DTYPES = {"bf16": "bfloat16", "fp16": "float16"}  # as forecasts and as records name them


def beyond(index: Index) -> Iterator[Line]:
    """What the step model says where nothing was measured, and whether that tests a claim."""
    alike: dict[tuple[str, str, int], list[Number]] = {}
    forecasts = everywhere(index, EXTRAPOLATION)
    open_still = [n for n in forecasts if not _measured(index, n)][:FORECASTS]
    for number in sorted(open_still, key=lambda n: int(n.id.tp)):
        asked = number.id
        alike.setdefault((asked.model, asked.device, asked.batch), []).append(number)
    for (model, device, size), numbers in alike.items():
        claims = {j.id: (n, j) for n in numbers for j in n.predictions}
        yield say(
            "{model} was not measured on {counts} {device}: without a host to go by, our "
            "step model gives {values} at batch {size}.{claims}",
            model=Strong((key(model),)),
            counts=join([key(n.id.tp) for n in numbers], last=" or "),
            device=key(device.upper()),
            size=key(size),
            values=join([noted(index, n) for n in numbers]),
            claims=join([_claim(*pair, numbers) for pair in claims.values()], ""),
        )


def foretold(index: Index) -> list[Line]:
    """What was said of a host of unknown speed, where somebody measured it since."""
    return [
        say(
            "{model} on {n} {device}, batch {size}: without a host to go by our step model gives "
            "{x}; measured: {y}.",
            model=Strong((key(number.id.model),)),
            n=key(number.id.tp),
            device=key(number.id.device.upper()),
            size=batch(int(number.id.batch)),
            x=noted(index, number),
            y=join([noted(index, one) for one in measured]),
        )
        for number in everywhere(index, EXTRAPOLATION)
        if (measured := _measured(index, number))
    ]


def _measured(index: Index, forecast: Number) -> list[Number]:
    """The measured speed-ups of the very model, device, number of GPUs and batch size."""
    asked = forecast.id
    hub = read_models()[asked.model].hub
    device = read_devices()[asked.device].reported_as
    return [
        speed_up
        for dataset in index.ledger.datasets
        if dataset.kind == "measured" and (dataset.model, dataset.device) == (hub, device)
        if (dataset.tensor_parallel_size, dataset.dtype) == (asked.tp, DTYPES.get(asked.dtype))
        if (speed_up := ratios(index, dataset.name, "primary").get(asked.batch)) is not None
    ]


def _claim(number: Number, judged: Judged, numbers: Sequence[Number]) -> Line:
    """What was claimed of these forecasts, and whether they can tell."""
    verdicts = {j.verdict for n in numbers for j in n.predictions if j.id == judged.id}
    told = (
        "a range as wide does not test that"
        if "inconclusive" in verdicts
        else "that agrees"
        if verdicts == {"confirmed"}
        else "that speaks against it"
    )
    return say(
        " The course lab said {b} for a model of that size; {told}.",
        b=bounds(number, judged),
        told=told,
    )
