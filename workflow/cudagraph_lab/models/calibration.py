"""The constants of a host and a device, fitted on one measured data set.

Every cell of arm and batch size gives an equation: its step is host work plus what of the GPU
work does not hide (see `models.step`). The host's constants are the non-negative least squares
solution in relative residuals, anew for every draw of the measured steps and of the device, so
that the uncertainty of both is in them. Cells in which the GPU decides say nothing of the host
and are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.architecture import Device, Roofline
from cudagraph_lab.models.step import DRAWS, Floats, Host, Speed, StepArm, Work, gpu_s

# A model smaller than this many last-level caches is read from the cache in part.
CACHES = 8
NO_BOUND_B_S = 1e13  # in place of an endless bandwidth, where bytes take no time
CLEARLY = 1.1  # host over GPU work of a cell that tells of the host


@dataclass(frozen=True)
class MeasuredStep:
    """A cell: draws of its decode step in seconds, the work of it, and its GPU work if profiled."""

    arm: StepArm
    work: Work
    step_s: Floats
    busy_s: float | None = None


@dataclass(frozen=True)
class MeasuredBusy:
    """Profiled GPU work of a step in seconds, with the kernels that were counted."""

    roof: Roofline
    kernels: float
    busy_s: float


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and the relative residual of every cell at the median of the draws."""

    host: Host
    speed: Speed
    residuals: Mapping[tuple[StepArm, int], float]
    kernel_fitted: bool = False  # else the latency of a kernel is assumed
    bandwidth_fitted: bool = False


def fit_speed(speed: Speed, device: Device, busy: Sequence[MeasuredBusy]) -> Speed:
    """The assumed speed with one constant fitted to profiled GPU work, beside the other as assumed.

    Where the bytes of a step exceed CACHES last-level caches it is the bandwidth, else the latency
    of a kernel: the arms of one model have nearly the same bytes and kernels, so that one profile
    does not tell both. Nothing changes where nothing was profiled.
    """
    if not busy:
        return speed
    kernels = np.array([[one.kernels] for one in busy])
    seconds = np.array([[one.busy_s] for one in busy])
    data = np.array([[one.roof.bytes] for one in busy])
    if device.l2_mib is not None and data.min() > CACHES * device.l2_mib * 2**20:
        moving_s = seconds - kernels * speed.kernel_s
        if (moving_s > 0).all():
            return replace(speed, bandwidth_b_s=np.asarray(np.median(data / moving_s, axis=0)))
    per_kernel = np.maximum(seconds - data / speed.bandwidth_b_s, 0.0) / kernels
    return replace(speed, kernel_s=np.asarray(np.median(per_kernel, axis=0)))


def fit_all_reduce(speed: Speed, cells: Sequence[MeasuredStep]) -> Speed:
    """The speed with an all-reduce as it was measured: latency, and seconds a byte beside it.

    `cells` are of graphs on two ranks, where no launch keeps the GPU waiting: what neither
    kernels nor bytes take of the GPU's work is the all-reduces'. A non-negative least squares
    solution for every draw of the speed. Raises LabError where fewer than two batch sizes are
    there, or where nothing is left for the all-reduces.
    """
    if len({cell.work.batch for cell in cells}) < 2 or not all(c.work.all_reduces for c in cells):
        raise LabError(
            "calibrate: an all-reduce is read from graphs on several ranks at two batch sizes or "
            "more; take such a data set"
        )
    alone = [replace(cell.work, all_reduces=0) for cell in cells]
    left = np.array(
        [
            ((cell.busy_s or cell.step_s) - gpu_s(speed, work, cell.arm)) / cell.work.all_reduces
            for cell, work in zip(cells, alone, strict=True)
        ]
    )
    if np.median(left) <= 0:
        raise LabError("calibrate: the GPU work of kernels and bytes leaves no all-reduce")
    design = np.array([[1.0, cell.work.all_reduce_bytes] for cell in cells])
    fitted = np.array([nnls(design, np.maximum(column, 0.0))[0] for column in left.T])
    latency_s, per_byte_s = fitted.T
    return replace(
        speed, all_reduce_s=latency_s, all_reduce_b_s=1 / np.maximum(per_byte_s, 1 / NO_BOUND_B_S)
    )


def fit_host(speed: Speed, cells: Sequence[MeasuredStep]) -> Calibration:
    """The host's constants from the cells of eager, compiled and graphs.

    Raises LabError where the cells in which the host decides do not identify the constants: the
    three arms, and two batch sizes.
    """
    on_gpu = np.array(
        [
            np.full(DRAWS, cell.busy_s) if cell.busy_s else gpu_s(speed, cell.work, cell.arm)
            for cell in cells
        ]
    )
    steps = np.array([cell.step_s for cell in cells])
    host_s = steps - speed.serial_share * on_gpu
    # Only where the host is the longer beyond doubt: a step of the GPU's read as the host's would
    # make a host that is as slow as the GPU.
    decided = np.quantile(host_s / on_gpu, 0.05, axis=1) > CLEARLY
    of_host = [cell for cell, mine in zip(cells, decided, strict=True) if mine]
    arms = {cell.arm for cell in of_host}
    if arms != {"eager", "compiled", "graphs"} or len({c.work.batch for c in of_host}) < 2:
        raise LabError(
            "calibrate: the host decides in too few cells: eager, compiled and graphs are needed "
            "at two batch sizes; take a data set of a smaller model"
        )
    design = np.array([_row(cell) for cell in of_host])
    kept = host_s[decided]
    fitted = np.empty((4, steps.shape[1]))
    for draw in range(steps.shape[1]):
        column = kept[:, draw]
        fitted[:, draw], _ = nnls(design / column[:, None], np.ones(len(of_host)))
    fixed, per_request, eager, compiled = fitted
    host = Host(fixed, per_request, {"eager": eager, "compiled": compiled})
    predicted = np.median(design @ fitted, axis=1)
    residuals = {
        (cell.arm, cell.work.batch): float(said / np.median(seen) - 1)
        for cell, said, seen in zip(of_host, predicted, kept, strict=True)
    }
    return Calibration(host, speed, residuals)


def _row(cell: MeasuredStep) -> list[float]:
    """Coefficients of fixed, per request, per launch in eager and in compiled code."""
    launches = float(np.median(cell.work.launches(cell.arm)))
    return [
        1.0,
        float(cell.work.batch),
        launches if cell.arm == "eager" else 0.0,
        launches if cell.arm == "compiled" else 0.0,
    ]
