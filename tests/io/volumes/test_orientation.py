"""Volumes whose axes run against the world's or in another order. Truth: SimpleITK's coordinates, NIfTI's sform."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import sinograd as sg
from sinograd.data import Volume
from sinograd.errors import ScanWarning
from sinograd.io import open_volume, read_volume, write_volume

SIZE, SPACING, ORIGIN = (3, 4, 5), (0.5, 0.25, 2.0), (-7.0, 11.0, 3.0)  # x, y, z
DIRECTIONS = [
    np.eye(3)[:, order] * signs
    for order in itertools.permutations(range(3))
    for signs in ([1, 1, 1], [-1, 1, -1], [1, -1, 1])
    if not (list(order) == [0, 1, 2] and signs == [1, 1, 1])
]


def place_of(volume: Volume, marked: float) -> list[float]:
    """World (x, y, z) of the voxel with a value."""
    z, y, x = np.argwhere(volume.values.numpy() == marked)[0]
    zs, ys, xs = volume.grid.axes()
    return [float(xs[x]), float(ys[y]), float(zs[z])]


def image_of(direction: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(SIZE[::-1]))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(direction.ravel().tolist())
    return image


@pytest.mark.parametrize("suffix", [".mha", ".nii", ".nrrd"])
def test_every_order_and_sign(suffix: str, tmp_path: Path) -> None:
    for number, direction in enumerate(DIRECTIONS):
        path = tmp_path / f"{number}{suffix}"
        image = image_of(direction)
        sitk.WriteImage(image, str(path), useCompression=number % 2 == 1)
        with pytest.warns(ScanWarning, match=r"read along the world's axes"):
            volume = read_volume(path)
        for index in ((0, 0, 0), (2, 1, 4), (1, 3, 2)):
            marked = float(image.GetPixel(*index))
            np.testing.assert_allclose(
                place_of(volume, marked), image.TransformIndexToPhysicalPoint(index), atol=1e-5, err_msg=str(direction)
            )
        write_volume(volume, tmp_path / f"again{number}{suffix}")
        again = read_volume(tmp_path / f"again{number}{suffix}")
        assert again.values.equal(volume.values)
        np.testing.assert_allclose(again.grid.center, volume.grid.center, atol=1e-5)


def test_lazy_slices(tmp_path: Path) -> None:
    for number, direction in enumerate(DIRECTIONS[:5]):
        path = tmp_path / f"{number}.mha"
        sitk.WriteImage(image_of(direction), str(path))
        with pytest.warns(ScanWarning):
            whole, lazy = read_volume(path).values, open_volume(path)
        for first in range(len(whole)):
            assert lazy.read(first, first + 1, None).equal(whole[first : first + 1])
        assert lazy.read(1, len(whole), None).equal(whole[1:])


def test_small_obliquity_is_rounding(tmp_path: Path) -> None:
    angle = 5e-5
    direction = np.array([[1, -angle, 0], [angle, 1, 0], [0, 0, 1]])
    sitk.WriteImage(image_of(direction), str(tmp_path / "a.nrrd"))
    assert read_volume(tmp_path / "a.nrrd").shape == (5, 4, 3)
    angle = np.radians(3)
    direction = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    sitk.WriteImage(image_of(direction), str(tmp_path / "a.nrrd"))
    with pytest.raises(ValueError, match=r"turned by 3 degrees against the world's.*resample it"):
        read_volume(tmp_path / "a.nrrd")


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """NIfTI-1 with an sform, as its description has it (x fastest, world right-anterior-superior)."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, *np.linalg.norm(affine[:3, :3], axis=0), 0, 0, 0, 0)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<B", header, 123, 2)
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + array.astype("<i2").tobytes())


def test_plain_affines_of_nifti(tmp_path: Path) -> None:
    """diag(2, 2, 3), as nibabel writes them: +x is to the right, against ours."""
    array = np.arange(60).reshape(5, 4, 3)
    affine = np.array([[2, 0, 0, -9], [0, 2, 0, 4], [0, 0, 3, 1], [0, 0, 0, 1.0]])
    write_nifti(tmp_path / "a.nii", array, affine)
    with pytest.warns(ScanWarning, match=r"stored against the world's x and y"):
        volume = read_volume(tmp_path / "a.nii")
    for index in ((0, 0, 0), (2, 1, 4)):
        right, front, top, _ = affine @ [*index, 1]
        assert place_of(volume, array[index[::-1]]) == pytest.approx([-right, -front, top])


def test_it_is_told_once_however_often_values_are_read(tmp_path: Path) -> None:
    sitk.WriteImage(image_of(DIRECTIONS[1]), str(tmp_path / "v.nii"))
    with pytest.warns(ScanWarning) as caught:
        volume = open_volume(tmp_path / "v.nii")
        volume.read(0, 1)
        volume.read(1, 2)
    assert len(caught) == 1


def test_the_middle_of_float32_origins_is_the_axis(tmp_path: Path) -> None:
    grid = sg.Grid((5, 62, 62), 0.595393)
    sg.write_volume(sg.Volume(torch.zeros(grid.shape), grid, "1/mm"), tmp_path / "v.nii")
    assert read_volume(tmp_path / "v.nii").grid.center == (0, 0, 0)
