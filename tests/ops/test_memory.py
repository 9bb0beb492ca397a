"""What a user reads where a GPU has too little memory, with an allocator that says so at every call."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.ops import bilateral_cuda
from sinograd.ops import dispatch as native
from sinograd.ops.bilateral_kernels import bilateral_backward_on_gpu, bilateral_on_gpu
from sinograd.ops.memory import TooLittleMemory

GEOMETRY = sg.ConeBeam.circular(
    source_to_origin=30, source_to_detector=50, angles=sg.full_scan(8), detector=sg.FlatDetector((4, 64), 1.7)
)
FAN = sg.FanBeam.circular(
    source_to_origin=30, source_to_detector=50, angles=sg.full_scan(8), detector=sg.FlatDetector(16, 1.7)
)
GRID = sg.Grid((4, 8, 8))


@pytest.fixture(autouse=True)
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the kernels are asked, there is no room for it."""

    def refuse(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 30.00 GiB. GPU 0 has a total capacity ...")

    monkeypatch.setattr(native.Call, "add", refuse)
    monkeypatch.setattr(bilateral_cuda, "launch", refuse)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 << 30, 80 << 30))


@pytest.mark.parametrize("kind", [sg.XRayTransform, sg.Backprojection])
def test_operators(kind: Any) -> None:
    """One sentence with the remedy, an error that handlers of torch's own catch."""
    operator = kind(GEOMETRY, GRID)
    for one, name in ((operator, "projection"), (operator.T, "adjoint of ")):
        with pytest.raises(torch.OutOfMemoryError, match=r"projection: cpu has too little .* for a result") as caught:
            one(torch.zeros(one.domain_shape))
        assert isinstance(caught.value, TooLittleMemory)
        assert name in str(caught.value) and "sinograd.ops.InSlabs(operator) computes slab by slab" in str(caught.value)
        assert "2 of 80 GiB are free" in str(caught.value) and "\n" not in str(caught.value)


def test_filtered_backprojection() -> None:
    """Told once, by the outermost, unless gradients go through the operator."""
    with pytest.raises(TooLittleMemory, match=r"^filtered backprojection: cpu .*: projections in host memory"):
        sg.fdk(torch.ones(GEOMETRY.projection_shape), GEOMETRY, GRID)
    with pytest.raises(TooLittleMemory, match=r"^filtered backprojection: cpu .*: projections in host memory"):
        sg.fbp(torch.ones(FAN.projection_shape), FAN, sg.Grid((8, 8)))
    with pytest.raises(TooLittleMemory, match=r"^backprojection: cpu .*: sinograd\.ops\.InSlabs"):
        sg.fdk(torch.ones(GEOMETRY.projection_shape, requires_grad=True), GEOMETRY, GRID)


def test_bilateral_filter() -> None:
    x, sigmas = torch.ones(8, 8, 8), (torch.ones(3), torch.tensor(0.1))
    with pytest.raises(TooLittleMemory, match=r"^bilateral filter: cpu .*: call it with a part of the volume"):
        bilateral_on_gpu(x, None, *sigmas, (3, 3, 3))
    with pytest.raises(TooLittleMemory, match=r"^gradient of the bilateral filter: cpu .*: call it with a part"):
        bilateral_backward_on_gpu(x, None, x, None, *sigmas, x, x, (3, 3, 3))
