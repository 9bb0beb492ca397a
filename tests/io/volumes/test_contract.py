"""Every format of volumes that sinograd has passes the contract that plugins pass."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from dicom_slices import write_slices
from sinograd.choices import VOLUME_FORMATS
from sinograd.data import Volume
from sinograd.geometry import Grid
from sinograd.testing import VolumeFormatContract
from sinograd.testing.volume_format_contract import GRIDS
from txrm_file import write_txrm

FORMATS = {
    "h5": "out.h5",
    "tif": "out.tif",
    "npy": "out.npy",
    "raw": "out.raw",
    "mha": "out.mha",
    "nifti": "out.nii.gz",
    "nrrd": "out.nrrd",
    "mrc": "out.mrc",
    "zarr": "out.ome.zarr",
    "slices": "out",
    "dicom": "series",
    "txm": "out.txm",
}


def test_no_format_is_left_out() -> None:
    assert set(FORMATS) == {entry.name for entry in VOLUME_FORMATS.entries() if entry.plugin is None}


class TestFormats(VolumeFormatContract):
    formats: ClassVar = {name: file for name, file in FORMATS.items() if name not in ("dicom", "txm")}


class TestUnpackedNifti(VolumeFormatContract):
    formats: ClassVar = {"nifti": "out.nii"}


class TestTxm(VolumeFormatContract):
    """Files by `write_txrm`: float32 slices with cubic voxels about the middle, and no unit."""

    formats: ClassVar = {"txm": "out.txm"}
    grids: ClassVar = {"volume": Grid((5, 4, 3), 0.125), "one slice": Grid((1, 4, 5), 0.5)}

    def make(self, name: str, volume: Volume, folder: Path) -> Path:
        write_txrm(folder / "out.txm", np.asarray(volume.values, np.float32), [], pixel_um=1000 * volume.spacing[0])
        return folder / "out.txm"


class TestDicom(VolumeFormatContract):
    """Slices by `write_slices`, which holds whole numbers of Hounsfield units above -1024 in volumes of any place."""

    formats: ClassVar = {"dicom": "series"}
    grids: ClassVar = {name: grid for name, grid in GRIDS.items() if grid.ndim == 3}
    units = ("HU",)
    misses_files = False

    def make(self, name: str, volume: Volume, folder: Path) -> Path:
        values = np.asarray(volume.values, dtype=np.float64)
        z, y, x = (float(axis[0]) for axis in volume.grid.axes())
        tags = {"each ImagePositionPatient": [[x, y, z + i * volume.spacing[0]] for i in range(volume.slices)]}
        write_slices(folder / "series", values, spacing=volume.spacing, tags=tags)
        return folder / "series"
