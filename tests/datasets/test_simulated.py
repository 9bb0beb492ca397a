"""Simulated pairs: exact projections, noise that is as strong as it should be, the same each time."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from dicom_slices import write_slices
from sinograd.datasets import OwnVolume, PairedVolume, Phantoms, ScanSpec, load_pairs
from sinograd.errors import ConfigError

_FAN = ScanSpec(beam="fan", views=90, photons=2e4)


def _phantoms(**options: Any) -> list[PairedVolume]:
    given: dict[str, Any] = {"phantom": "shepp-logan", "count": 1, "shape": (2, 32, 32), "scan": _FAN}
    return load_pairs(Phantoms(**{**given, **options}))


def _whole(pair: PairedVolume, index: int = 0) -> torch.Tensor:
    return pair.inputs[index].read(0, pair.shape[0])


def _target(pair: PairedVolume) -> torch.Tensor:
    assert pair.target is not None
    return pair.target.read(0, pair.shape[0])


@pytest.mark.parametrize("beam", ["fan", "cone"])
def test_the_target_is_the_object(beam: Any) -> None:
    """The reconstruction of exact projections against the voxels: flat parts agree within 2 %."""
    scan = ScanSpec(beam=beam, views=120)
    shape = (3, 48, 48)
    made = _target(_phantoms(scan=scan, shape=shape)[0])
    (voxels,) = _phantoms(scan=scan, shape=shape, target="voxels")
    truth = _target(voxels)
    inside = torch.nn.functional.max_pool2d(truth, 5, 1, 2) + torch.nn.functional.max_pool2d(-truth, 5, 1, 2) < 1e-4
    inside &= truth > 0.01
    assert inside.sum() > 500
    assert (made - truth)[inside].abs().mean() < 0.02 * truth[inside].mean()
    assert torch.equal(_whole(voxels), _whole(_phantoms(scan=scan, shape=shape)[0]))


def test_noise_is_fair_and_falls_with_the_photons() -> None:
    """Independent realisations around the target; twice the noise with a quarter of the photons."""
    errors = {}
    for photons in (1e4, 4e4):
        scan = ScanSpec(beam="fan", views=90, photons=photons)
        (pair,) = _phantoms(scan=scan, realisations=3, shape=(4, 32, 32))
        noise = torch.stack([_whole(pair, i) - _target(pair) for i in range(3)]).flatten(1)
        errors[photons] = noise.std().item()
        assert noise.mean().abs() < 5 * noise.std() / noise.numel() ** 0.5 * 3  # neighbours are correlated
        assert (torch.corrcoef(noise) - torch.eye(3)).abs().max() < 0.1
    assert errors[1e4] / errors[4e4] == pytest.approx(2, rel=0.06)


def test_the_same_whatever_is_read_first_and_kept() -> None:
    (pair,) = _phantoms(shape=(4, 32, 32))
    whole = _whole(pair)
    (again,) = _phantoms(shape=(4, 32, 32), cache_mb=0)
    assert torch.equal(again.inputs[0].read(2, 3), whole[2:3])
    assert torch.equal(again.inputs[0].read(1, 4), whole[1:])
    assert again.inputs[0].read(0, 0).shape == (0, 32, 32)
    with pytest.raises(IndexError, match="slices 3 to 5 asked for"):
        pair.inputs[0].read(3, 5)
    copy = pickle.loads(pickle.dumps(pair))
    assert torch.equal(_whole(copy), whole)
    others = _phantoms(count=2, first_seed=3, shape=(1, 32, 32))
    assert [p.name for p in others] == ["shepp-logan-3", "shepp-logan-4"]
    assert not torch.allclose(_target(others[0]), _target(others[1]))


def test_memory_is_bounded() -> None:
    pairs = _phantoms(count=4, shape=(2, 32, 32), cache_mb=0)
    for pair in pairs:
        _whole(pair)
    cache = pairs[0].inputs[0].source.cache  # pyright: ignore[reportAttributeAccessIssue]
    assert cache.held == 2 * 32 * 32 * 4  # input and target of one slice


def test_hounsfield_units_and_normal_dose_targets() -> None:
    scan = ScanSpec(beam="fan", views=60, photons=1e5, target_photons=1e6)
    options: dict[str, Any] = {"phantom": "abdomen", "shape": (1, 48, 48), "scan": scan}
    (attenuation,), (hounsfield,) = _phantoms(**options), _phantoms(unit="HU", **options)
    assert hounsfield.unit == "HU" and hounsfield.group == "abdomen"
    expected = (_whole(attenuation) / 0.0193 - 1) * 1000
    assert torch.allclose(_whole(hounsfield), expected, atol=1e-2)
    (clean,) = _phantoms(**{**options, "scan": ScanSpec(beam="fan", views=60, photons=1e5)})
    assert not torch.equal(_target(clean), _target(attenuation))
    low, normal = (_whole(attenuation) - _target(clean)).std(), (_target(attenuation) - _target(clean)).std()
    assert low / normal == pytest.approx(10**0.5, rel=0.15)


@pytest.mark.parametrize("phantom", ["bone", "tibia"])
def test_other_phantoms(phantom: Any) -> None:
    (pair,) = _phantoms(phantom=phantom, shape=(1, 24, 24), target="none", voxel_mm=0.05)
    assert pair.target is None and pair.spacing == (0.05, 0.05, 0.05)
    assert 0.05 < _whole(pair).max() < 0.5


def test_a_scanner_by_name() -> None:
    scan = ScanSpec(beam="fan", scanner="htc2022")
    (pair,) = _phantoms(scan=scan, shape=(1, 32, 32))
    field = sg.load_geometry("htc2022").field_of_view
    assert pair.spacing is not None and pair.spacing[2] == pytest.approx(field / 32)
    assert (_whole(pair) > 0.01).float().mean() > 0.2
    with pytest.raises(ConfigError, match=r"scan.beam: cone does not fit the scanner, htc2022 is a 2-D FanBeam"):
        _phantoms(scan=ScanSpec(scanner="htc2022"))
    with pytest.raises(ConfigError, match=r"scan.views: htc2022 has its own \d+, leave them out"):
        _phantoms(scan=ScanSpec(beam="fan", scanner="htc2022", views=10))


def _own(path: Path, **options: Any) -> PairedVolume:
    given: dict[str, Any] = {"layout": "own-volume", "files": (path,), "unit": "1/mm", "scan": _FAN}
    (pair,) = load_pairs(OwnVolume(**{**given, **options}))
    return pair


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of 12 slices, more than are made at a time."""
    path = tmp_path_factory.mktemp("own") / "body.h5"
    grid = sg.Grid((12, 32, 32), 6.0)
    sg.write_volume(sg.shepp_logan_3d(90, 0.02, "kak-slaney").voxelize(grid), path, grid)
    return path


