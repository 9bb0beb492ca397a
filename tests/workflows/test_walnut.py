"""The first real cone-beam scan. Truth: one shell, not two; the sense of rotation that the data set's author gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg


@pytest.fixture(scope="module")
def walnut(shared_data: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Line integrals of the middle rows [240, 24, 256], and the angles."""
    path = shared_data / "walnut" / "walnut_cone.npz"
    if not path.is_file():
        pytest.skip(f"needs the real scan of a walnut, and {path} does not exist")
    with np.load(path) as file:
        rows = file["sinogram"][:-1, 116:140].astype(np.float32)
        return torch.from_numpy(rows), -torch.from_numpy(file["angles"][:-1].astype(np.float64))


def geometry(angles: torch.Tensor) -> sg.ConeBeam:
    return sg.ConeBeam.circular(
        source_to_origin=210.66,
        source_to_detector=553.74,
        angles=angles,
        detector=sg.FlatDetector((24, 256), 0.4),
    )


def middle_slice(rows: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    volume = sg.reconstruct(sg.Scan(rows, geometry(angles)), window="hann", voxel_mm=0.2, shape=(1, 192, 192))
    return volume.values[0].double()


def test_the_walnut_is_sharp_and_single(walnut: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Its gradients hold 1.6 times the energy of those with the angles negated, which are named; the kernel is flat."""
    rows, angles = walnut
    right = middle_slice(rows, angles)
    with pytest.warns(
        sg.errors.ScanWarning, match=r"turns the other way better \(mismatch .* 0\.00\d+ instead of 0\.\d+\)"
    ):
        wrong = middle_slice(rows, -angles)

    def energy(image: torch.Tensor) -> float:
        return float(sum(part.square().mean() for part in torch.gradient(image)))

    assert energy(right) > 1.5 * energy(wrong)
    kernel = right[70:84, 64:74]
    assert float(kernel.median()) == pytest.approx(0.04, abs=0.006)
    assert float(kernel.std()) < 0.002


def test_the_axis_is_where_it_was_put(walnut: tuple[torch.Tensor, torch.Tensor]) -> None:
    """The file's README found it at +0.03 +- 0.05 pixels."""
    rows, angles = walnut
    center = sg.find_center(rows, geometry(angles))
    assert center.reliable and abs(center.offset_pixels - 0.03) < 0.15
    with pytest.warns(sg.errors.CenterWarning, match="turns the other way better"):
        assert not sg.find_center(rows, geometry(-angles)).reliable
