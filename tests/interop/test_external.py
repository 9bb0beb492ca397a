"""Other toolkits' projectors as operators. The toolkits are stand-ins that compute with sinograd's own operators."""

from __future__ import annotations

import gc
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import sinograd as sg
from interop.scans import CONES, FLAT_2D, PARALLEL_3D, grid_of
from sinograd.interop import (
    AstraTransform,
    PyronnTransform,
    TigreTransform,
    from_astra,
    from_pyronn,
    from_tigre,
)
from sinograd.interop.external import ExternalTransform
from sinograd.recon import UnmatchedPairWarning, check, sirt

CONE = sg.ConeBeam.circular(
    source_to_origin=100,
    source_to_detector=150,
    angles=sg.full_scan(8),
    detector=sg.FlatDetector((20, 24), 2.0, offset=(0.0, 3.0)),
    axis_offset=0.5,
)
BOX = sg.Grid((16, 17, 18), 1.2, (1.0, -2.0, 0.5))
Calls = list[tuple[Any, ...]]


def module(name: str, monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(attributes)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def numpy_pair(geometry: Any, grid: Any) -> tuple[Any, Any]:
    operator = sg.XRayTransform(geometry, grid)
    return lambda x: operator(torch.from_numpy(x)).numpy(), lambda y: operator.T(torch.from_numpy(y)).numpy()


@pytest.fixture
def astra(monkeypatch: pytest.MonkeyPatch) -> Any:
    """ASTRA: rows before views in 3-D, images with row 0 at +y in 2-D."""
    state = SimpleNamespace(gpu=True, calls=[], deleted=[])

    class OpTomo:
        def __init__(self, identity: tuple[Any, ...]) -> None:
            name, *described = identity
            state.calls.append((name, described[0]["type"]))
            geometry, self.grid = from_astra(*described)
            self.forward, self.back = numpy_pair(geometry, self.grid)

        def FP(self, volume: np.ndarray) -> np.ndarray:
            assert volume.dtype == np.float32 and volume.flags.c_contiguous
            if self.grid.ndim == 2:
                return self.forward(volume[::-1].copy())
            return self.forward(volume).swapaxes(0, 1).copy()

        def BP(self, projections: np.ndarray) -> np.ndarray:
            assert projections.dtype == np.float32 and projections.flags.c_contiguous
            if self.grid.ndim == 2:
                return self.back(projections)[::-1].copy()
            return self.back(projections.swapaxes(0, 1).copy())

    projectors = SimpleNamespace(delete=lambda identity: state.deleted.append(identity[0]))
    module(
        "astra",
        monkeypatch,
        use_cuda=lambda: state.gpu,
        create_projector=lambda *given: given,
        projector=projectors,
        projector3d=projectors,
        OpTomo=OpTomo,
    )
    return state


@pytest.fixture
def tigre(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TIGRE: its functions get the geometry it was asked to make, filled."""
    state = SimpleNamespace(gpus=1, calls=[], scale=1.0)

    class Geometry:
        def __init__(self, mode: str, nVoxel: Any) -> None:
            self.mode = mode

    def Ax(volume: np.ndarray, geo: Any, angles: np.ndarray, projection_type: str) -> np.ndarray:
        assert isinstance(geo, Geometry) and angles.dtype == volume.dtype == np.float32
        state.calls.append((projection_type, geo.mode))
        return numpy_pair(*from_tigre(geo, geo.angles))[0](volume)

    def Atb(projections: np.ndarray, geo: Any, angles: np.ndarray, backprojection_type: str) -> np.ndarray:
        assert isinstance(geo, Geometry) and angles.dtype == projections.dtype == np.float32
        state.calls.append((backprojection_type, geo.mode))
        return state.scale * numpy_pair(*from_tigre(geo, geo.angles))[1](projections)

    gpu = module("tigre.utilities.gpu", monkeypatch, getGpuCount=lambda: state.gpus)
    module("tigre.utilities", monkeypatch, gpu=gpu)
    module("tigre", monkeypatch, geometry=Geometry, Ax=Ax, Atb=Atb)
    return state


@pytest.fixture
def pyronn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """PYRO-NN: layers with a batch dimension that ask for some of the parameters; 1 / depth^2 in the backprojection."""
    state = SimpleNamespace(gpu=True, calls=[], device="cpu")

    class Layer:
        def __init__(self, hardware_interp: bool) -> None:
            state.calls.append((type(self).__name__, hardware_interp))

    def scan(geometry: dict, volume_shape: list, detector_shape: list) -> tuple:
        names = ("volume_origin", "volume_spacing")
        given = {"volume_shape": volume_shape, "detector_shape": detector_shape, "detector_spacing": [2.0, 2.0]}
        matrices = {"projection_matrices": geometry["trajectory"]}
        return from_pyronn({**given, **{name: geometry[name] for name in names}, **matrices})

    class ConeProjection3D(Layer):
        def forward(self, input: Tensor, **geometry: Tensor) -> Tensor:
            assert geometry["step_size"].shape == geometry["projection_multiplier"].shape == (1,)
            found = scan(geometry, list(input.shape[1:]), geometry["sinogram_shape"].tolist()[1:])
            return sg.XRayTransform(*found)(input)

    class ConeBackProjection3D(Layer):
        def forward(self, input: Tensor, **geometry: Tensor) -> Tensor:
            found = scan(geometry, geometry["volume_shape"].tolist(), list(input.shape[2:]))
            result = sg.Backprojection(*found, weighting="fdk")(input)
            return result * geometry["projection_multiplier"] / 100**2  # of the weight (SOD / depth)^2

    folder = "pyronn.ct_reconstruction.layers"
    for name in ("pyronn", "pyronn.ct_reconstruction", folder):
        module(name, monkeypatch, __path__=[])
    state.forward = module(f"{folder}.projection_3d", monkeypatch, ConeProjection3D=ConeProjection3D)
    module(f"{folder}.backprojection_3d", monkeypatch, ConeBackProjection3D=ConeBackProjection3D)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: state.gpu)
    monkeypatch.setattr(PyronnTransform, "device", "cpu")
    return state


def like_ours(operator: ExternalTransform, tolerance: float = 1e-5) -> None:
    """Projections and backprojections of random data, batched, are those of XRayTransform; so are the gradients."""
    ours = sg.XRayTransform(operator.geometry, operator.grid)
    assert operator.domain_shape == ours.domain_shape and operator.range_shape == ours.range_shape
    volume = torch.randn(2, *ours.domain_shape)
    projections = torch.randn(2, 1, *ours.range_shape)
    for theirs, own, x in ((operator, ours, volume), (operator.T, ours.T, projections)):
        expected, x = own(x), x.requires_grad_()
        result = theirs(x)
        assert float((result - expected).detach().norm() / expected.norm()) < tolerance
        weights = torch.randn(result.shape)
        result.backward(weights)
        assert x.grad is not None
        assert float((x.grad - own.T(weights)).norm() / own.T(weights).norm()) < tolerance
    assert operator.T.T is operator and "Transform(" in repr(operator.T)


@pytest.mark.parametrize(
    ("geometry", "gpu", "projector", "kind"),
    [
        (CONES["displaced"], True, "cuda3d", "cone_vec"),
        (PARALLEL_3D["parallel"], True, "cuda3d", "parallel3d"),
        (FLAT_2D["fan displaced"], True, "cuda", "fanflat_vec"),
        (FLAT_2D["fan"], False, "line_fanflat", "fanflat"),
        (FLAT_2D["parallel 2-D"], False, "linear", "parallel"),
    ],
    ids=["cone", "parallel", "fan", "fan on the CPU", "parallel on the CPU"],
)
def test_astra(geometry: sg.Geometry, gpu: bool, projector: str, kind: str, astra: Any) -> None:
    astra.gpu = gpu
    operator = AstraTransform(geometry, grid_of(geometry))
    like_ours(operator)
    assert astra.calls == [(projector, kind)]
    part = operator.subset([0, 2])
    assert isinstance(part, AstraTransform) and part.geometry.views == 2
    del part
    gc.collect()
    assert astra.deleted == [projector]


def test_astra_without_gpu(astra: Any) -> None:
    astra.gpu = False
    with pytest.raises(RuntimeError, match="'cuda3d' needs a CUDA GPU, and ASTRA finds none; in 3-D it has no other"):
        AstraTransform(CONE, BOX)
    with pytest.raises(RuntimeError, match="'cuda' needs a CUDA GPU"):
        AstraTransform(FLAT_2D["fan"], grid_of(FLAT_2D["fan"]), "cuda")


@pytest.mark.parametrize("geometry", [CONE, CONES["wobbling"], PARALLEL_3D["parallel offset"]])
def test_tigre(geometry: sg.Geometry, tigre: Any) -> None:
    operator = TigreTransform(geometry, grid_of(geometry))
    like_ours(operator)
    mode = "cone" if geometry.divergent else "parallel"
    assert set(tigre.calls) == {("Siddon", mode), ("matched", mode)}


def test_tigre_options_and_subset(tigre: Any) -> None:
    operator = TigreTransform(CONE, BOX, "interpolated", "FDK").subset([1, 2])
    operator.T(operator(torch.rand(BOX.shape)))
    assert tigre.calls == [("interpolated", "cone"), ("FDK", "cone")]


def test_pyronn(pyronn: Any) -> None:
    """The projector is ours; the backprojection is voxel-driven, near the adjoint and not equal to it."""
    operator = PyronnTransform(CONE, BOX, hardware=True)
    assert pyronn.calls == [("ConeProjection3D", True), ("ConeBackProjection3D", True)]
    volume = torch.rand(BOX.shape)
    expected = sg.XRayTransform(CONE, BOX)(volume)
    assert (operator(volume) - expected).norm() < 5e-3 * expected.norm()  # PYRO-NN's matrices are float32
    found = check(operator)
    assert not found.matched and found.scaled and found.centred
    assert 0.9 < found.adjoint_scale < 1.1


def test_check_and_warnings(tigre: Any) -> None:
    """`check` and the iterative algorithms see another toolkit's pair as any other."""
    operator = TigreTransform(CONE, BOX)
    assert check(operator).ok
    tigre.scale = 1.5
    found = check(TigreTransform(CONE, BOX))
    assert not found.matched and found.adjoint_scale == pytest.approx(1.5, rel=1e-4)
    with pytest.warns(UnmatchedPairWarning, match=r"TigreTransform\.T is not the adjoint"):
        sirt(TigreTransform(CONE, BOX), operator(torch.rand(BOX.shape)), iterations=1)


@pytest.mark.parametrize(
    ("maker", "package"), [(AstraTransform, "astra"), (PyronnTransform, "pyronn"), (TigreTransform, "tigre")]
)
def test_absent(maker: Any, package: str) -> None:
    try:
        __import__(package)
    except ImportError:
        with pytest.raises(ImportError, match=f"{maker.__name__} needs the package {package}, which is not installed"):
            maker(CONE, BOX)
    else:
        pytest.skip(f"{package} is installed")


def test_no_gpu(tigre: Any, pyronn: Any) -> None:
    tigre.gpus, pyronn.gpu = 0, False
    with pytest.raises(RuntimeError, match="TIGRE computes on CUDA GPUs only, and it finds none"):
        TigreTransform(CONE, BOX)
    with pytest.raises(RuntimeError, match="PYRO-NN computes on CUDA GPUs only, and PyTorch finds none"):
        PyronnTransform(CONE, BOX)


def test_bad_input(tigre: Any) -> None:
    operator = TigreTransform(CONE, BOX)
    with pytest.raises(TypeError, match=r"TIGRE computes in float32, got float64; use x\.float"):
        operator(torch.zeros(BOX.shape, dtype=torch.float64))
    with pytest.raises(
        ValueError, match=r"grid\.shape \(16, 17, 18\) does not match volume \[16, 17, 17\]: x 18 != 17"
    ):
        operator(torch.zeros(16, 17, 17))
    with pytest.raises(ValueError, match=r"projection_shape \(8, 20, 24\) does not match projections"):
        operator.T(torch.zeros(8, 20, 23))
    with pytest.raises(ValueError, match="3-D scans only"):
        TigreTransform(FLAT_2D["fan"], grid_of(FLAT_2D["fan"]))
    assert operator(torch.zeros(0, *BOX.shape)).shape == (0, *CONE.projection_shape)


def test_another_pyronn(pyronn: Any) -> None:
    class Asking:
        def __init__(self, hardware_interp: bool) -> None: ...

        def forward(self, input: Tensor, **geometry: Tensor) -> Tensor:
            return geometry["curvature"]

    pyronn.forward.ConeProjection3D = Asking
    with pytest.raises(ImportError, match="ConeProjection3D asks for curvature, which sinograd does not know"):
        PyronnTransform(CONE, BOX)(torch.rand(BOX.shape))
    del pyronn.forward.ConeProjection3D
    with pytest.raises(ImportError, match="has no ConeProjection3D"):
        PyronnTransform(CONE, BOX)
