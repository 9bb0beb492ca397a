"""Flat fields and dark images in files of their own: `read(scan, flat=..., dark=...)`.

A path is a folder of TIFF or EDF images, or a file: TIFF of any number of pages, EDF, .npy or .npz of [n, rows,
columns] or one image, MRC, .xrm or .txrm, or HDF5 with one data set of images as large as the scan's (else
FILE::/data/set names it). Images are turned as the scan turns its own. Two paths are the images before and after the
scan: references are interpolated between them, each in its place.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.regular_files import check_regular
from sinograd.data.calibration import Calibration
from sinograd.data.memory import reading
from sinograd.data.projections import ChosenViews, shape_of
from sinograd.data.scan import Scan
from sinograd.errors import InputError, InputTypeError, MissingFileError, ScanWarning
from sinograd.io.scans.flipped_images import flipped
from sinograd.io.scans.joined_images import joined
from sinograd.io.storage.hdf5.layout import is_hdf5
from sinograd.io.storage.mrc import is_mrc
from sinograd.io.storage.tiff import SUFFIXES as TIFF_SUFFIXES
from sinograd.io.storage.tiff import TiffImages, is_tiff, natural_order

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_NPY, _ZIP, _OLE = b"\x93NUMPY", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_HEAD = 1024


def beam_paths(value: Paths | None, name: str) -> tuple[Path, ...]:
    """One path or two, of a path, of several, or of a text with a comma between them; none for None."""
    if value is None:
        return ()
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        parts = [text] if "," not in text or Path(text).exists() else text.split(",")
    else:
        parts = list(value) if isinstance(value, Sequence) else [value]
    if not all(isinstance(part, str | os.PathLike) for part in parts):
        raise InputTypeError(f"`{name}`: expected a file or folder, or two of them, got {value!r}")
    if not 1 <= len(parts) <= 2 or not all(os.fspath(part).strip() for part in parts):
        raise InputError(f"`{name}`: expected one file or folder, or two (before and after the scan), got {value!r}")
    return tuple(Path(part) for part in parts)


def with_beam_images(scan: Scan, flat: Paths | None, dark: Paths | None, *, stated: bool, turned: Any = None) -> Scan:
    """A scan with references and dark images of other files, in the place of its own.

    Args:
        scan: of counts, or of numbers whose file does not say what they are.
        flat, dark: see the module.
        stated: whether the scan's file says what its numbers are.
        turned: (rows, columns), whether they are reversed, for scans whose projections do not know it.

    Raises:
        InputError: no counts, images of another size, no images; names argument and path.

    Warns:
        ScanWarning: the images replace the scan's own.
    """
    paths = {"reference": beam_paths(flat, "flat"), "dark": beam_paths(dark, "dark")}
    if not any(paths.values()):
        return scan
    integers = np.dtype(str(scan.projections.dtype).removeprefix("torch.")).kind in "iu"
    if scan.kind != "counts" and (stated or not (integers or paths["reference"])):
        raise InputError(
            f"`flat` and `dark` are for counts, {scan.name} holds {scan.kind}"
            + ("" if stated else ": give `flat`, too, if they are counts")
        )
    own = scan.calibration or Calibration()
    changes: dict[str, Any] = {}
    flips = flips_of(scan.projections) or turned or (False, False)
    for name, found in paths.items():
        if found:
            stacks = [_images(path, scan, name, flips) for path in found]
            changes[name] = joined(stacks)
            _tell(scan, name, found, sum(map(len, stacks)))
            if name == "reference":
                counts = [len(stack) for stack in stacks]
                ends = (-0.5, scan.shape[0] - 0.5)
                changes["reference_views"] = None if len(found) == 1 else np.repeat(ends, counts)
    if "reference" in changes and own.exposure is not None:
        changes["exposure"] = None  # it was relative to the scan's own references
    return dataclasses.replace(scan, kind="counts", calibration=dataclasses.replace(own, **changes))


def flips_of(projections: Any) -> tuple[bool, bool] | None:
    """Whether rows and columns are reversed as they are read; None where that is not known."""
    while isinstance(projections, ChosenViews):
        projections = projections.projections
    return getattr(projections, "flips", None)


def _tell(scan: Scan, name: str, paths: Sequence[Path], count: int) -> None:
    own = None if scan.calibration is None else getattr(scan.calibration, name)
    if own is None:
        return
    words = {"reference": ("flat", "reference"), "dark": ("dark", "dark image")}[name]
    before = shape_of(own)[0]
    text = f"{count} of {' and '.join(map(str, paths))} replace its own {before} {words[1]}{'s' * (before != 1)}"
    if name == "reference" and scan.calibration is not None and scan.calibration.exposure is not None:
        text += ", and the exposures relative to these are left out"
    warnings.warn(f"{scan.name}: `{words[0]}`: {text}", ScanWarning, stacklevel=4)


def _images(path: Path, scan: Scan, name: str, flips: tuple[bool, bool]) -> Any:
    """The images of one path as [n, (rows,) columns], of the size of the scan's."""
    argument = {"reference": "flat"}.get(name, name)
    image = list(scan.shape[1:])
    try:
        found = _opened(path, image, flips)
    except (TypeError, ValueError, OSError) as error:
        raise type(error)(f"`{argument}`: {error}") from error
    shape = list(shape_of(found))
    if len(image) == 1 and len(shape) == 3:  # a 2-D scan: the rows of one image, or images of one row
        found = np.asarray(found[:]).reshape(-1, shape[-1]) if 1 in shape[:2] else found
    elif len(shape) == len(image) == 2:
        found = np.asarray(found[:])[None]
    shape = list(shape_of(found))
    if shape[1:] != image:
        hint = ": are rows and columns exchanged?" if shape[1:] == image[::-1] else ""
        raise InputError(
            f"`{argument}`: {path} holds images of {_size(shape[1:])} pixels, the projections of {scan.name} have "
            f"{_size(image)}{hint}"
        )
    return found


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _opened(path: Path, image: list[int], flips: tuple[bool, bool]) -> Any:
    text, _, dataset = str(path).partition("::")
    if dataset:
        return flipped(_of_hdf5(Path(text), image, dataset), flips)
    if not path.exists():
        raise MissingFileError(f"{path} does not exist")
    if path.is_dir():
        return _of_folder(path, flips)
    check_regular(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if is_tiff(head):
        return TiffImages([path], flip_rows=flips[0], flip_columns=flips[1])
    if head.lstrip().startswith(b"{"):
        from sinograd.io.scans.edf_stack import EdfImages

        return EdfImages([path], flip_rows=flips[0], flip_columns=flips[1])
    if is_hdf5(head):
        return flipped(_of_hdf5(path, image, ""), flips)
    if head.startswith((_NPY, _ZIP)):
        return flipped(_of_numpy(path, zipped=head.startswith(_ZIP)), flips)
    if is_mrc(head):
        from sinograd.io.storage.mrc import read_header
        from sinograd.io.storage.raw_images import RawImages

        header = read_header(path)
        return flipped(RawImages(path, header.extents, (header.rows, header.columns), header.dtype), flips)
    if head.startswith(_OLE):
        from sinograd.io.scans.txrm.images import read_images
        from sinograd.io.scans.txrm.streams import Streams

        return flipped(read_images(Streams(path)), flips)
    raise InputError(
        f"{path} holds no images that are read: expected TIFF, EDF, .npy, .npz, HDF5, MRC, .xrm or a folder of images"
    )


def _of_folder(path: Path, flips: tuple[bool, bool]) -> Any:
    from sinograd.io.scans.edf_stack import SUFFIXES as EDF_SUFFIXES
    from sinograd.io.scans.edf_stack import EdfImages

    for suffixes, kind in ((TIFF_SUFFIXES, TiffImages), (EDF_SUFFIXES, EdfImages)):
        files = [file for file in path.iterdir() if file.suffix.lower() in suffixes and file.is_file()]
        files = natural_order([file for file in files if not file.name.startswith(".")])
        if files:
            return kind(files, flip_rows=flips[0], flip_columns=flips[1])
    arrays = natural_order([file for file in path.iterdir() if file.suffix.lower() in (".npy", ".xrm", ".mrc")])
    if arrays:
        return joined([_opened(file, [], flips) for file in arrays])
    raise InputError(f"the folder {path} holds no TIFF or EDF images")


def _of_numpy(path: Path, *, zipped: bool) -> Any:
    try:
        with reading(str(path)):
            held = np.load(path, mmap_mode=None if zipped else "r", allow_pickle=False)
        if zipped:
            names = list(held.files)
            if len(names) != 1:
                raise InputError(f"{path} must hold one array, it holds {', '.join(names) or 'none'}")
            held = held[names[0]]
    except (ValueError, OSError, EOFError, KeyError) as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path} is a truncated or damaged file of NumPy arrays: {error}") from error
    if held.dtype.kind not in "fiu" or held.ndim not in (2, 3):
        raise InputError(f"{path} must hold images [n, rows, columns], got {held.dtype} {list(held.shape)}")
    return held


def _of_hdf5(path: Path, image: list[int], name: str) -> Any:
    from sinograd.io.storage.hdf5.datasets import image_datasets, image_stack
    from sinograd.io.storage.hdf5.layout import opened
    from sinograd.io.storage.hdf5.values import Values

    if not path.is_file():
        raise MissingFileError(f"{path} does not exist")
    with opened(path) as file:
        values = Values(file, path)
        if not name:
            found = [each for each, shape in image_datasets(values) if list(shape[-len(image) :]) == image]
            if len(found) != 1:
                some = ", ".join(f"/{each} {list(shape)}" for each, shape in image_datasets(values)[:8])
                raise InputError(
                    f"{path} holds {len(found)} data sets with images of {_size(image)} pixels: name one as "
                    f"{path.name}::/data/set (there are {some or 'none'})"
                )
            name = found[0]
        return image_stack(values, name.strip("/"))
