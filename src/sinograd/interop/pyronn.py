"""PYRO-NN: its cone-beam parameters, and its layers as an operator.

Written after the kernels of PYRO-NN-Layers: a 3x4 matrix a view takes the world, sinograd's axes in mm, to (column,
row), counted from the centre of the first pixel; shapes, spacings and origins are in array order (z, y, x) and (rows,
columns), an origin being the position of the first element. Its 2-D beams are not converted: their columns run the
other way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, MissingPackageError
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, Grid
from sinograd.interop.external import ExternalTransform, entry, installed
from sinograd.interop.poses import require_flat
from sinograd.ops.arguments import check_pair

_INSTALL = "the PyTorch generation is built from https://github.com/csyben/PYRO-NN; PyPI has that of TensorFlow"


def to_pyronn(geometry: Geometry, grid: Grid) -> dict[str, Any]:
    """PYRO-NN's parameters of a cone beam, under its names.

    `volume_*`, `detector_*`, `sinogram_shape`, `projection_matrices` [views, 3, 4] (scaled so that the third coordinate
    is the depth in mm), `source_isocenter_distance` and `source_detector_distance` (means over the views, along the
    detector's normal), `step_size` (voxels) and `projection_multiplier`, PYRO-NN's own weight of backprojections.

    Raises:
        ValueError: not a `ConeBeam`, or a curved detector.
    """
    check_pair(geometry, grid)
    if not isinstance(geometry, ConeBeam):
        raise InputError(f"geometry: the conversion to PYRO-NN knows cone beams only, got a {type(geometry).__name__}")
    require_flat(geometry, "PYRO-NN")
    detector, matrices = geometry.detector, geometry.to_matrices()
    to_isocentre = float(matrices[:, 2, 3].mean())
    center = torch.cat([geometry.vectors[:, 1], torch.ones(geometry.views, 1, dtype=torch.float64)], 1)
    to_detector = float((matrices[:, 2] * center).sum(1).mean())
    return {
        "volume_shape": np.array(grid.shape),
        "volume_spacing": np.array(grid.spacing),
        "volume_origin": np.array([axis[0].item() for axis in grid.axes()]),
        "detector_shape": np.array(detector.shape),
        "detector_spacing": np.array(detector.spacing),
        "detector_origin": np.array([-(n - 1) / 2 * s for n, s in zip(detector.shape, detector.spacing, strict=True)]),
        "number_of_projections": geometry.views,
        "sinogram_shape": np.array(geometry.projection_shape),
        "projection_matrices": matrices.numpy(),
        "source_isocenter_distance": to_isocentre,
        "source_detector_distance": to_detector,
        "projection_multiplier": to_isocentre * to_detector * detector.column_spacing * math.pi / geometry.views,
        "step_size": 1.0,
    }


def from_pyronn(parameters: Mapping[str, Any]) -> tuple[ConeBeam, Grid]:
    """Geometry and grid from PYRO-NN's cone-beam parameters: `volume_*`, `detector_*`, `projection_matrices`.

    Raises:
        ValueError: missing entries, and what `ConeBeam.from_matrices` refuses.
    """
    what = "PYRO-NN's parameters"

    def row(name: str) -> list[float]:
        value = entry(parameters, name, what)
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        return array.astype(np.float64).reshape(-1).tolist()

    shape, spacing, origin = [int(n) for n in row("volume_shape")], row("volume_spacing"), row("volume_origin")
    if not len(shape) == len(spacing) == len(origin) == 3:
        raise InputError(f"{what}: sinograd converts its cone beams, with a 3-D volume; volume_shape is {shape}")
    center = [first + (n - 1) / 2 * s for first, n, s in zip(origin, shape, spacing, strict=True)]
    grid = Grid(shape, spacing, center[::-1])
    detector = FlatDetector([int(n) for n in row("detector_shape")], row("detector_spacing"))
    matrices = entry(parameters, "projection_matrices", what)
    return ConeBeam.from_matrices(matrices, detector, front=grid.center), grid


class PyronnTransform(ExternalTransform):
    """PYRO-NN's cone-beam layers behind `A(x)` and `A.T(y)`, float32, on PyTorch's current GPU.

    `A.T` is PYRO-NN's voxel-driven backprojection with its weight 1 / depth^2, scaled to the size of the adjoint. It is
    **not** the adjoint (`sinograd.recon.check(A)` says how far it is off); PYRO-NN's own gradients have the weights of
    FDK instead.

    Args:
        geometry: a cone beam with a flat detector.
        grid: the voxels.
        hardware: interpolate with the GPU's texture units (8 bits of the fraction) rather than exactly.

    Raises:
        ImportError: PYRO-NN (its PyTorch generation) is not installed, or its layers take other parameters.
        RuntimeError: PyTorch finds no GPU.
        ValueError: what `to_pyronn` cannot express.
    """

    toolkit = "PYRO-NN"
    device = "cuda"

    def __init__(self, geometry: Geometry, grid: Grid, hardware: bool = False) -> None:
        parameters = to_pyronn(geometry, grid)
        folder = "pyronn.ct_reconstruction.layers"
        forward = installed(f"{folder}.projection_3d", "PyronnTransform", _INSTALL)
        back = installed(f"{folder}.backprojection_3d", "PyronnTransform", _INSTALL)
        if not torch.cuda.is_available():
            raise RuntimeError("PyronnTransform: PYRO-NN computes on CUDA GPUs only, and PyTorch finds none")
        distance = parameters["source_detector_distance"]
        pixel, voxel = math.prod(geometry.detector.spacing), math.prod(grid.spacing)
        parameters["projection_multiplier"] = distance**2 * voxel / pixel
        project = _layer(forward, "ConeProjection3D", hardware, parameters, self.device)
        backproject = _layer(back, "ConeBackProjection3D", hardware, parameters, self.device)
        super().__init__(geometry, grid, project, backproject)
        self.hardware = hardware

    def subset(self, views: Any) -> PyronnTransform:
        """The same operator for some of the views, chosen as in `geometry[views]`."""
        return PyronnTransform(self.geometry[views], self.grid, self.hardware)


def _layer(
    module: Any, name: str, hardware: bool, parameters: dict[str, Any], device: str
) -> Callable[[Tensor], Tensor]:
    """The layer as a function of one tensor; it gets all parameters by name, and takes those that it needs."""
    if not hasattr(module, name):
        raise MissingPackageError(f"PyronnTransform: {module.__name__} has no {name} ({_INSTALL})")
    layer = getattr(module, name)(hardware_interp=hardware)
    known = {**parameters, "trajectory": parameters["projection_matrices"]}
    arguments = {key: _tensor(np.atleast_1d(value), device) for key, value in known.items()}

    def call(x: Tensor) -> Tensor:
        try:
            return layer.forward(x[None].to(device).contiguous(), **arguments)[0]
        except KeyError as error:
            key = error.args[0]
            raise MissingPackageError(
                f"PyronnTransform: this PYRO-NN's {name} asks for {key}, which sinograd does not know"
            ) from error

    return call


def _tensor(value: np.ndarray, device: str) -> Tensor:
    """Arrays as PYRO-NN holds them: float32, shapes as integers."""
    return torch.from_numpy(value.astype(np.int32 if value.dtype.kind == "i" else np.float32)).to(device)
