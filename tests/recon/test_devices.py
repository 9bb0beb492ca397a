"""Filtering where the projections are. The meta device, which refuses tensors of others and has no values to wait for,
stands for a GPU whose stream a CUDA graph captures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sinograd import FDK, ConeBeam, CurvedDetector, FlatDetector, Grid, full_scan
from sinograd.ops import device_cache
from sinograd.recon.analytic import arguments, filtered_backprojection, view_filter
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection
from sinograd.recon.analytic.view_filter import ViewFilter, filter_views

AREA = FlatDetector((8, 9), 1.0)
# Scans of a few views keep the checks quick; they measure few of the rays, as they should say.
pytestmark = pytest.mark.filterwarnings("ignore::sinograd.errors.CoverageWarning")

GRID = Grid((4, 5, 6))
SCANS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"detector": CurvedDetector((8, 9), 1.0)},
        {"tilt": 0.1, "in_plane_rotation": 0.05},
        {"detector": FlatDetector((8, 9), 1.0, offset=(0.0, 2.5))},
        {"shifts": torch.rand(4, 2, generator=torch.Generator().manual_seed(1))},
        {"truncation": "ellipse"},
    ],
    ids=lambda options: str([*options]),
)


class Copies(TorchDispatchMode):
    """Notes what takes tensors of the CPU and gives ones of the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
        made = [r for r in tree_leaves(result) if isinstance(r, torch.Tensor)]
        kernels = str(function).startswith("sinograd.")  # which take the CPU's vectors
        if not kernels and any(a.device.type == "cpu" for a in given) and any(r.is_meta for r in made):
            self.found.append(str(function))
        return result


@pytest.fixture(autouse=True)
def captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a graph is captured, but for the cache; what the kernels of a GPU do is left out."""
    for module in (arguments, view_filter):
        monkeypatch.setattr(module, "capturing", lambda device: True)
    monkeypatch.setattr(filtered_backprojection, "add_backprojection", lambda *given, **options: None)
    monkeypatch.setattr(filtered_backprojection, "check_projections", lambda *given: None)


def scan(options: dict[str, Any]) -> tuple[ConeBeam, str]:
    options = {"detector": AREA, **options}
    truncation = options.pop("truncation", "none")
    orbit = dict(source_to_origin=100, source_to_detector=150, angles=full_scan(4))
    return ConeBeam.circular(**orbit, **options), truncation


@SCANS
@pytest.mark.parametrize("trained", [False, True])
def test_filtering_stays_on_the_device(options: dict[str, Any], trained: bool) -> None:
    whole = FilteredBackprojection.of(scan(options)[0], GRID, window="hann", truncation=scan(options)[1])
    projections = torch.empty(2, 4, 8, 9, device="meta")
    taps, known = whole.taps, whole.scan
    weights = whole.weights.float().to("meta") if trained else whole.weights
    for filtered in (
        ViewFilter.of(known, taps, weights, projections)(projections, slice(0, 4)),
        filter_views(projections, known, taps, weights, slice(0, 4)),
    ):
        assert filtered.device.type == "meta"
        assert filtered.shape == (2, 4, known.detector.shape[0], known.columns)


@SCANS
@pytest.mark.parametrize("trained", [False, True])
def test_the_second_call_can_be_captured(
    options: dict[str, Any], trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without gradients it waits for nothing and copies nothing, although its plan is made again."""
    geometry, truncation = scan(options)
    projections = torch.empty(2, 4, 8, 9, device="meta", requires_grad=True)
    taps = weights = None
    if trained:
        whole = FilteredBackprojection.of(geometry, GRID, window="hann", truncation=truncation)
        taps, weights = (t.float().to("meta").requires_grad_() for t in (whole.taps, whole.weights))

    def call() -> None:
        options: dict[str, Any] = dict(window="hann", truncation=truncation, taps=taps, weights=weights)
        whole = FilteredBackprojection.of(geometry, GRID, **options)
        volume = whole.volume(projections)
        assert volume.shape == (2, *GRID.shape) and volume.is_meta
        torch.autograd.grad(volume.sum(), [t for t in (projections, taps, weights) if t is not None])
        with torch.no_grad():
            assert whole.volume(projections).is_meta

    call()
    monkeypatch.setattr(device_cache, "capturing", lambda device: True)
    with Copies() as copies:
        call()
    assert copies.found == []


def test_parameters_follow_a_module_and_gradients_the_parameters() -> None:
    module = FDK(scan({})[0], GRID, trainable=("taps", "weights")).to("meta")
    assert {p.device.type for p in module.parameters()} == {"meta"}
