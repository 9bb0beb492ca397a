"""Scans written as scanners do, from the descriptions of the formats and of public readers, not from sinograd's.

Each writer places the pixels as the images are stored, in vectors, and projects the phantom exactly: which way
images, angles and shifts run shows in whether the phantom comes back.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from sinograd.data import Scan
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, Grid
from sinograd.phantoms import Ellipsoids
from sinograd.phantoms.balls import balls
from sinograd.recon import fbp, fdk

WHITE = 60_000
GRID = Grid((36, 36, 36), 0.25)
ROWS, COLUMNS, VIEWS = 48, 56, 72


def phantom() -> Ellipsoids:
    """Balls of different sizes and values, none of whose mirror images or turns falls onto itself; mm."""
    centers = [(2.6, 0.6, 1.9), (-1.1, 2.4, -2.2), (-0.5, -2.6, 0.9), (0.4, 0.2, -0.3)]
    return balls([0.9, 1.0, 0.7, 1.1], [0.05, 0.03, 0.06, 0.04], centers)


def counts(line_integrals: torch.Tensor) -> np.ndarray:
    return (WHITE * (-line_integrals.double()).exp()).round().numpy().astype(np.uint16)


def stored(vectors: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    """Counts [views, rows, columns] of the phantom; vectors [views, 4, 3]: source, centre, column and row steps."""
    source, center, u, v = (torch.from_numpy(np.ascontiguousarray(vectors[:, i])) for i in range(4))
    detector = FlatDetector((ROWS, COLUMNS), pixel)
    return counts(phantom().project(ConeBeam.from_vectors(sources=source, centers=center, u=u, v=v, detector=detector)))


def turned(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """[4, 3] turned about z by each angle (counter-clockwise seen from +z): [views, 4, 3]."""
    sine, cosine, zero, one = np.sin(angles), np.cos(angles), np.zeros_like(angles), np.ones_like(angles)
    turn = np.array([[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]])
    return np.einsum("xyn,vy->nvx", turn, vectors)


def match(reconstruction: torch.Tensor, grid: Grid = GRID) -> float:
    """Correlation with the phantom."""
    truth = phantom().voxelize(grid)
    return float(torch.corrcoef(torch.stack([truth.ravel(), reconstruction.ravel()]))[0, 1])


def reconstructed(counts: torch.Tensor, white: float, geometry: Geometry) -> torch.Tensor:
    line_integrals = -(counts.clamp(min=1) / white).log()
    if isinstance(geometry, ConeBeam):
        return fdk(line_integrals, geometry, GRID)
    return fbp(line_integrals, geometry, GRID)


def check_phantom(counts: torch.Tensor, white: float, geometry: Geometry) -> None:
    """The phantom comes back in place and in number, and in no mirror image of it."""
    found = reconstructed(counts, white, geometry)
    assert match(found) > 0.97
    for axis in (0, 1, 2):
        assert match(found.flip(axis)) < 0.7
    truth = phantom().voxelize(GRID)
    inside = truth > 0.9 * truth.amax()
    assert abs(float(found[inside].mean() / truth[inside].mean()) - 1) < 0.05


def write_images(images: np.ndarray, folder: Path, prefix: str, first: int, digits: int = 4) -> None:
    for index, image in enumerate(images):
        tifffile.imwrite(folder / f"{prefix}{index + first:0{digits}d}.tif", image)


def nikon_vectors(
    views: int = VIEWS,
    initial: float = 205.5,
    step: float = 5.0,
    offset: float = 0.0,
    roll: float = 0.0,
    tilt: float = 0.0,
    to_object: float = 60.0,
    to_detector: float = 150.0,
    pixel: tuple[float, float] = (0.5, 0.5),
) -> np.ndarray:
    """As CIL's NikonDataReader: source at the origin, beam along y, axis at (-offset, SrcToObject, 0), turned by
    roll about y and tilt about -x (degrees); pixel 0 at the top right; CIL's angles are -step i - initial + 180 and
    turn the object, so that source and detector turn by minus that."""
    r, t = np.radians(roll), -np.radians(tilt)
    tilting = np.array([[1, 0, 0], [0, np.cos(t), -np.sin(t)], [0, np.sin(t), np.cos(t)]])
    rolling = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    axis = tilting @ rolling @ [0, 0, 1]
    position = np.array([-offset, to_object, 0])
    world = np.array([[0, 0, 0], [0, to_detector, 0]]) - position
    steps = np.array([[-pixel[1], 0, 0], [0, 0, -pixel[0]]])
    # the smallest turn that brings the axis to z
    cross, cosine = np.cross(axis, [0, 0, 1]), axis[2]
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    upright = np.eye(3) + skew + skew @ skew / (1 + cosine)
    return turned(np.vstack([world, steps]) @ upright.T, np.radians(initial + step * np.arange(views) - 180))


def nikon_text(name: str = "bone", **changes: object) -> str:
    entries: dict[str, object] = {
        "Name": name,
        "OperatorID": "Ö. Ünal",
        "InputSeparator": "_",
        "InputFolderName": "",
        "SrcToObject": 60.0,
        "SrcToDetector": 150.0,
        "DetectorPixelsX": COLUMNS,
        "DetectorPixelSizeX": 0.5,
        "DetectorOffsetX": 0,
        "DetectorPixelsY": ROWS,
        "DetectorPixelSizeY": 0.5,
        "DetectorOffsetY": 0,
        "Projections": VIEWS,
        "InitialAngle": 205.5,
        "AngularStep": 5.0,
        "ObjectOffsetX": 0,
        "ObjectRoll": 0,
        "WhiteLevel": WHITE,
        **changes,
    }
    lines = [f"{key}={value}" for key, value in entries.items() if value is not None]
    return "\r\n".join(["[XTekCT]", *lines, "[Xrays]", "XraykV=120", "XrayuA=145", ""])


def skyscan_vectors(
    views: int = VIEWS,
    step: float = 5.0,
    pixel_um: float = 200.0,
    to_object: float = 60.0,
    to_camera: float = 150.0,
    line_from_bottom: float = (ROWS - 1) / 2,
    postalignment: float = 0.0,
) -> np.ndarray:
    """As the ASTRA group's SkyScanParser: angles reversed, images mirrored left to right, the detector of the mirrored
    images moved by -postalignment pixels along its columns; rows from the top. The constant turn is left out."""
    pixel = pixel_um / 1000 * to_camera / to_object
    middle = (ROWS - 1) / 2
    center = [-postalignment * pixel, to_camera - to_object, (middle - line_from_bottom) * pixel]
    still = np.array([[0, -to_object, 0], center, [-pixel, 0, 0], [0, 0, -pixel]])
    return turned(still, np.radians(-step * np.arange(views)))


def skyscan_text(prefix: str = "bone_", **changes: object) -> str:
    """In the order of a SkyScan 1275's log."""
    entries: dict[str, object] = {
        "Data Directory": "D:\\Results\\bone",
        "Filename Prefix": prefix,
        "Number Of Files": f"  {VIEWS}",
        "Number Of Rows": ROWS,
        "Number Of Columns": COLUMNS,
        "Image Rotation": "0.00000",
        "Optical Axis (line)": (ROWS - 1) / 2,
        "Object to Source (mm)": "60.000",
        "Camera to Source (mm)": "150.0",
        "Source Voltage (kV)": "  80",
        "Image Pixel Size (um)": "200.000000",
        "Depth (bits)": 16,
        "Reference Intensity": WHITE,
        "Rotation Step (deg)": "5.000",
        "Flat Field Correction": "ON",
        "Rotation Direction": "CC",
        **changes,
    }
    lines = [f"{key}={value}" for key, value in entries.items() if value is not None]
    system = ["[System]", "Scanner=SkyScan1275", "Camera Pixel Size (um)=75.0", "Camera X/Y Ratio=1.0000"]
    return "\r\n".join([*system, "[User]", "User Name=µCT", "[Acquisition]", *lines, ""])


