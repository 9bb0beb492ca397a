"""Synthetic folders of DICOM-CT-PD, written from the published list of tags: raw clinical scans without a patient.

The format: B. Chen et al., Development and validation of an open data format for CT projection data, Med. Phys. 42,
6964 (2015), and the user manual of the Low Dose CT Image and Projection Data, version 3 (2020); the tags are listed in
T. R. Moen et al., Low-dose CT image and projection dataset, Med. Phys. 48, 902 (2021), table IV. Cylindrical
coordinates of the files: x = -rho sin(phi), y = rho cos(phi); columns are counted along the direction that is +x where
the source is at phi = 0, rows against z, both from 1. The world of sinograd is (-x, -y, z).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, CurvedDetector
from sinograd.io.storage.atomic import replacing_folder

if TYPE_CHECKING:
    from pydicom import Dataset

    from sinograd.data import Scan

_CREATORS = {
    0x7029: "DetectorSystemArrangementModule",
    0x7031: "DetectorDynamicsModule",
    0x7033: "SourceDynamicsModule",
    0x7037: "ProjectionDataDefinitions",
    0x7039: "PreprocessingFlagsModule",
    0x7041: "WaterAttenuationModule",
}
_FLAGS = range(0x1003, 0x100A)  # beam hardening, gain, dark field, flat field, bad pixels, scatter, logarithm
_LITTLE_ENDIAN = {"FL": "<f4", "US": "<u2"}


@dataclass(frozen=True)
class CtPdStyle:
    """What differs between files of the format.

    Attributes:
        private: "typed": private tags with their types; "bytes": of unknown type (UN), as programs without the
            dictionary of the format leave them; "implicit": Implicit VR Little Endian, where no type is stored.
        swapped: Rows and Columns of the image are the detector's columns and rows, as in the published scans.
        water: 1/mm, of water.
        first: the number of the first view.
        mode: of the flying focal spot: FFSNONE, FFSZ, FFSXY or FFSXYZ.
        description: of the series.
    """

    private: str = "typed"
    swapped: bool = True
    water: float = 0.0192
    first: int = 1
    mode: str = "FFSNONE"
    description: str = "Full dose projections"


def write_ct_pd(
    scan: Scan, folder: str | os.PathLike[str], *, photons: Any = None, style: CtPdStyle | None = None
) -> list[Path]:
    """Write the views of a cone-beam scan as DICOM-CT-PD, one file a view, and return the files.

    Args:
        scan: line integrals; the rows of the detector run along z. With a `source_offset` a flying focal spot; the axis
            of a curved detector is the files' focal centre.
        folder: to make.
        photons: [views, columns] or [columns], that reach a column in a view without an object; None: 1e5.
        style: see `CtPdStyle`.

    Raises:
        InputError: another beam, or a detector that the format cannot hold.
    """
    style = CtPdStyle() if style is None else style
    views = _Views.of(scan.geometry)
    columns, count = views.shape[1], len(views.phi)
    counts = np.broadcast_to(np.asarray(1e5 if photons is None else photons, "f4"), (count, columns))
    folder, files = Path(folder), []
    with replacing_folder(folder, ours=lambda _: False) as made:
        for view in range(count):
            name = f"{view + style.first:06d}.dcm"
            image = np.asarray(scan.load(view)).astype("f8").reshape(views.shape)
            _write(made / name, views.header(view, image, counts[view], style), style.private)
            files.append(folder / name)
    return files


@dataclass(frozen=True)
class _Views:
    """What the files say of each view: focal centre (rho, phi, z), displacement of the focal spot from there."""

    shape: tuple[int, int]
    spacing: tuple[float, float]
    curved: bool
    distance: float
    center: tuple[float, float]
    rho: np.ndarray
    phi: np.ndarray
    z: np.ndarray
    moved: np.ndarray

    @classmethod
    def of(cls, geometry: Any) -> _Views:
        if not isinstance(geometry, ConeBeam) or geometry.source_to_detector is None or geometry.angles is None:
            raise InputError(f"geometry: expected a circular or helical ConeBeam, got {geometry!r}")
        detector, vectors = geometry.detector, geometry.vectors.numpy()
        source, center, u, v = (vectors[:, row] for row in range(4))
        if np.abs(v[:, :2]).max() > 1e-9 * detector.row_spacing:
            raise InputError("geometry: expected detector rows along z: DICOM-CT-PD has no tilted detectors")
        across, distance = u / np.linalg.norm(u, axis=1, keepdims=True), float(geometry.source_to_detector)
        if isinstance(detector, CurvedDetector):
            if detector.radius not in (None, distance):
                raise InputError("geometry: DICOM-CT-PD takes curved detectors centred on the focal centre")
            focus = vectors[:, 4].copy()
        else:
            normal = np.cross(across, [0.0, 0.0, 1.0])
            focus = center - detector.column_offset * across + distance * normal
        focus[:, 2] -= detector.row_offset
        rho, phi = np.hypot(*focus.T[:2]), np.arctan2(focus[:, 0], -focus[:, 1])
        spot = np.arctan2(source[:, 0], -source[:, 1])
        moved = np.stack(
            [
                (spot - phi + np.pi) % (2 * np.pi) - np.pi,
                source[:, 2] - focus[:, 2],
                np.hypot(*source.T[:2]) - rho,
            ],
            1,
        )
        rows, columns = detector.shape
        middle = (
            (columns + 1) / 2 + detector.column_offset / detector.column_spacing,
            (rows + 1) / 2 + detector.row_offset / detector.row_spacing,
        )
        spacing, curved = (detector.row_spacing, detector.column_spacing), isinstance(detector, CurvedDetector)
        return cls((rows, columns), spacing, curved, distance, middle, rho, phi, focus[:, 2], moved)

    def header(self, view: int, image: np.ndarray, photons: np.ndarray, style: CtPdStyle) -> Dataset:
        """The file of a view, of line integrals [rows, columns]."""
        header = _common_header(view + style.first, style)
        stored = image[::-1, ::-1]  # row 1 has the largest z; column 1 lies where columns of sinograd end
        low, high = float(stored.min()), float(stored.max())
        slope = float(f"{(high - low) / 65535 or 1.0:.9e}")
        low = float(f"{low:.9e}")
        pixels = np.rint((stored - low) / slope).clip(0, 65535).astype("<u2")
        pixels = pixels.T if style.swapped else pixels
        header.Rows, header.Columns = pixels.shape
        header.PixelData = pixels.tobytes()
        header.RescaleIntercept, header.RescaleSlope = f"{low:.9e}", f"{slope:.9e}"
        for tag, kind, value in self._private(view, photons[::-1], style):
            _add(header, tag, kind, value, style.private)
        return header

    def _private(self, view: int, photons: np.ndarray, style: CtPdStyle) -> list[tuple[int, str, Any]]:
        turn = np.median(np.diff(np.unwrap(self.phi))) if len(self.phi) > 1 else 2 * np.pi
        angle, height, distance = (float(value) for value in self.moved[view])
        helical = np.ptp(self.z) > 1e-6
        return [
            *((group << 16 | 0x10, "LO", creator) for group, creator in _CREATORS.items()),
            (0x70291002, "FL", self.spacing[1]),
            (0x70291006, "FL", self.spacing[0]),
            (0x7029100B, "CS", "CYLINDRICAL" if self.curved else "FLAT"),
            (0x70291010, "US", self.shape[0]),
            (0x70291011, "US", self.shape[1]),
            (0x70311001, "FL", float(self.phi[view] % (2 * np.pi))),
            (0x70311002, "FL", float(self.z[view])),
            (0x70311003, "FL", float(self.rho[view])),
            (0x70311031, "FL", self.distance),
            (0x70311033, "FL", list(self.center)),
            (0x7033100B, "FL", angle),
            (0x7033100C, "FL", height),
            (0x7033100D, "FL", distance),
            (0x7033100E, "CS", style.mode),
            (0x70331013, "US", min(65535, round(abs(2 * np.pi / turn)))),
            (0x70331061, "US", 1),
            (0x70331063, "US", 1),
            (0x70331065, "FL", [float(count) for count in photons]),
            (0x70371009, "CS", "HELICAL" if helical else "AXIAL"),
            (0x7037100A, "CS", "FANBEAM"),
            *((0x70390000 | flag, "CS", "YES") for flag in _FLAGS),
            (0x70411001, "DS", f"{style.water:.8g}"),
        ]


def _common_header(number: int, style: CtPdStyle) -> Dataset:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

    header = Dataset()
    header.file_meta = FileMetaDataset()
    implicit = style.private == "implicit"
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    series = [style.description, str(style.water)]
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = CTImageStorage
    header.SOPInstanceUID = generate_uid(entropy_srcs=[*series, str(number)])
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    header.SeriesInstanceUID = generate_uid(entropy_srcs=series)
    header.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
    header.Modality, header.Manufacturer, header.ManufacturerModelName = "CT", "SIEMENS", "Synthetic"
    header.PatientID, header.PatientName, header.PatientBirthDate = "L999", "Phantom", "19010101"
    header.PatientPosition, header.BodyPartExamined = "FFS", "ABDOMEN"
    header.SeriesDescription, header.InstanceNumber = style.description, number
    header.KVP, header.XRayTubeCurrent, header.ExposureTime = "120", "250", "500"
    header.DataCollectionDiameter = "500"
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    return header


def _add(header: Dataset, tag: int, kind: str, value: Any, private: str) -> None:
    if private != "bytes":
        header.add_new(tag, kind, value)
        return
    if kind in _LITTLE_ENDIAN:
        content = np.asarray(value, _LITTLE_ENDIAN[kind]).tobytes()
    else:
        content = str(value).encode()
        content += b" " * (len(content) % 2)
    header.add_new(tag, "LO" if tag & 0xFFFF == 0x10 else "UN", value if tag & 0xFFFF == 0x10 else content)


def _write(path: Path, header: Dataset, private: str) -> None:
    header.save_as(path, enforce_file_format=True, implicit_vr=private == "implicit", little_endian=True)
