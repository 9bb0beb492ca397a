"""The dual-domain task. Truth: finite differences, the same layers without recomputation or cropped rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.models import DualDomainBilateral, bilateral_filters
from sinograd.phantoms import balls
from sinograd.training import ScanStack, TrainingData, train
from sinograd.training.tasks import run_recomputing

GRID = sg.Grid((4, 12, 12), 1.0, (0.0, 0.0, 3.0))
GEOMETRY = sg.ConeBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(20), detector=sg.FlatDetector((32, 24), 1.0)
)
CONFIG: dict[str, Any] = {
    "task": {"name": "dual-domain", "row_margin": 2},
    "model": {"name": "dual-domain-bilateral"},
    "stop": {"max_steps": 4},
}


def scan(seed: int, dtype: torch.dtype = torch.float32, noise: float = 0.02) -> ScanStack:
    """Noisy line integrals of a few balls, and what the clean ones reconstruct to."""
    generator = torch.Generator().manual_seed(seed)
    centers = (torch.rand(5, 3, generator=generator) - 0.5) * torch.tensor([10.0, 10.0, 3.0])
    centers[:, 2] += 3.0
    clean = balls(2.0, 0.05, centers).project(GEOMETRY).to(dtype)
    noisy = clean + noise * torch.randn(clean.shape, generator=generator, dtype=dtype)
    return ScanStack(noisy, GEOMETRY, GRID, sg.fdk(clean, GEOMETRY, GRID), f"scan {seed}")


def filters(count: int, scale: float) -> list[sg.BilateralFilter3d]:
    return [sg.BilateralFilter3d((0.8, 0.7, 0.9), 0.1, input_scale=scale, window=5) for _ in range(count)]


def chains() -> dict[str, tuple[Any, sg.Grid]]:
    """Scans of all beams and arcs, and what they reconstruct."""
    plane, pixels, distances = sg.Grid((12, 12), 1.0), sg.FlatDetector(24, 1.0), (60, 90)
    flat, curved = sg.FlatDetector((32, 24), 1.0), sg.CurvedDetector((32, 24), 1.0)
    circular = {"source_to_origin": distances[0], "source_to_detector": distances[1]}
    half_turn = torch.arange(20, dtype=torch.float64) * torch.pi / 20
    return {
        "cone": (GEOMETRY, GRID),
        "short cone": (sg.ConeBeam.short_scan(**circular, views=24, detector=flat), GRID),
        "curved cone": (sg.ConeBeam.circular(**circular, angles=sg.full_scan(20), detector=curved), GRID),
        "fan": (sg.FanBeam.circular(**circular, angles=sg.full_scan(20), detector=pixels), plane),
        "short fan": (sg.FanBeam.short_scan(**circular, views=24, detector=pixels), plane),
        "curved fan": (
            sg.FanBeam.circular(**circular, angles=sg.full_scan(20), detector=sg.CurvedDetector(24, 1.0)),
            plane,
        ),
        "parallel": (sg.ParallelBeam(half_turn, pixels), plane),
        "parallel of volumes": (sg.ParallelBeam(half_turn, sg.FlatDetector((9, 24), 1.0)), sg.Grid((8, 12, 12), 1.0)),
    }


@pytest.mark.parametrize("beam", chains())
def test_gradients_through_the_reconstruction_are_finite_differences(beam: str) -> None:
    """Of the image loss to every sigma, those of the projections included: to 1e-4, in float64."""
    geometry, grid = chains()[beam]
    ndim = grid.ndim
    generator = torch.Generator().manual_seed(0)
    if ndim == 3:
        centers = (torch.rand(5, 3, generator=generator) - 0.5) * torch.tensor([10.0, 10.0, 3.0])
        centers[:, 2] += grid.center[2]
        clean = balls(2.0, 0.05, centers).project(geometry).double()
    else:
        clean = sg.shepp_logan_2d(radius=5.5, value=0.05).project(geometry).double()
    projections = clean + 0.02 * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    kind = sg.BilateralFilter3d if ndim == 3 else sg.BilateralFilter2d
    sizes = (0.8, 0.7, 0.9)[-ndim:]
    before, *after = (kind(sizes, 0.1, input_scale=scale, window=5) for scale in (0.3, 0.05, 0.05))
    model = DualDomainBilateral([before], after).double()
    sequence = model.over(geometry, grid)
    with torch.no_grad():
        target = sequence[1](clean)

    def loss() -> Tensor:
        return (sequence(projections) - target).square().mean() / 0.05**2

    loss().backward()
    checked = 0
    for layer in bilateral_filters(model).values():
        assert isinstance(layer, kind)
        for raw in (layer.raw_sigma_spatial, layer.raw_sigma_range):
            assert raw.grad is not None
            for index in range(raw.numel()):
                flat, step = raw.data.reshape(-1), 1e-5
                values = []
                for sign in (1, -1):
                    flat[index] += sign * step
                    values.append(loss().item())
                    flat[index] -= sign * step
                difference = (values[0] - values[1]) / (2 * step)
                assert abs(difference) > 1e-6  # every one of them matters
                assert raw.grad.reshape(-1)[index].item() == pytest.approx(difference, rel=1e-4)
                checked += 1
    assert checked == 3 * (ndim + 1)


def test_the_model_is_a_plain_sequence() -> None:
    """Twelve parameters, shared by the sequences of all scans."""
    model = DualDomainBilateral(filters(1, 1.0), filters(2, 1.0), ramp_window="hann", cutoff=0.9)
    sequence = model.over(GEOMETRY, GRID)
    assert type(sequence) is torch.nn.Sequential
    assert [type(layer) for layer in sequence] == [
        *(sg.BilateralFilter3d, sg.FDK, sg.BilateralFilter3d, sg.BilateralFilter3d)
    ]
    assert sum(p.numel() for p in sequence.parameters()) == 12
    assert list(sequence.parameters()) == list(model.over(GEOMETRY[::2], GRID).parameters())
    projections = scan(1).projections
    by_hand = model.image_filters(
        sg.fdk(model.projection_filters(projections), GEOMETRY, GRID, window="hann", cutoff=0.9)
    )
    assert torch.equal(sequence(projections), by_hand)


def test_recomputing_changes_nothing() -> None:
    stack = scan(2)
    gradients = []
    for recompute in (True, False):
        model = DualDomainBilateral(filters(1, 0.3), filters(2, 0.05))
        sequence = model.over(GEOMETRY, GRID)
        volume = run_recomputing(sequence, stack.projections) if recompute else sequence(stack.projections)
        (volume - stack.target).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))  # type: ignore[arg-type]


def test_cropped_rows_change_next_to_nothing() -> None:
    """Only projections within the filter's reach of the cut could differ, and the margin covers it."""
    stack = scan(3)
    model = DualDomainBilateral(filters(1, 0.3), filters(2, 0.05))
    part = stack.needed_part(margin=2)
    assert part.projections.shape[1] < stack.projections.shape[1] - 8
    whole = model.over(stack.geometry, stack.grid)(stack.projections)
    torch.testing.assert_close(model.over(part.geometry, part.grid)(part.projections), whole, rtol=0, atol=1e-7)
    bare = stack.needed_part(margin=0)
    difference = (model.over(bare.geometry, bare.grid)(bare.projections) - whole).abs().max()
    assert 1e-5 < difference < 0.1 * 0.05