def write_mrc(
    path: Path,
    images: np.ndarray,
    tilts: list[float] | None,
    *,
    mode: int = 6,
    order: str = "<",
    width: float | None = 500.0,
    extended: int = 0,
    imod_flags: int | None = None,
) -> Path:
    """A tilt series byte by byte, from the table of MRC2014."""
    count, rows, columns = images.shape
    header = bytearray(1024)
    struct.pack_into(f"{order}4i", header, 0, columns, rows, count, mode)
    struct.pack_into(f"{order}3i", header, 28, columns, rows, count)
    if width is not None:
        struct.pack_into(f"{order}3f", header, 40, width, width, width)
    struct.pack_into(f"{order}i", header, 92, extended)
    if imod_flags is not None:
        struct.pack_into(f"{order}2i", header, 152, 1146047817, imod_flags)
    header[208:212] = b"MAP "
    header[212:214] = b"\x44\x44" if order == "<" else b"\x11\x11"
    kind = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}[mode]
    stored = images.astype("u1") if imod_flags == 0 and mode == 0 else images.astype(f"{order}{kind}")
    path.write_bytes(bytes(header) + b"\xff" * extended + stored.tobytes())
    if tilts is not None:
        path.with_suffix(".rawtlt").write_text("".join(f" {tilt:.2f}\n" for tilt in tilts))
    return path


EDF_TYPES = {
    "u1": "UnsignedByte",
    "u2": "UnsignedShort",
    "i4": "SignedInteger",
    "f4": "FloatValue",
    "f8": "DoubleValue",
}


def write_edf(path: Path, image: np.ndarray, *, order: str = "<", size: int = 1024, **changes: str) -> Path:
    kind = image.dtype.kind + str(image.dtype.itemsize)
    entries = {
        "HeaderID": "EH:000001:000000:000000",
        "Image": "1",
        "ByteOrder": "LowByteFirst" if order == "<" else "HighByteFirst",
        "DataType": EDF_TYPES[kind],
        "Dim_1": str(image.shape[1]),
        "Dim_2": str(image.shape[0]),
        "Size": str(image.nbytes),
        **changes,
    }
    text = "{\n" + "".join(f"{key} = {value} ;\n" for key, value in entries.items())
    header = text.ljust(size - 2) + "}\n"
    path.write_bytes(header.encode("latin-1") + image.astype(image.dtype.newbyteorder(order)).tobytes())
    return path


def write_edf_stack(folder: Path, scan: Scan, **more: Any) -> Path:
    folder.mkdir()
    for view, image in enumerate(np.asarray(scan.projections)):
        write_edf(folder / f"sample{view:04d}.edf", image, **more)
    scan.geometry.save(folder / "geometry.yaml")
    return folder
