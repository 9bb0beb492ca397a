"""MRC volumes (`.mrc`, `.rec`, `.map`): tomograms of electron and soft X-ray microscopes.

The header is that of MRC2014 (Cheng et al., J. Struct. Biol. 192, 146, 2015); `sinograd.io.scans.mrc` lists the fields
that tilt series and volumes share. Volumes have also, int32 or float32 at these bytes:

    MX, CELLA           columns, rows and sections of the cell, 28, 32, 36, and its widths in Angstrom, 40, 44, 48: the
                        voxel is CELLA / MX
    MAPC, MAPR, MAPS    axes of columns, rows and sections, 64, 68, 72: 1, 2, 3 (x, y, z), other orders are refused
    ISPG                88: 1 for a volume, 0 for a stack of images
    EXTTYP              104: the type of the extended header
    ORIGIN              196, 200, 204: place of the first voxel in Angstrom, taken as that of its centre

A file with ISPG 1 is a volume unless angles of a tilt series lie beside it (NAME.tlt, NAME.rawtlt); others are read as
volumes by `sg.read_volume` alone. NXSTART and its like are not used. Unit, provenance, spacing and position are JSON
text in an extended header of type SINO, which other programs skip. Types without a mode become larger ones: uint8
int16, float64 and whole numbers beyond 16 bits float32; booleans are int8.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.json import load_json
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.io.storage.mrc import HEADER_BYTES, MM, MODES, MrcHeader, is_mrc, read_header
from sinograd.io.storage.raw_images import RawImages
from sinograd.io.volumes.format import StoredArray, VolumeFormat, damage, record_of, volume_of

_TYPE = b"SINO"
_VERSION = 20141
_STORED = {"bool": "i1", "int8": "i1", "uint8": "i2", "int16": "i2", "uint16": "u2", "float16": "f2"}


class Mrc(VolumeFormat):
    """An MRC file that holds a volume."""

    keeps = frozenset({"unit", "provenance"})
    unit_place = "`unit` of the JSON text in the extended header"

    def matches(self, path: Path, head: bytes) -> bool:
        """The mark of MRC and space group 1, without angles beside it."""
        order = "<" if is_mrc(head) and head[212] == 0x44 else ">"
        angles = (path.with_suffix(".tlt"), path.with_suffix(".rawtlt"))
        return is_mrc(head) and struct.unpack_from(f"{order}i", head, 88) == (1,) and not any(map(Path.is_file, angles))

    def open(self, path: Path) -> Volume:
        """The volume; FormatError for a damaged file or one without a voxel size."""
        with open(path, "rb") as file:
            if not is_mrc(file.read(HEADER_BYTES)):
                raise FormatError(f"{path} is no MRC file: the mark MAP is missing")
        header = read_header(path)
        with damage(path):
            record = _record(header)
        full = [header.images, header.rows, header.columns]
        shape = record.get("shape", full)
        if shape != full and [1, *shape] != full:
            raise FormatError(f"{path} is damaged: it holds {full}, its record says {shape}")
        images = RawImages(path, header.extents, (header.rows, header.columns), header.dtype)
        return volume_of(StoredArray(images, tuple(shape), is_bool=record.get("dtype") == "bool"), record, path)

    def write(self, volume: Volume, path: Path) -> None:
        """The volume slice by slice, and its record."""
        kind = _STORED.get(str(volume.dtype).removeprefix("torch."), "f4")
        text = to_json(record_of(volume)).encode()
        with open(path, "wb") as file:
            file.write(_header(volume, kind, len(text)) + text)
            for section in range(volume.slices):
                values = volume.read(section, section + 1, None).detach().cpu().numpy()
                file.write(values.astype(f"<{kind}").tobytes())


def _record(header: MrcHeader) -> dict[str, Any]:
    """What `record_of` made, or what the header says."""
    if header.integers[26:27].tobytes() == _TYPE:
        with open(header.path, "rb") as file:
            file.seek(HEADER_BYTES)
            record = load_json(file.read(header.offset - HEADER_BYTES))
        if not isinstance(record, dict) or not isinstance(record.get("shape"), list):
            raise FormatError("the JSON text of its extended header is no record of a volume")
        return record
    axes = header.integers[16:19].tolist()
    if axes not in ([1, 2, 3], [0, 0, 0]):
        raise FormatError(f"axes in the order {axes} (MAPC, MAPR, MAPS) are not read, expected [1, 2, 3]")
    cell, width = header.integers[7:10].astype(float), header.floats[10:13].astype(float)
    if not (np.isfinite(width).all() and (cell > 0).all() and (width > 0).all()):
        raise FormatError("there is no voxel size (CELLA)")
    spacing = width / cell * MM
    count = np.array([header.columns, header.rows, header.images])
    center = header.floats[49:52] * MM + spacing * (count - 1) / 2
    return {"spacing_mm": spacing[::-1].tolist(), "center_mm": center.tolist()}


def _header(volume: Volume, kind: str, extended: int) -> bytes:
    """1024 bytes, little-endian; an image is one section as thick as its pixels are wide."""
    shape, spacing = [1, *volume.shape][-3:], [volume.spacing[-1], *volume.spacing][-3:]
    center = [*volume.grid.center, 0.0][:3]
    x_to_z, voxel = shape[::-1], [step / MM for step in spacing[::-1]]
    origin = [c / MM - step * (n - 1) / 2 for c, step, n in zip(center, voxel, x_to_z, strict=True)]
    header = bytearray(HEADER_BYTES)
    mode = next(code for code, name in MODES.items() if name == kind)
    struct.pack_into("<4i", header, 0, *x_to_z, mode)
    struct.pack_into("<3i", header, 28, *x_to_z)
    struct.pack_into("<6f", header, 40, *(n * step for n, step in zip(x_to_z, voxel, strict=True)), 90, 90, 90)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    struct.pack_into("<3f2i", header, 76, 0, -1, -2, 1, extended)  # minimum, maximum, mean: not known; ISPG, NSYMBT
    struct.pack_into("<4si", header, 104, _TYPE, _VERSION)
    struct.pack_into("<3f", header, 196, *origin)
    struct.pack_into("<4s4sf", header, 208, b"MAP ", b"\x44\x44\0\0", -1)  # RMS: not known
    return bytes(header)
