"""sinograd through its public functions, tensors made and geometries built before the clock starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from cases import SIGMA_RANGE, SIGMA_SPATIAL, Case

import sinograd as sg
from sinograd.ops import bilateral_filter


def versions() -> dict[str, str]:
    """Versions, and the instruction set of the kernels."""
    from sinograd import _native

    return {
        "sinograd": sg.__version__,
        "torch": torch.__version__,
        "instruction set": _native.instruction_set(),
    }


def start(threads: int) -> None:
    """Sets the number of threads."""
    torch.set_num_threads(threads)


def grid_of(case: Case) -> sg.Grid:
    """The case's voxels."""
    return sg.Grid(case.volume_shape, case.spacing)


def geometry_of(case: Case) -> sg.Geometry:
    """The case's scan."""
    angles = torch.tensor(case.angles, dtype=torch.float64)
    if case.beam == "parallel":
        return sg.ParallelBeam(angles, sg.FlatDetector(case.columns, case.pixel))
    orbit = {
        "source_to_origin": case.source_to_origin,
        "source_to_detector": case.source_to_detector,
        "angles": angles,
    }
    if case.beam == "fan":
        return sg.FanBeam.circular(**orbit, detector=sg.FlatDetector(case.columns, case.pixel))
    detector = sg.FlatDetector((case.rows, case.columns), case.pixel)
    return sg.ConeBeam.circular(**orbit, detector=detector, tilt=case.tilt)


def prepare(case: Case, data: np.ndarray) -> Callable[[], tuple]:
    """The call of the public function on one contiguous tensor; the result is contiguous in sinograd's axes."""
    if case.window:
        return _prepare_filter(case, torch.from_numpy(data))
    geometry, grid, tensor = geometry_of(case), grid_of(case), torch.from_numpy(data)
    if case.work == "fdk":
        call = partial(sg.fdk, tensor, geometry, grid)
    elif case.work == "fbp":
        call = partial(sg.fbp, tensor, geometry, grid)
    elif case.work == "backprojection":
        call = partial(sg.Backprojection(geometry, grid, weighting=case.weighting), tensor)
    elif case.work in ("sirt", "cgls"):
        transform = sg.XRayTransform(geometry, grid)
        algorithm = getattr(sg.recon, case.work)
        return lambda: (partial(algorithm, transform, tensor, iterations=case.iterations), _image)
    else:
        transform = sg.XRayTransform(geometry, grid)
        call = partial(transform if case.work == "forward" else transform.T, tensor)
    return lambda: (call, _contiguous)


def _prepare_filter(case: Case, volume: torch.Tensor) -> Callable[[], tuple]:
    """The filter, or its gradients to the volume and to every sigma; the forward pass before these is not timed."""
    sigmas = torch.full((volume.ndim,), SIGMA_SPATIAL), torch.tensor(SIGMA_RANGE)
    if case.work == "bilateral":
        call = partial(bilateral_filter, volume, *sigmas, window=case.window)
        return lambda: (call, _contiguous)
    leaves = [tensor.requires_grad_() for tensor in (volume, *sigmas)]
    gradient = torch.randn(volume.shape, generator=torch.Generator().manual_seed(0))

    def arm() -> tuple:
        result = bilateral_filter(*leaves, window=case.window)
        return partial(torch.autograd.grad, result, leaves, gradient), lambda grads: _contiguous(grads[0])

    return arm


def _image(result: sg.recon.Result) -> np.ndarray:
    return _contiguous(result.image)


def _contiguous(result: torch.Tensor) -> np.ndarray:
    if not result.is_contiguous():
        raise RuntimeError("the result is not contiguous, so its cost is not all in the measured time")
    return result.numpy()
