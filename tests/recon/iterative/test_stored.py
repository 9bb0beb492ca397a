"""Iterative algorithms on volumes and projections that lie in files: the result of memory to rounding."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.ops import InSlabs
from sinograd.ops.stored import Space, StoredTensor
from sinograd.recon.iterative import smooth_part
from sinograd.recon.iterative.total_variation import TotalVariation

GRID = sg.Grid((18, 20, 22), (0.9, 1.0, 1.0))
GEOMETRY = sg.ConeBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector((26, 30), 1.5)
)
pytestmark = pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")


@pytest.fixture(scope="module")
def projections() -> torch.Tensor:
    torch.manual_seed(1)
    exact = sg.shepp_logan_3d(radius=8).project(GEOMETRY)
    return exact + 0.02 * torch.randn(exact.shape)


def stored(folder: Path, projections: torch.Tensor) -> StoredTensor:
    made = Space(folder, 4 * 30 * 26 * 5).empty(projections.shape)
    made.copy_(projections)
    return made


ALGORITHMS: dict[str, Callable[..., Any]] = {
    "sirt": lambda A, p, **k: sg.recon.sirt(A, p, iterations=5, lower=0.0, **k),
    "os_sart": lambda A, p, **k: sg.recon.os_sart(A, p, iterations=2, subsets=4, lower=0.0, **k),
    "sart": lambda A, p, **k: sg.recon.sart(A, p, iterations=1, **k),
    "cgls": lambda A, p, **k: sg.recon.cgls(A, p, iterations=5, **k),
    "damped cgls": lambda A, p, **k: sg.recon.cgls(A, p, iterations=5, damp=0.5, **k),
    "lsqr": lambda A, p, **k: sg.recon.lsqr(A, p, iterations=4, **k),
    "fista_tv": lambda A, p, **k: sg.recon.fista_tv(A, p, iterations=5, lower=0.0, upper=1.0, **k),
    "chambolle_pock": lambda A, p, **k: sg.recon.chambolle_pock(A, p, iterations=5, lower=0.0, **k),
    "gradient_descent": lambda A, p, **k: sg.recon.gradient_descent(A, p, iterations=5, lower=0.0, **k),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_result_of_memory(tmp_path: Path, projections: torch.Tensor, name: str) -> None:
    operator = sg.XRayTransform(GEOMETRY, GRID)
    whole = ALGORITHMS[name](operator, projections)
    parts = ALGORITHMS[name](InSlabs(operator, "cpu", memory=100_000), stored(tmp_path, projections))
    assert isinstance(parts.image, StoredTensor)
    scale = float(whole.image.abs().max())
    assert float((parts.image.read() - whole.image).abs().max()) < 3e-5 * scale
    torch.testing.assert_close(parts.residuals, whole.residuals, rtol=1e-5, atol=1e-7)
    assert parts.best.equal(whole.best) and parts.stopped == whole.stopped
    if whole.objectives is not None:
        torch.testing.assert_close(parts.objectives, whole.objectives, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["sirt", "os_sart", "cgls", "fista_tv"])
def test_it_goes_on_from_a_state(tmp_path: Path, projections: torch.Tensor, name: str) -> None:
    operator, data, states = InSlabs(sg.XRayTransform(GEOMETRY, GRID), "cpu", memory=100_000), None, []
    data = stored(tmp_path, projections)

    def keep(iteration: Any) -> bool:
        states.append(iteration.state())
        return False

    whole = ALGORITHMS[name](operator, data, callback=keep)
    on = ALGORITHMS[name](operator, data, start=states[0])
    assert torch.equal(on.image.read(), whole.image.read()) and torch.equal(on.residuals, whole.residuals)


def test_files_go(tmp_path: Path, projections: torch.Tensor) -> None:
    operator, data = InSlabs(sg.XRayTransform(GEOMETRY, GRID), "cpu", memory=100_000), stored(tmp_path, projections)
    result = ALGORITHMS["fista_tv"](operator, data)
    assert float(result.image.max()) > 0
    del operator, result
    gc.collect()
    assert list(tmp_path.iterdir()) == [data.file.path]


@pytest.mark.parametrize("planes", [1, 3, 18])
def test_total_variation(tmp_path: Path, planes: int) -> None:
    torch.manual_seed(0)
    variation, space = TotalVariation((0.9, 1.0, 1.0)), Space(tmp_path, 4 * 20 * 22 * planes)
    plain = {"x": torch.randn(GRID.shape), "dual": torch.randn(3, *GRID.shape), "ahead": torch.randn(3, *GRID.shape)}
    for axis, last in ((0, -1), (1, -1), (2, -1)):
        for name in ("dual", "ahead"):
            plain[name][axis].select(axis, last).zero_()
    kept = {name: space.empty(value.shape).copy_(value) for name, value in plain.items()}
    torch.testing.assert_close(variation.value(kept["x"]), variation.value(plain["x"]))
    for some in (plain, kept):
        variation.ascend_(some["dual"], some["x"], 0.3, 1.0, some["ahead"], 0.4)
        variation.descend(some["x"], some["dual"], 0.2, some["x"], (-1.0, 1.0))
    for name, value in kept.items():
        torch.testing.assert_close(value.read(), plain[name], rtol=1e-6, atol=1e-6)


def test_noise_is_measured_in_some_rows_of_a_large_scan(
    tmp_path: Path, projections: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = smooth_part._noise(projections, None, -1, 3)
    monkeypatch.setattr(smooth_part, "_LOOKED_AT", 4000)
    both = projections, stored(tmp_path, projections)
    found = [smooth_part._noise(one, None, axis, 3) for one in both for axis in (-1, -3)]
    assert found[0] == found[2] and found[1] == found[3]
    assert found[0] == pytest.approx(every, rel=0.2)
