"""One small file or folder of everything that sinograd reads, for the fuzzer."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import tifffile
import torch

from dicom_slices import write_slices
from scanner_files import COLUMNS, ROWS, nikon_text, skyscan_text, write_images
from sinograd.config.yaml import dump_yaml
from sinograd.data import Calibration, Scan
from sinograd.geometry import ConeBeam, CurvedDetector, FlatDetector, Grid, full_scan
from sinograd.interop import write_rtk
from sinograd.io import write_scan, write_volume
from sinograd.models import NetworkDenoiser, bilateral_stack, save_model
from sinograd.networks.cnn10 import CNN10
from sinograd.networks.dncnn import DnCNN
from sinograd.testing import CtPdStyle, write_ct_pd
from txrm_file import write_txrm

IMAGES = np.random.default_rng(0).integers(0, 4000, (5, 4, 5)).astype(np.uint16)
SECRET = 54321  # in every file outside the folder: never read


@dataclass(frozen=True)
class Case:
    """kind: "scan", "volume", "model", "geometry", "rtk", "pairs" or "training"; damaged: relative to the folder."""

    kind: str
    make: Callable[[Path], Path]
    damaged: str


def geometry() -> ConeBeam:
    return ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(5), detector=FlatDetector((4, 5), 0.3)
    )


def scan(images: np.ndarray = IMAGES) -> Scan:
    calibration = Calibration(reference=images[:2], reference_views=[-1, 5], dark=images[:1], shifts=np.ones((5, 2)))
    return Scan(images, geometry(), {"sample": "Knöchel"}, Grid((2, 2, 2), 1), kind="counts", calibration=calibration)


def written(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_scan(scan(), folder / name)
        return folder / name

    return make


def volume(name: str, **more: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_volume(
            torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), folder / name, Grid((3, 4, 5), 0.1)
        )
        return folder / name

    return make


def images_file(path: Path, value: int | None = None) -> None:
    with h5py.File(path, "w") as file:
        file["images"] = IMAGES if value is None else np.full_like(IMAGES, value)


def dxchange(folder: Path) -> Path:
    path = folder / "in.h5"
    images_file(folder / "images.h5")
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/data_white"] = h5py.ExternalLink("images.h5", "/images"), IMAGES[:2]
        file["exchange/theta"] = np.arange(5.0)
        file["measurement/instrument/detector/x_pixel_size"] = 1.3e-6
        file["measurement/instrument/detector/x_pixel_size"].attrs["units"] = "m"
        file["measurement/sample/name"] = "bone"
    return path


def nxtomo(folder: Path) -> Path:
    path = folder / "in.nxs"
    with h5py.File(path, "w") as file:
        detector, sample = file.create_group("entry/instrument/detector"), file.create_group("entry/sample")
        detector.attrs["NX_class"], sample.attrs["NX_class"] = "NXdetector", "NXsample"
        detector.create_dataset("data", data=IMAGES, chunks=(1, 4, 5), compression="gzip")
        detector["image_key"], detector["x_pixel_size"] = [2, 1, 0, 0, 1], 1e-6
        sample["rotation_angle"] = np.arange(5.0)
    return path


def fips(packed: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        parameters = {
            "projectName": "walnut", "geometryType": "Cone", "distanceSourceOrigin": 110.0,
            "distanceSourceDetector": 300.0, "distanceUnit": "mm", "angles": np.arange(4.0) * 90,
            "pixelSizePost": 0.6, "numDetectorsPost": 3.0, "voltage": "45", "voltageUnit": "kV",
        }  # fmt: skip
        content = {"type": "2D", "sinogram": np.arange(12.0).reshape(4, 3), "parameters": parameters}
        scipy.io.savemat(folder / "in.mat", {"CtDataFull": content}, do_compression=packed)
        return folder / "in.mat"

    return make


def fips_hdf5(folder: Path) -> Path:
    path = folder / "in.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("CtDataFull/parameters")
        for name, value in {
            "distanceSourceOrigin": 110.0,
            "distanceSourceDetector": 300.0,
            "pixelSizePost": 0.6,
        }.items():
            group[name] = [[value]]
        group["angles"], file["CtDataFull/sinogram"] = np.arange(4.0)[:, None] * 90, np.arange(12.0).reshape(3, 4)
        for name, text in {"distanceUnit": "mm", "geometryType": "Cone"}.items():
            group[name] = np.frombuffer(text.encode("utf-16-le"), "<u2")[:, None]
            group[name].attrs["MATLAB_class"] = np.bytes_("char")
    content = bytearray(path.read_bytes())
    content[:30] = b"MATLAB 7.3 MAT-file, Platform:"
    path.write_bytes(content)
    return path


def txrm(version: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        options: dict[str, Any] = {"reference": IMAGES[0], "references": IMAGES[:2], "shifts": np.ones((5, 2))}
        write_txrm(
            folder / "in.txrm", IMAGES, np.linspace(0, 300, 5), version=version, scattered=version == 4, **options
        )
        return folder / "in.txrm"

    return make


def txm(folder: Path) -> Path:
    write_txrm(folder / "in.txm", IMAGES, np.linspace(0, 300, 5))
    return folder / "in.txm"


def pages(name: str = "in.tif", **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        tifffile.imwrite(folder / name, IMAGES, photometric="minisblack", **options)
        geometry().save(folder / "in.yaml")
        return folder / name

    return make


def npz(save: Callable[..., None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        save(folder / "in.npz", projections=IMAGES, reference=IMAGES[:2], exposure=np.ones(5))
        geometry().save(folder / "in.yaml")
        return folder / "in.npz"

    return make


def edf(folder: Path) -> Path:
    (folder / "in").mkdir()
    for view, image in enumerate(IMAGES):
        text = "{\nDataType = UnsignedShort ;\nByteOrder = LowByteFirst ;\nDim_1 = 5 ;\nDim_2 = 4 ;\nSize = 40 ;\n"
        (folder / "in" / f"a{view:04d}.edf").write_bytes(text.encode().ljust(510) + b"}\n" + image.tobytes())
    geometry().save(folder / "in" / "geometry.yaml")
    return folder / "in"


def mrc_series(folder: Path) -> Path:
    write_volume(torch.from_numpy(IMAGES.astype(np.int16)), folder / "in.mrc", Grid((5, 4, 5), 0.1))
    content = bytearray((folder / "in.mrc").read_bytes())
    content[88:92] = struct.pack("<i", 0)
    (folder / "in.mrc").write_bytes(content)
    (folder / "in.tlt").write_text("".join(f"{10 * i}\n" for i in range(5)))
    return folder / "in.mrc"


def nikon(folder: Path) -> Path:
    write_images(np.zeros((5, ROWS, COLUMNS), np.uint16), folder, "bone_", 1)
    (folder / "bone.xtekct").write_text(nikon_text(Projections=5, ObjectTilt=1), encoding="latin-1")
    (folder / "bone.ang").write_text("Proj\tAngle\n" + "".join(f"{i + 1}:\t{5 * i}\n" for i in range(5)))
    return folder / "bone.xtekct"


def skyscan(folder: Path) -> Path:
    write_images(np.zeros((5, ROWS, COLUMNS), np.uint16), folder, "bone_", 0)
    (folder / "bone_.log").write_text(skyscan_text(**{"Number Of Files": 5}), encoding="latin-1")
    return folder / "bone_.log"


def layout(folder: Path) -> Path:
    """An HDF5 file that a YAML file describes, with a part of it in another file."""
    images_file(folder / "images.h5")
    with h5py.File(folder / "in.nxs", "w") as file:
        file["entry/data"], file["entry/keys"] = h5py.ExternalLink("images.h5", "/images"), [2, 1, 0, 0, 0]
        file["entry/angles"] = np.arange(5.0)
        file["entry/pixel"] = 3.25
        file["entry/pixel"].attrs["units"] = "um"
    (folder / "in.yaml").write_text(
        "hdf5: in.nxs\nprojections: /entry/data\nimage_key: entry/keys\n"
        "angles: {dataset: /entry/angles, scale: 36, offset: -0.5}\npixel_mm: /entry/pixel\n"
    )
    return folder / "in.yaml"


def xrm_series(folder: Path) -> Path:
    (folder / "in").mkdir()
    for view, image in enumerate(IMAGES):
        write_txrm(folder / "in" / f"a{view:04d}.xrm", image[None], [10.0 * view])
    return folder / "in"


def checkpoint(folder: Path) -> Path:
    """Weights of ldct-benchmark's CNN-10, by its names."""
    weights = {name: torch.zeros_like(value) for name, value in CNN10().state_dict().items()}
    torch.save({"model_state_dict": weights}, folder / "in.pt")
    return folder / "in.pt"