def test_training_on_two_scans() -> None:
    """On a third one it takes most of the noise's power away, and the projection filter learns as well."""
    one, two, other = (scan(seed, noise=0.06) for seed in (4, 5, 6))
    data = TrainingData([one.needed_part(2), two.needed_part(2)], [other])
    model = {"name": "dual-domain-bilateral", "sigma_range": 0.1, "window": 3}
    config = {**CONFIG, "model": model, "stop": {"max_steps": 20}, "validation": {"every": 20}}
    result = train(config, data)
    noise = (sg.fdk(other.projections, GEOMETRY, GRID) - other.target).square().mean().item()
    scale = result.config.model.image_scale  # type: ignore[union-attr]
    assert result.history.column("validation_loss")[1][-1] * scale**2 < 0.5 * noise  # type: ignore[operator]
    assert isinstance(result.model, DualDomainBilateral)
    assert result.history.column("projection_filters.0.sigma_range")[1][-1] > 0.11
    assert result.trained_on["stacks"][0]["voxel_mm"] == [1.0, 1.0, 1.0]


def test_fan_beams_train_as_well() -> None:
    """2-D filters of the sinogram, FBP, 2-D filters of the image."""
    geometry = sg.FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(40), detector=sg.FlatDetector(32, 1.0)
    )
    grid = sg.Grid((16, 16), 1.0)
    clean = sg.shepp_logan_2d(radius=7, value=0.05).project(geometry).float()
    noisy = clean + 0.03 * torch.randn(clean.shape)
    data = TrainingData([ScanStack(noisy, geometry, grid, sg.fbp(clean, geometry, grid))])
    model = {"name": "dual-domain-bilateral", "dimensions": 2, "ramp_window": "hann"}
    result = train({**CONFIG, "model": model, "stop": {"max_steps": 10}}, data)
    losses = result.history.column("training_loss")[1]
    assert losses[-1] < losses[0]
    assert sum(p.numel() for p in result.model.parameters()) == 9
