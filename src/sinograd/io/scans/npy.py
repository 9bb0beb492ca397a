"""NumPy arrays, .npy and .npz, with a YAML file beside them (`help(sinograd.io.scans.sidecar)`).

.npy   projections [views, rows, columns], or [views, columns] in 2-D; read lazily
.npz   projections (or the only array there is), and if wanted reference, reference_views, dark, shifts, exposure;
       stored arrays are read lazily, compressed ones at once

Arrays are taken as they are: row 0 is the lowest (-v), unless the YAML file says flip_rows.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import some
from sinograd.config.yaml import dump_yaml
from sinograd.data.blocks import view_blocks
from sinograd.data.memory import check_memory
from sinograd.data.projections import Projections, shape_of
from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.files.bands import read_bands
from sinograd.files.inputs import noted
from sinograd.geometry import Geometry
from sinograd.io.scans.format import Progress, ScanFormat, stored_block, stored_dtype
from sinograd.io.scans.sidecar import Sidecar, sidecar_of, sidecar_text
from sinograd.io.storage.atomic import replacing_files
from sinograd.io.storage.digests import (
    DIGESTS,
    check_digests,
    check_sidecar,
    check_unchanged,
    digests_of,
    file_state,
    read_together,
)
from sinograd.io.storage.npy import MAGIC, read_header

ENTRIES = ("projections", "reference", "reference_views", "dark", "shifts", "exposure")

_ZIP = b"PK\x03\x04"
_MAX_RATIO = 1100  # deflate packs nothing more tightly


class NpyProjections:
    """An array that stays in its .npy file, or in an .npz one: every access maps the file and copies some views.

    It holds no open file, so it can be pickled and used in DataLoader workers. `start` is where the array's
    header begins in the file, `sidecar` tells what is reversed.
    """

    def __init__(self, path: Path, sidecar: Sidecar, start: int = 0) -> None:
        self.path, self._state = noted(path), file_state(path)
        with open(path, "rb") as file:
            file.seek(start)
            self.shape, self._fortran, self.dtype = _image_header(file, str(path))
            self._offset = file.tell()
        size = self._offset + math.prod(self.shape) * self.dtype.itemsize
        if size > path.stat().st_size:
            raise InputError(f"{path} is truncated: it has {path.stat().st_size:,} bytes, expected {size:,}")
        self._flips = _flipped_axes(sidecar, len(self.shape))

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether rows and columns are reversed as they are read."""
        return -2 in self._flips, -1 in self._flips

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        if isinstance(views, slice | list) and not self._fortran and len(self.shape) == 3:
            return self.read_rows(views, slice(None))  # maps nothing: address space may be limited
        order = "F" if self._fortran else "C"
        check_unchanged(self.path, self._state)
        try:
            array = np.memmap(self.path, self.dtype, "r", self._offset, self.shape, order)
        except ValueError as error:
            raise InputError(f"{self.path} was cut since it was opened: {error}") from error
        block = np.array(array[np.asarray(views) if isinstance(views, list) else views])
        return np.flip(block, self._flips)

    def read_rows(self, views: slice | list[int], rows: slice) -> np.ndarray:
        """Rows of some views, [views, rows, columns]; nothing else is read."""
        if self._fortran:
            return self[views][:, rows]
        count, height, width = self.shape
        first, end, _ = rows.indices(height)
        if self.flips[0]:
            first, end = height - end, height - first
        check_unchanged(self.path, self._state)
        chosen = range(count)[views] if isinstance(views, slice) else [range(count)[view] for view in views]
        block = np.empty((len(chosen), end - first, width), self.dtype)
        read_bands(self.path, self._offset, self.shape, (chosen, first), block)
        return np.flip(block, self._flips)

    def __repr__(self) -> str:
        return f"NpyProjections({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"


class Npy(ScanFormat):
    """NumPy arrays with a YAML file; NAME.npy, NAME.yaml, NAME_reference.npy and NAME_dark.npy are written."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file is an .npy array, or a ZIP archive with such arrays (.npz)."""
        if head.startswith(MAGIC):
            return True
        return head.startswith(_ZIP) and (path.suffix.lower() == ".npz" or b".npy" in head[:300])

    def read(self, path: Path, *, geometry: Geometry | None = None, kind: str | None = None) -> Scan:
        """Read an .npy or .npz scan with its YAML file.

        kind: what the numbers are, instead of what the YAML file says.
        Raises ValueError naming the file: no geometry (it says how to write one), truncated or damaged arrays, or a
        YAML file with unknown keys or wrong values.
        """
        with open(path, "rb") as file:
            zipped = file.read(len(_ZIP)) == _ZIP
        if not zipped:
            return read_together(path, path.with_suffix(".yaml"), lambda: _read_npy(path, geometry, kind))
        sidecar = sidecar_of(path, geometry)
        arrays = _npz(path, sidecar)
        if "projections" not in arrays:
            arrays = {"projections": next(iter(arrays.values()))}
        entries = {name: arrays[name] for name in ("reference_views", "shifts", "exposure") if name in arrays}
        described = Sidecar(sidecar.path, sidecar.geometry, {**entries, **sidecar.entries}, sidecar.grid)
        return described.scan(
            arrays["projections"],
            file=path,
            images=lambda files: _one(files, sidecar),
            reference=arrays.get("reference"),
            dark=arrays.get("dark"),
            kind=kind,
        )

    def write(self, scan: Scan, path: Path, *, force: bool = False, progress: Progress | None = None) -> None:
        """Write the arrays block by block; integers keep their type, the rest becomes float32."""
        self.check(scan)
        arrays: dict[str, tuple[Path, Projections]] = _calibration_files(scan, path)
        text = sidecar_text(scan, {name: file.name for name, (file, _) in arrays.items()})
        arrays["projections"] = path, scan.projections
        needed = sum(math.prod(shape_of(images)) * stored_dtype(images).itemsize for _, images in arrays.values())
        check_sidecar(path, force=force)
        names = [path.name, path.with_suffix(".yaml").name, *(file.name for file, _ in arrays.values())]
        names = list(dict.fromkeys(names))
        with replacing_files(path.parent, names, force=force, needed=needed) as folder:
            for name, (file, images) in arrays.items():
                _write(images, folder / file.name, progress if name == "projections" else None)
            digests = dump_yaml({DIGESTS: digests_of([folder / file.name for file, _ in arrays.values()])})
            (folder / names[1]).write_text(text + digests, encoding="utf-8")

    def written_paths(self, scan: Scan, path: Path) -> list[Path]:
        """The arrays and the YAML file."""
        return [path, path.with_suffix(".yaml"), *(file for file, _ in _calibration_files(scan, path).values())]


