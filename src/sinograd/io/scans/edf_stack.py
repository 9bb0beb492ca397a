"""EDF stacks: a folder of ESRF Data Format images, one a view, with a YAML file (`help(sinograd.io.scans.sidecar)`).

An EDF file starts with a header of ASCII text in braces, lines `Key = value ;` padded with spaces to a multiple of 512
bytes, and goes on with the numbers: Dim_1 columns (the faster axis), Dim_2 rows, DataType, ByteOrder (LowByteFirst or
HighByteFirst) and, where it is given, Size or EDF_BinarySize in bytes. Keys and type names are those of the readers of
the ESRF (PyMca's EdfFile, FabIO). One image a file; compressed data and further blocks are refused.

References and dark images are known by name as in TIFF stacks ("flat_0001.edf", folders "darks"), and as beamlines of
the ESRF call them: refHST0000.edf (a reference, taken at that view) and dark.edf, darkend0000.edf. The numbers of
references count as the views at which they were taken where every one is a refHST. Row 0 is the lowest (-v), unless
the YAML file says flip_rows.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.data.calibration import Calibration
from sinograd.data.projections import Projections, view_order
from sinograd.data.scan import Scan
from sinograd.errors import FormatError, InputError
from sinograd.files.inputs import noted
from sinograd.geometry import Geometry
from sinograd.io.scans.file_groups import group_of, warn_of_several_names
from sinograd.io.scans.file_order import ordered_files
from sinograd.io.scans.format import ScanFormat
from sinograd.io.scans.sidecar import Sidecar, sidecar_of

SUFFIXES = (".edf",)
BLOCK, MOST_HEADER = 512, 1 << 20  # bytes
TYPES = {
    "signedbyte": "i1", "signed8": "i1", "unsignedbyte": "u1", "unsigned8": "u1",
    "signedshort": "i2", "signed16": "i2", "unsignedshort": "u2", "unsigned16": "u2", "unsignedshortinteger": "u2",
    "signedinteger": "i4", "signed32": "i4", "unsignedinteger": "u4", "unsigned32": "u4",
    "signedlong": "i4", "unsignedlong": "u4", "signed64": "i8", "unsigned64": "u8",
    "float": "f4", "floatvalue": "f4", "real": "f4", "float32": "f4", "double": "f8", "doublevalue": "f8",
}  # fmt: skip
LIMITS = {  # keys of headers without blanks, dashes and underscores
    "saturation": ("saturation", "saturationvalue", "saturationlevel"),
    "bit_depth": ("bitdepth", "bitdepthreadout"),
}
ORDERS = {"lowbytefirst": "<", "highbytefirst": ">"}


@dataclass(frozen=True)
class Image:
    """Where the numbers of one image are."""

    path: Path
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, path: Path) -> Image:
        """The image of a file, of which the header is read; FormatError naming file and key."""
        entries, offset = _header(path)
        columns, rows = (_count(path, entries, key) for key in ("dim_1", "dim_2"))
        name, order = entries.get("datatype", ""), entries.get("byteorder", "")
        if name.lower() not in TYPES:
            raise FormatError(f"{path}: DataType must be one of {', '.join(sorted(TYPES))}, got {shown(name)}")
        if order.lower() not in ORDERS:
            raise FormatError(f"{path}: ByteOrder must be LowByteFirst or HighByteFirst, got {shown(order)}")
        if entries.get("compression", "none").lower() not in ("", "none"):
            raise FormatError(f"{path}: compressed EDF images are not read (Compression = {entries['compression']})")
        dtype = np.dtype(ORDERS[order.lower()] + TYPES[name.lower()])
        expected, there = rows * columns * dtype.itemsize, path.stat().st_size - offset
        if there < expected:
            raise FormatError(f"{path} is truncated: {rows} x {columns} {name} are {expected} bytes, it holds {there}")
        if there >= expected + BLOCK:
            raise FormatError(f"{path} holds {there - expected} bytes behind its image: one image a file is read")
        return cls(path, offset, (rows, columns), dtype)

    def read(self) -> np.ndarray:
        """[rows, columns], in the byte order of the machine; FormatError where the file became shorter."""
        values = np.fromfile(self.path, self.dtype, math.prod(self.shape), offset=self.offset)
        if values.size < math.prod(self.shape):
            raise FormatError(f"{self.path} changed since it was opened: it is truncated")
        return values.astype(self.dtype.newbyteorder("="), copy=False).reshape(self.shape)


class EdfImages:
    """Images [images, rows, columns] of EDF files, read when they are used.

    It holds no open file, so it can be pickled and used in DataLoader workers.

    Args:
        files: in order, all of one size and type; else InputError naming the file.
        flip_rows, flip_columns: reverse the images.
    """

    def __init__(self, files: Sequence[Path], *, flip_rows: bool = False, flip_columns: bool = False) -> None:
        self._images = [Image.of(path) for path in files]
        first = self._images[0]
        for image in self._images:
            if (image.shape, image.dtype) != (first.shape, first.dtype):
                raise InputError(
                    f"{image.path} holds {image.shape} {image.dtype} but {first.path.name} {first.shape} "
                    f"{first.dtype}: all images of a stack must have one size and type"
                )
        self.shape = (len(files), *first.shape)
        self.dtype = first.dtype.newbyteorder("=")
        self._rows = slice(None, None, -1 if flip_rows else 1)
        self._columns = slice(None, None, -1 if flip_columns else 1)

    @property
    def files(self) -> list[Path]:
        """The files, in order."""
        return [image.path for image in self._images]

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether rows and columns are reversed as they are read."""
        return self._rows.step < 0, self._columns.step < 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        order = view_order(views, self.shape, self.dtype, str(self.files[0]))
        block = np.empty((*order.shape, *self.shape[1:]), self.dtype)
        for place in np.ndindex(order.shape):
            block[place] = self._images[int(order[place])].read()
        return block[..., self._rows, self._columns]

    def __repr__(self) -> str:
        return f"EdfImages({len(self)} files, shape={self.shape}, dtype={self.dtype})"