def angles_file(folder: Path) -> Path:
    record = geometry().to_dict()
    record["angles_deg"] = "angles.txt"
    (folder / "angles.txt").write_text("# degrees\n" + "".join(f"{72.5 * i}\n" for i in range(5)))
    (folder / "in.yaml").write_text(dump_yaml(record))
    return folder / "in.yaml"


def mhd(packed: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import SimpleITK

        image = SimpleITK.GetImageFromArray(IMAGES)
        SimpleITK.WriteImage(image, str(folder / "out.mhd"), packed)
        return folder / "out.mhd"

    return make


def nrrd_packed(folder: Path) -> Path:
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(IMAGES), str(folder / "out.nrrd"), True)
    return folder / "out.nrrd"


def dicom(deflated: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_slices(folder / "in", IMAGES[:3] / 4.0)
        if deflated:
            from pydicom import dcmread
            from pydicom.uid import DeflatedExplicitVRLittleEndian

            slice_ = dcmread(folder / "in" / "1-002.dcm")
            slice_.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            slice_.save_as(folder / "in" / "1-002.dcm", enforce_file_format=True)
        return folder / "in"

    return make


def raw_ct(private: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        detector = CurvedDetector((4, 5), 20.0)
        helix = ConeBeam.helical(
            source_to_origin=595, source_to_detector=1085, angles=np.arange(5) * 0.2, detector=detector, pitch=20
        )
        write_ct_pd(Scan(IMAGES / 1000, helix), folder / "in", style=CtPdStyle(private=private))
        return folder / "in"

    return make


def network(folder: Path) -> Path:
    save_model(NetworkDenoiser(DnCNN(3, 2), 0.0, 1.0), folder / "in.pt", trained_on={"unit": "HU", "steps": 3})
    return folder / "in.pt"


def filters(folder: Path) -> Path:
    save_model(bilateral_stack(2), folder / "in.yaml", description="bone", trained_on={"unit": "1/mm"})
    return folder / "in.yaml"


def beam_file(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        beam = geometry()
        vectors = dict(zip(("sources", "centers", "u", "v"), beam.vectors.unbind(1), strict=True))
        (beam if name == "cone" else ConeBeam.from_vectors(**vectors, detector=beam.detector)).save(folder / "in.yaml")
        return folder / "in.yaml"

    return make


def rtk(folder: Path) -> Path:
    write_rtk(geometry(), folder / "in.xml")
    return folder / "in.xml"


def pairs(folder: Path) -> Path:
    for name in ("low", "normal"):
        volume(f"{name}.h5")(folder)
    files = [{"input": "low.h5", "target": "normal.h5", "name": "bone", "patient": "p1", "group": "g"}]
    (folder / "in.yaml").write_text(dump_yaml({"pairs": {"layout": "volumes", "unit": "1/mm", "files": files}}))
    return folder / "in.yaml"


def training(folder: Path) -> Path:
    record = {
        "task": {"name": "supervised", "loss": "mse"},
        "model": {"name": "red-cnn", "channels": 8},
        "data": {
            "pairs": {"layout": "phantoms", "phantom": "abdomen", "count": 2, "shape": [4, 32, 32]},
            "patches": {"size": 24, "per_batch": 4},
        },
        "stop": {"max_steps": 10},
        "seed": 1,
    }
    (folder / "in.yaml").write_text(dump_yaml(record))
    return folder / "in.yaml"


CASES: dict[str, Case] = {
    "sinograd HDF5": Case("scan", written("in.h5"), "in.h5"),
    "DXchange": Case("scan", dxchange, "in.h5"),
    "NXtomo": Case("scan", nxtomo, "in.nxs"),
    "FIPS 5": Case("scan", fips(False), "in.mat"),
    "FIPS 5 packed": Case("scan", fips(True), "in.mat"),
    "FIPS 7.3": Case("scan", fips_hdf5, "in.mat"),
    "txrm": Case("scan", txrm(3), "in.txrm"),
    "txrm of large sectors": Case("scan", txrm(4), "in.txrm"),
    "npy": Case("scan", written("in.npy"), "in.npy"),
    "YAML of npy": Case("scan", written("in.npy"), "in.yaml"),
    "npz": Case("scan", npz(np.savez), "in.npz"),
    "npz packed": Case("scan", npz(np.savez_compressed), "in.npz"),
    "TIFF image": Case("scan", written("in"), "in/projection_00002.tif"),
    "YAML of TIFF": Case("scan", written("in"), "in/scan.yaml"),
    "TIFF pages": Case("scan", pages(), "in.tif"),
    "TIFF pages packed": Case("scan", pages(compression="zlib"), "in.tif"),
    "TIFF pages LZW": Case("scan", pages(compression="lzw", predictor=True), "in.tif"),
    "BigTIFF tiles": Case("scan", pages(bigtiff=True, tile=(16, 16)), "in.tif"),
    "ImageJ pages": Case("scan", pages(imagej="yes"), "in.tif"),
    "EDF": Case("scan", edf, "in/a0002.edf"),
    "DICOM-CT-PD": Case("scan", raw_ct("typed"), "in/000003.dcm"),
    "DICOM-CT-PD, no types": Case("scan", raw_ct("bytes"), "in/000003.dcm"),
    "DICOM-CT-PD, implicit": Case("scan", raw_ct("implicit"), "in/000001.dcm"),
    "YAML of EDF": Case("scan", edf, "in/geometry.yaml"),
    "MRC series": Case("scan", mrc_series, "in.mrc"),
    "MRC tilts": Case("scan", mrc_series, "in.tlt"),
    "HDF5 layout": Case("scan", layout, "in.nxs"),
    "YAML of HDF5 layout": Case("scan", layout, "in.yaml"),
    "xrm series": Case("scan", xrm_series, "in/a0002.xrm"),
    "Nikon": Case("scan", nikon, "bone.xtekct"),
    "Nikon angles": Case("scan", nikon, "bone.ang"),
    "SkyScan": Case("scan", skyscan, "bone_.log"),
    "volume HDF5": Case("volume", volume("out.h5"), "out.h5"),
    "volume TIFF": Case("volume", volume("out.tif"), "out.tif"),
    "volume npy": Case("volume", volume("out.npy"), "out.npy"),
    "YAML of volume npy": Case("volume", volume("out.npy"), "out.yaml"),
    "raw": Case("volume", volume("out.raw"), "out.raw"),
    "YAML of raw": Case("volume", volume("out.raw"), "out.yaml"),
    "mha": Case("volume", volume("out.mha"), "out.mha"),
    "mhd": Case("volume", mhd(False), "out.mhd"),
    "mhd packed": Case("volume", mhd(True), "out.mhd"),
    "nii": Case("volume", volume("out.nii"), "out.nii"),
    "nii.gz": Case("volume", volume("out.nii.gz"), "out.nii.gz"),
    "nrrd": Case("volume", volume("out.nrrd"), "out.nrrd"),
    "nrrd packed": Case("volume", nrrd_packed, "out.nrrd"),
    "MRC volume": Case("volume", volume("out.mrc"), "out.mrc"),
    "txm": Case("volume", txm, "in.txm"),
    "Zarr group": Case("volume", volume("out.zarr"), "out.zarr/zarr.json"),
    "Zarr array": Case("volume", volume("out.zarr"), "out.zarr/0/zarr.json"),
    "Zarr chunk": Case("volume", volume("out.zarr"), "out.zarr/0/c/0/0/0"),
    "TIFF slice": Case("volume", volume("out"), "out/slice_00001.tif"),
    "YAML of slices": Case("volume", volume("out"), "out/volume.yaml"),
    "DICOM": Case("volume", dicom(False), "in/1-002.dcm"),
    "DICOM deflated": Case("volume", dicom(True), "in/1-002.dcm"),
    "network": Case("model", network, "in.pt"),
    "checkpoint of ldct-benchmark": Case("model", checkpoint, "in.pt"),
    "filters": Case("model", filters, "in.yaml"),
    "geometry": Case("geometry", beam_file("cone"), "in.yaml"),
    "geometry by vectors": Case("geometry", beam_file("vectors"), "in.yaml"),
    "file of angles": Case("geometry", angles_file, "angles.txt"),
    "RTK": Case("rtk", rtk, "in.xml"),
    "pairs": Case("pairs", pairs, "in.yaml"),
    "training": Case("training", training, "in.yaml"),
}
