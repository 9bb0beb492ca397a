"""Every format of scans under its contract. Truth: files of each kind, written by the tests' own writers."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from scanner_files import COLUMNS, ROWS, nikon_text, skyscan_text, write_edf_stack, write_images, write_mrc
from sinograd.choices import SCAN_FORMATS
from sinograd.data import Scan
from sinograd.geometry import ConeBeam, CurvedDetector
from sinograd.testing import ScanFormatContract, write_ct_pd
from sinograd.testing.scan_format_contract import sample_scan
from txrm_file import write_txrm

IMAGES = np.random.default_rng(0).integers(0, 4000, (5, 4, 5)).astype(np.uint16)


class TestSinogradHdf5(ScanFormatContract):
    name = "h5"


class TestDXchange(ScanFormatContract):
    name = "dxchange"
    keeps = frozenset({"reference", "dark"})


class TestNpy(ScanFormatContract):
    name = "npy"


class TestTiffStack(ScanFormatContract):
    name = "tiff"


class TestNXtomo(ScanFormatContract):
    name = "nxtomo"

    def make(self, folder: Path) -> Path:
        with h5py.File(folder / "scan.nxs", "w") as file:
            detector, sample = file.create_group("entry/instrument/detector"), file.create_group("entry/sample")
            detector.attrs["NX_class"], sample.attrs["NX_class"] = "NXdetector", "NXsample"
            detector["data"], detector["image_key"] = IMAGES, [2, 1, 0, 0, 1]
            detector["x_pixel_size"], sample["rotation_angle"] = 1e-6, np.arange(5.0)
        return folder / "scan.nxs"


class TestHdf5Layout(ScanFormatContract):
    name = "hdf5-layout"

    def make(self, folder: Path) -> Path:
        with h5py.File(folder / "scan.h5", "w") as file:
            file["raw/frames"], file["raw/angle"] = IMAGES, np.arange(5.0)
        (folder / "scan.yaml").write_text(
            "hdf5: scan.h5\nprojections: raw/frames\nangles: {dataset: raw/angle, unit: deg}\npixel_mm: 0.1\n"
        )
        return folder / "scan.yaml"


class TestFips(ScanFormatContract):
    name = "fips"

    def make(self, folder: Path) -> Path:
        parameters = {
            "distanceSourceOrigin": 410.66,
            "distanceSourceDetector": 553.74,
            "distanceUnit": "mm",
            "pixelSizePost": 0.2,
            "angles": np.linspace(0, 350, 7),
        }
        content = {"type": "2D", "sinogram": np.random.default_rng(0).random((7, 9)), "parameters": parameters}
        scipy.io.savemat(folder / "scan.mat", {"CtDataFull": content}, do_compression=True)
        return folder / "scan.mat"


class TestTxrm(ScanFormatContract):
    name = "txrm"

    def make(self, folder: Path) -> Path:
        write_txrm(folder / "scan.txrm", IMAGES, np.linspace(0, 300, 5), reference=IMAGES[0], shifts=np.ones((5, 2)))
        return folder / "scan.txrm"


class TestNikon(ScanFormatContract):
    name = "nikon"

    def make(self, folder: Path) -> Path:
        images = np.random.default_rng(0).integers(0, 4000, (5, ROWS, COLUMNS)).astype(np.uint16)
        write_images(images, folder, "bone_", 1)
        (folder / "bone.xtekct").write_text(nikon_text(Projections=5), encoding="latin-1")
        return folder / "bone.xtekct"


class TestNikonImages(TestNikon):
    """As above, in a folder, with a damaged image."""

    def make(self, folder: Path) -> Path:
        return super().make(folder).parent

    def damaged_file(self, path: Path) -> Path:
        return path / "bone_0003.tif"


class TestSkyScan(ScanFormatContract):
    name = "skyscan"

    def make(self, folder: Path) -> Path:
        images = np.random.default_rng(0).integers(0, 4000, (5, ROWS, COLUMNS)).astype(np.uint16)
        write_images(images, folder, "bone_", 0)
        (folder / "bone_.log").write_text(skyscan_text(**{"Number Of Files": 5}), encoding="latin-1")
        return folder / "bone_.log"


class TestDicomCtPd(ScanFormatContract):
    name = "dicom-ct-pd"

    def make(self, folder: Path) -> Path:
        detector = CurvedDetector((4, 5), 20.0)
        angles = [0.0, 0.2, 0.4, 0.6, 0.8]
        helix = ConeBeam.helical(
            source_to_origin=595, source_to_detector=1085, angles=angles, detector=detector, pitch=20
        )
        write_ct_pd(Scan(IMAGES / 1000, helix), folder / "raw")
        return folder / "raw"


class TestMrc(ScanFormatContract):
    name = "mrc"

    def make(self, folder: Path) -> Path:
        return write_mrc(folder / "series.mrc", IMAGES, [-60.0, -30.0, 0.0, 30.5, 60.0])


class TestEdf(ScanFormatContract):
    name = "edf"

    def make(self, folder: Path) -> Path:
        return write_edf_stack(folder / "stack", sample_scan())


class TestMrcAngles(TestMrc):
    """As above, with damaged angles."""

    def damaged_file(self, path: Path) -> Path:
        return path.with_suffix(".rawtlt")


@pytest.mark.parametrize("name", SCAN_FORMATS.names())
def test_every_format_is_under_the_contract(name: str) -> None:
    assert name in {one.name for one in ScanFormatContract.__subclasses__()}