def _read_npy(path: Path, geometry: Geometry | None, kind: str | None) -> Scan:
    sidecar = sidecar_of(path, geometry)

    def images(files: list[Path]) -> Projections:
        check_digests(sidecar.entries.get(DIGESTS), sidecar.path, files, whole=False)
        return _one(files, sidecar)

    check_digests(sidecar.entries.get(DIGESTS), sidecar.path, [path], whole=False)
    return sidecar.scan(NpyProjections(path.resolve(), sidecar), file=path, images=images, kind=kind)


def _calibration_files(scan: Scan, path: Path) -> dict[str, tuple[Path, Projections]]:
    """The files beside `path` for references and dark images, and these, as far as the scan has them."""
    images = {name: getattr(scan.calibration, name, None) for name in ("reference", "dark")}
    return {
        name: (path.with_name(f"{path.stem}_{name}.npy"), found) for name, found in images.items() if found is not None
    }


def _write(images: Projections, path: Path, progress: Progress | None) -> None:
    shape, dtype = shape_of(images), stored_dtype(images)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start, stop in view_blocks(shape, dtype.itemsize):
            file.write(np.ascontiguousarray(stored_block(images, start, stop), dtype=dtype).data)
            if progress is not None:
                progress(stop, shape[0])


def _one(files: list[Path], sidecar: Sidecar) -> Projections:
    if len(files) != 1:
        raise InputError(f"{sidecar.path}: one .npy file of [n, rows, columns] is expected, got {len(files)} files")
    return NpyProjections(files[0].resolve(), sidecar)


def _npz(path: Path, sidecar: Sidecar) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            _check_members(path, infos)
            return {info.filename.removesuffix(".npy"): _member(path, archive, info, sidecar) for info in infos}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path} is a truncated or damaged .npz file: {error}") from error


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, sidecar: Sidecar) -> Any:
    images = info.filename.removesuffix(".npy") not in ("reference_views", "shifts", "exposure")
    if info.compress_type == zipfile.ZIP_STORED and images:
        with open(path, "rb") as file:
            file.seek(info.header_offset)
            local = file.read(30)
        if len(local) < 30:
            raise zipfile.BadZipFile("an entry lies beyond the end")
        name, extra = struct.unpack("<HH", local[26:30])
        return NpyProjections(path.resolve(), sidecar, info.header_offset + 30 + name + extra)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{info.filename} is packed by an unknown method ({info.compress_type})")
    with archive.open(info) as file:
        shape, fortran, dtype = _image_header(file, f"{path}, {info.filename}")
        size = math.prod(shape) * dtype.itemsize
        if size > info.file_size:
            raise zipfile.BadZipFile(f"{info.filename} has {info.file_size:,} bytes, expected {size:,}")
        if size > _MAX_RATIO * info.compress_size:
            raise zipfile.BadZipFile(f"{info.filename}: {size:,} bytes cannot be packed into {info.compress_size:,}")
        check_memory(size, f"{path}, {info.filename}")
        content = file.read(size + 1)
    if len(content) != size:
        raise zipfile.BadZipFile(f"{info.filename} has {len(content):,} bytes, expected {size:,}")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    return np.flip(array, _flipped_axes(sidecar, array.ndim)) if images else array


def _flipped_axes(sidecar: Sidecar, ndim: int) -> tuple[int, ...]:
    """The axes that are reversed as they are read: columns, and rows where there are some."""
    axes = {-2: sidecar.flag("flip_rows") and ndim > 2, -1: sidecar.flag("flip_columns")}
    return tuple(axis for axis, flipped in axes.items() if flipped)


def _image_header(file: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of images, or of one number for each view."""
    shape, fortran, dtype = read_header(file, name)
    if dtype.kind not in "fiu":
        raise InputError(f"{name} must hold real numbers, got {dtype}")
    if len(shape) not in (1, 2, 3) or min(shape) < 1:
        raise InputError(f"{name} must be [views, rows, columns] or [views, columns] and not empty, got {list(shape)}")
    return shape, fortran, dtype


def _check_members(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """InputError for arrays that are no part of a scan, before one of them is unpacked."""
    names = [info.filename.removesuffix(".npy") for info in infos]
    if len(set(names)) < len(names):
        raise zipfile.BadZipFile("two entries have one name")
    if names and "projections" not in names and len(names) == 1:
        return
    if "projections" not in names or any(name not in ENTRIES for name in names):
        more, came = ", ".join(ENTRIES[1:]), some(map(repr, names))
        hint = did_you_mean([name for name in names if name not in ENTRIES], ENTRIES)
        raise InputError(f"{path} must hold `projections` and at most {more}, it holds [{came}]{hint}")