def test_own_volume_gets_noise_and_nothing_else(body: Path) -> None:
    volume = sg.read_volume(body).values
    pair = _own(body, realisations=2)
    assert torch.equal(_target(pair), volume)
    noise = torch.stack([_whole(pair, i) - volume for i in range(2)])
    rebuilt = _own(body, target="reconstruction")
    # the same noise whether it is added to the volume or to its reconstruction
    assert torch.allclose(_whole(rebuilt) - _target(rebuilt), noise[0], atol=1e-5)
    assert (torch.corrcoef(noise.flatten(1))[0, 1]).abs() < 0.05
    assert torch.equal(_own(body, cache_mb=0).inputs[0].read(9, 10), _whole(pair)[9:10])
    assert not torch.equal(_whole(_own(body, seed=1)), _whole(pair))


def test_own_volume_noise_is_that_of_the_same_scan(body: Path) -> None:
    """Against the projections' noise put through the filter by hand: standard deviation within 5 %."""
    pair = _own(body)
    saved = sg.read_volume(body)
    volume, grid = saved.values, saved.grid
    flat = sg.Grid(grid.shape[1:], grid.spacing[1:])
    geometry = pair.inputs[0].source.simulation.geometry  # pyright: ignore[reportAttributeAccessIssue]
    clean = sg.XRayTransform(geometry, flat)(volume)
    noisy = sg.add_photon_noise(clean, photons=2e4, generator=torch.Generator().manual_seed(5))
    expected = sg.fbp(noisy, geometry, flat) - sg.fbp(clean, geometry, flat)
    assert (_whole(pair) - volume).std() == pytest.approx(expected.std().item(), rel=0.05)


def test_own_volume_of_a_cone_beam(body: Path) -> None:
    pair = _own(body, scan=ScanSpec(views=60, photons=1e4))
    volume = sg.read_volume(body).values
    noise = _whole(pair) - volume
    assert 0 < noise.std() < 0.5 * volume.max()
    assert noise.mean().abs() < 0.05 * noise.std()


def test_own_dicom_in_hounsfield_units(tmp_path: Path) -> None:
    """The noise in HU is 1000 / water times that in 1/mm; padding counts as air."""
    grid = sg.Grid((2, 32, 32), 6.0)
    mu = sg.shepp_logan_3d(90, 0.02, "kak-slaney").voxelize(grid)
    hounsfield = ((mu / 0.02 - 1) * 1000).round()
    mu = (hounsfield / 1000 + 1) * 0.02
    stored = hounsfield.clone()
    stored[hounsfield == -1000] = -2000
    write_slices(tmp_path / "body", stored.numpy(), spacing=(6, 6, 6), intercept=-3000.0)
    sg.write_volume(mu, tmp_path / "body.h5", grid)
    in_hu = _own(tmp_path / "body", unit="HU", water_per_mm=0.02, group="abdomen")
    in_mu = _own(tmp_path / "body.h5")
    assert in_hu.group == "abdomen" and _target(in_hu).min() == -1000
    noise = _whole(in_hu) - _target(in_hu)
    assert torch.allclose(noise * 0.02 / 1000, _whole(in_mu) - _target(in_mu), atol=2e-6)


def test_own_volume_that_does_not_fit(body: Path) -> None:
    scan = ScanSpec(beam="fan", target_photons=1e5)
    with pytest.raises(ConfigError, match="target_photons: the target is the volume as it is"):
        _own(body, scan=scan)
    with pytest.raises(ValueError, match=r"body: the unit is HU, but .* attenuation in 1/mm"):
        _own(body, unit="HU")
    with pytest.raises(FileNotFoundError):
        _own(body.with_name("none.h5"))