class EdfStack(ScanFormat):
    """A folder of EDF images, with a YAML file."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a folder holds EDF images."""
        return path.is_dir() and bool(_edfs(path))

    def read(self, path: Path, *, geometry: Geometry | None = None, kind: str | None = None) -> Scan:
        """Read an EDF stack; the images stay in their files.

        kind: what the numbers are, instead of what the YAML file says.
        Raises InputError naming the file: no geometry, no projections, images of different sizes or types, damaged
        ones, or a YAML file with wrong entries.
        """
        sidecar = sidecar_of(path, geometry)
        groups = _groups(path, sidecar)
        if not groups["projections"]:
            raise InputError(f"{path} holds no projections, only references and dark images by their names")
        stacks = {name: _stack(files, sidecar) for name, files in groups.items() if files}
        arrays: dict[str, Any] = {name: _array(stack, sidecar) for name, stack in stacks.items()}
        scan = sidecar.scan(
            **arrays,
            file=path,
            images=lambda files: _array(_stack(files, sidecar), sidecar),
            kind=kind,
            metadata=_limits(groups["projections"][0]),
        )
        return _with_reference_views(scan, groups["reference"])


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Keys in lower case with their values, and where the numbers start."""
    with open(noted(path), "rb") as file:
        text = file.read(BLOCK)
        if not text.lstrip().startswith(b"{"):
            raise FormatError(f"{path} is no EDF file: it starts with {text[:8]!r}, expected '{{'")
        while b"}" not in text:
            more = file.read(BLOCK)
            if not more or len(text) > MOST_HEADER:
                raise FormatError(f"{path} is truncated or damaged: its header has no end ('}}')")
            text += more
    end = text.index(b"}") + 1
    end += len(re.match(rb"[\r\n]{0,2}", text[end:])[0])  # type: ignore[index]
    lines = text[:end].decode("latin-1").strip().strip("{}").split(";")
    pairs = [line.partition("=") for line in lines if "=" in line]
    return {key.strip().lower(): value.strip() for key, _, value in pairs}, end


def _limits(path: Path) -> dict[str, float]:
    """Counts from which readings are saturated, and bits of the camera, where a header states them."""
    entries = {re.sub(r"[\s_-]", "", key): value for key, value in _header(path)[0].items()}
    limits = {}
    for name, keys in LIMITS.items():
        for key in keys:
            try:
                value = float(entries.get(key, ""))
            except ValueError:
                continue
            if 0 < value < math.inf:
                limits.setdefault(name, value)
    return limits


def _count(path: Path, entries: dict[str, str], key: str) -> int:
    value = entries.get(key, "")
    if not value.isdecimal() or not 0 < int(value) < 1 << 20:
        raise FormatError(f"{path}: {key.capitalize()} must be a count of elements, got {shown(value)}")
    return int(value)


def _edfs(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def _groups(path: Path, sidecar: Sidecar) -> dict[str, list[Path]]:
    """The files of projections, references and dark images, by name or as the YAML file says."""
    named = sidecar.files("projections")
    groups: dict[str, list[Path]] = {"projections": [], "reference": [], "dark": []}
    folders = [path, *sorted(found for found in path.iterdir() if found.is_dir())]
    for file in (file for folder in folders for file in _edfs(folder)):
        group = _group(file, path)
        if file.parent == path if group == "projections" else sidecar.files(group) is None:
            groups[group].append(file)
    if isinstance(named, list):
        groups["projections"] = named
    elif groups["projections"]:
        groups["projections"] = ordered_files(groups["projections"], sidecar.degrees)
        if len(groups["projections"]) == len(sidecar.geometry):
            warn_of_several_names(groups["projections"])
    return groups


def _group(file: Path, top: Path) -> str:
    """By the names of the ESRF, else by the words of the name."""
    if re.fullmatch(r"refhst\d+", file.stem, re.IGNORECASE):
        return "reference"
    return "dark" if re.fullmatch(r"dark(end)?\d*", file.stem, re.IGNORECASE) else group_of(file, top)


def _stack(files: Sequence[Path], sidecar: Sidecar) -> EdfImages:
    return EdfImages(files, flip_rows=sidecar.flag("flip_rows"), flip_columns=sidecar.flag("flip_columns"))


def _array(images: EdfImages, sidecar: Sidecar) -> Projections:
    """Of a 2-D scan a row for each view."""
    return images[:][:, 0] if sidecar.geometry.ndim == 2 and images.shape[1] == 1 else images


def _with_reference_views(scan: Scan, references: Sequence[Path]) -> Scan:
    """The scan whose references know their views, where their names tell."""
    calibration = scan.calibration
    numbers = [re.fullmatch(r"refhst(\d+)", path.stem, re.IGNORECASE) for path in references]
    if calibration is None or calibration.reference_views is not None or not numbers or None in numbers:
        return scan
    views = [float(number[1]) for number in numbers if number is not None]
    if len(set(views)) < len(views) or len(views) == 1:
        return scan
    fields = {field.name: getattr(calibration, field.name) for field in dataclasses.fields(calibration)}
    return dataclasses.replace(scan, calibration=Calibration(**{**fields, "reference_views": views}))
