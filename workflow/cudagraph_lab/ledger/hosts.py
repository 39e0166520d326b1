"""The host and the device of a measured data set, as the step model sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import yaml

from cudagraph_lab.design.datasets import RESULTS, SHIPPED, description_of, record_files
from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.cells import cells_of, locate_pair, locate_step, profiled
from cudagraph_lab.models.architecture import (
    CONFIG,
    Device,
    Dtype,
    Roofline,
    read_devices,
    read_models,
    roofline,
)
from cudagraph_lab.models.calibration import (
    Calibration,
    MeasuredBusy,
    MeasuredStep,
    fit_all_reduce,
    fit_host,
    fit_speed,
)
from cudagraph_lab.models.forecast import Forecast, forecast
from cudagraph_lab.models.step import (
    DRAWS,
    STEP_ARMS,
    Assumed,
    Floats,
    Speed,
    StepArm,
    assumed_speed,
    work_of,
)
from cudagraph_lab.observations.dataset import Dataset, collect
from cudagraph_lab.observations.table import as_table
from cudagraph_lab.shapes import Model


@dataclass(frozen=True)
class CalibratedHost:
    """A fit with the names of what it was fitted on, from config/devices.yaml and models.yaml."""

    dataset: str
    device: str
    model: str
    calibration: Calibration
    all_reduce: str | None = None  # the data set that the all-reduce was fitted on


def step_arms(dataset: Dataset) -> dict[StepArm, str]:
    """The arms of the data set that are eager, compiled and with graphs, by their role.

    Raises LabError where a contrast of role primary or graph is missing.
    """
    by_role = {contrast.role: contrast for contrast in dataset.contrasts.values()}
    primary, graph = by_role.get("primary"), by_role.get("graph")
    if primary is None or graph is None:
        raise LabError(
            f"calibrate: {dataset.name} has no contrast of role "
            f"{'graph' if primary else 'primary'}; eager, compiled and graphs are needed"
        )
    return {
        "eager": primary.denominator,
        "compiled": graph.denominator,
        "graphs": primary.numerator,
    }


def calibrate(
    dataset: Dataset,
    table: pd.DataFrame,
    devices: Mapping[str, Device],
    models: Mapping[str, Model],
    assumed: Assumed,
    seed: int,
) -> CalibratedHost:
    """Fit the constants of the host and the device that a data set was measured on.

    `table` is that of `observations.dataset`. Raises LabError where the device or the model is
    not in the tables, or where the cells do not identify the constants.
    """
    device_name, model_name = _entries(dataset, devices, models)
    device, model, arms = devices[device_name], models[model_name], step_arms(dataset)
    guess = assumed_speed(device, assumed.device, seed)
    speed = fit_speed(guess, device, _busy(dataset, table, device, model, arms))
    cells = _steps(dataset, table, device, model, arms, assumed, seed)
    fitted = replace(
        fit_host(speed, cells),
        kernel_fitted=speed.kernel_s is not guess.kernel_s,
        bandwidth_fitted=speed.bandwidth_b_s is not guess.bandwidth_b_s,
    )
    return CalibratedHost(dataset.name, device_name, model_name, fitted)


def with_all_reduce(host: CalibratedHost, name: str, assumed: Assumed, seed: int) -> CalibratedHost:
    """The host with the all-reduce that was measured in a data set of two ranks.

    Raises LabError as `models.calibration.fit_all_reduce` and `read_measured` do.
    """
    dataset, table = read_measured(name)
    devices, models = read_devices(), read_models()
    device_name, model_name = _entries(dataset, devices, models)
    device, model = devices[device_name], models[model_name]
    graphs: dict[StepArm, str] = {"graphs": step_arms(dataset)["graphs"]}
    cells = _steps(dataset, table, device, model, graphs, assumed, seed)
    there = fit_all_reduce(speed_on(host, device_name, device, assumed, seed), cells)
    speed = replace(
        host.calibration.speed,
        all_reduce_s=there.all_reduce_s,
        all_reduce_b_s=there.all_reduce_b_s,
    )
    return replace(host, calibration=replace(host.calibration, speed=speed), all_reduce=name)


def _steps(
    dataset: Dataset,
    table: pd.DataFrame,
    device: Device,
    model: Model,
    arms: Mapping[StepArm, str],
    assumed: Assumed,
    seed: int,
) -> list[MeasuredStep]:
    """The measured steps of these arms, with the work in each."""
    timed, counts = cells_of(table, "timed"), cells_of(table, "profile")
    ranks, kernels = dataset.tensor_parallel_size, assumed.kernels
    cells = []
    for arm, name in arms.items():
        for batch in dataset.batch_sizes:
            located = locate_step(timed, name, batch, seed + STEP_ARMS.index(arm))
            if located is None:
                continue
            draws = located.draws if located.draws is not None else np.full(DRAWS, located.value)
            roof = _roof(dataset, device, model, batch)
            work = work_of(model, roof, batch, ranks, kernels, seed)
            busy_s = profiled(dataset, name, "device_busy_s_per_step", batch, counts)
            cells.append(MeasuredStep(arm, work, draws, busy_s))
    return cells


def _roof(dataset: Dataset, device: Device, model: Model, batch: int) -> Roofline:
    ranks, context = dataset.tensor_parallel_size, mean_context(dataset)
    return roofline(device, model, batch, ranks, dtype_of(dataset), context)


def _entries(
    dataset: Dataset, devices: Mapping[str, Device], models: Mapping[str, Model]
) -> tuple[str, str]:
    """The names of the data set's device and model in the tables."""
    device = _named(devices, "reported_as", dataset.device, dataset.name, "devices.yaml")
    return device, _named(models, "hub", dataset.model, dataset.name, "models.yaml")


def _named(
    table: Mapping[str, Device | Model], key: str, name: str, dataset: str, file: str
) -> str:
    for short, entry in table.items():
        if getattr(entry, key) == name:
            return short
    raise LabError(
        f"calibrate: {dataset}: {name!r} is in no entry of config/{file} (key {key}); add one"
    )


def dtype_of(dataset: Dataset) -> Dtype:
    """The dtype as the tables of the step model name it. Raises LabError for another one."""
    known: dict[str | None, Dtype] = {"float16": "fp16", "bfloat16": "bf16"}
    if dataset.dtype not in known:
        raise LabError(
            f"{dataset.name}: dtype {dataset.dtype or 'not recorded'}: the step model knows "
            "float16 and bfloat16"
        )
    return known[dataset.dtype]


def mean_context(dataset: Dataset) -> int:
    """Tokens that a request holds on average while it decodes: the prompt and half the output.

    Raises LabError where the length of the prompt is not recorded.
    """
    if dataset.prompt_tokens is None:
        raise LabError(f"{dataset.name}: the prompt was a text, so its length is not known")
    return dataset.prompt_tokens + dataset.output_tokens // 2


def _busy(
    dataset: Dataset,
    table: pd.DataFrame,
    device: Device,
    model: Model,
    arms: Mapping[StepArm, str],
) -> list[MeasuredBusy]:
    counts = cells_of(table, "profile")
    found = []
    for name in arms.values():
        for batch in dataset.batch_sizes:
            kernels = profiled(dataset, name, "kernels_per_step", batch, counts)
            busy_s = profiled(dataset, name, "device_busy_s_per_step", batch, counts)
            if kernels is not None and busy_s is not None:
                found.append(MeasuredBusy(_roof(dataset, device, model, batch), kernels, busy_s))
    return found


def read_measured(name: str) -> tuple[Dataset, pd.DataFrame]:
    """A data set that was measured in this directory, or is shipped, with its table.

    Contrasts are its own and those of config/config.yaml. Raises LabError where there is none of
    that name.
    """
    records = record_files(RESULTS / name / "runs") or record_files(SHIPPED / name / "runs")
    if not records:
        raise LabError(
            f"{name}: there is no data set of that name here; measure it, or name one of "
            f"{', '.join(sorted(path.parent.name for path in SHIPPED.glob('*/runs')))}"
        )
    shipped = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    dataset, rows = collect(name, records, description_of(name), shipped["contrasts"], {}, {})
    return dataset, as_table(rows)


def read_host(name: str, assumed: Assumed, seed: int) -> CalibratedHost:
    """Calibrate on a data set by its name. Raises LabError as `calibrate` does."""
    dataset, table = read_measured(name)
    return calibrate(dataset, table, read_devices(), read_models(), assumed, seed)


def measured_ratios(name: str, model: str | None = None) -> dict[int, float]:
    """By batch size, eager over graphs of a data set in seconds per decode step.

    Raises LabError where the data set is of another `model`, given as the hub spells it.
    """
    dataset, table = read_measured(name)
    if model not in (None, dataset.model):
        raise LabError(f"{name} is of {dataset.model}, not of {model}; name a data set of that")
    timed, arms = cells_of(table, "timed"), step_arms(dataset)
    return {
        batch: pair[0].value / pair[1].value
        for batch in dataset.batch_sizes
        if (pair := locate_pair(timed, arms["eager"], arms["graphs"], batch, 0)) is not None
    }


def speed_on(host: CalibratedHost, name: str, device: Device, assumed: Assumed, seed: int) -> Speed:
    """The speed of a device: the fitted one, or on another device the assumed one.

    The latency of a kernel is taken along: it is the same on the two devices that were profiled;
    so is an all-reduce that was fitted.
    """
    fitted = host.calibration.speed
    if name == host.device:
        return fitted
    there = replace(assumed_speed(device, assumed.device, seed), kernel_s=fitted.kernel_s)
    if host.all_reduce is None:
        return there
    return replace(there, all_reduce_s=fitted.all_reduce_s, all_reduce_b_s=fitted.all_reduce_b_s)


@dataclass(frozen=True)
class Constant:
    """A fitted or assumed constant, in its unit, and which of the two it is."""

    forecast: Forecast
    unit: str
    origin: str


def constants_of(host: CalibratedHost) -> dict[str, Constant]:
    """The constants of a calibration by what they are."""
    fitted, speed = host.calibration.host, host.calibration.speed
    assumed, measured = "assumed: config/step_model.yaml", "fitted"

    def constant(draws: Floats, scale: float, unit: str, origin: str) -> Constant:
        return Constant(forecast(draws * scale), unit, origin)

    bandwidth = measured if host.calibration.bandwidth_fitted else assumed
    latency = measured if host.calibration.kernel_fitted else assumed
    return {
        "fixed host work a step": constant(fitted.fixed_s, 1e3, "ms", measured),
        "host work a request": constant(fitted.per_request_s, 1e6, "us", measured),
        "a launch in eager": constant(fitted.per_launch_s["eager"], 1e6, "us", measured),
        "a launch, compiled": constant(fitted.per_launch_s["compiled"], 1e6, "us", measured),
        "a kernel on the GPU": constant(speed.kernel_s, 1e6, "us", latency),
        "bandwidth": constant(speed.bandwidth_b_s, 1e-12, "TB/s", bandwidth),
        "part that does not hide": constant(speed.serial_share, 1.0, "of the shorter", assumed),
    }
