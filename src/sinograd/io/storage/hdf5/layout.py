"""HDF5 files laid out by HDF5 and filled by plain file writes.

The HDF5 library cannot recover from a full disk: it keeps the file open with data it can neither write nor
drop, and can crash the process when it ends. So HDF5 only lays the file out (a few kilobytes, arrays
allocated but not written), and the numbers go to their places with ordinary writes, whose errors are ordinary
ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.json import load_json
from sinograd.config.regular_files import check_regular
from sinograd.config.yaml import load_yaml
from sinograd.data.blocks import view_blocks
from sinograd.errors import InputError, SinogradError
from sinograd.io.storage.hdf5.heaps import check_heaps
from sinograd.io.storage.hdf5.links import find, source_files

if TYPE_CHECKING:
    import h5py

_COMPRESSION = 1100  # the most that deflate can do
_LARGEST_CHUNK = 1 << 29  # bytes that are unpacked together
_UNLIKELY = 32  # times the length of a file, of one slice or image in it
_LONGEST_TEXT = 64 << 20  # bytes
_LONGEST_ATTRIBUTE = 1 << 20
SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class ArrayLayout:
    """One array to write: `read(start, stop)` gives the elements start..stop of its first axis.

    With `chunked` every element of the first axis is a chunk of its own; else the array is contiguous.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], np.ndarray]
    chunked: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def item_bytes(self) -> int:
        """Bytes of one element of the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return self.shape[0] * self.item_bytes


def write_hdf5(
    path: Path, attributes: Mapping[str, Any], arrays: Mapping[str, ArrayLayout], texts: Mapping[str, str]
) -> None:
    """Write a new HDF5 file: attributes of the root, arrays, and UTF-8 texts as scalar datasets."""
    offsets = lay_out(path, attributes, arrays, texts)
    with open(path, "rb+") as raw:
        for name, array in arrays.items():
            per_item = len(offsets[name]) > 1
            for start, stop in view_blocks(array.shape, array.dtype.itemsize, 1 if per_item else None):
                block = np.ascontiguousarray(array.read(start, stop), dtype=array.dtype)
                raw.seek(offsets[name][start] if per_item else offsets[name][0] + start * array.item_bytes)
                raw.write(block.data)


def lay_out(
    path: Path, attributes: Mapping[str, Any], arrays: Mapping[str, ArrayLayout], texts: Mapping[str, str]
) -> dict[str, list[int]]:
    """A new HDF5 file without the numbers; the byte offsets of each array's chunks, or of the array."""
    import h5py

    offsets: dict[str, list[int]] = {}
    try:
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes)
            for name, content in texts.items():
                file.create_dataset(name, data=content, dtype=h5py.string_dtype())
            for name, array in arrays.items():
                offsets[name] = _allocate(file, name, array)
    except RuntimeError as error:  # some of HDF5's failed writes
        raise OSError(str(error)) from error
    return offsets


def replace_text(path: Path, name: str, content: str) -> None:
    """Another text in the place of one of a file that sinograd wrote."""
    import h5py

    try:
        with h5py.File(path, "r+") as file:
            del file[name]
            file.create_dataset(name, data=content, dtype=h5py.string_dtype())
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _allocate(file: h5py.File, name: str, array: ArrayLayout) -> list[int]:
    """Create a dataset whose place in the file is fixed now; return the byte offset of each of its chunks."""
    import h5py
    from h5py import h5d, h5p, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]

    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5d.FILL_TIME_NEVER)
    if array.chunked:
        plan.set_chunk((1, *array.shape[1:]))
    *group, _ = name.rsplit("/", 1)
    for parent in group:
        file.require_group(parent)
    h5d.create(file.id, name.encode(), h5t.py_create(array.dtype), h5s.create_simple(array.shape), plan)
    dataset = file[name]
    assert isinstance(dataset, h5py.Dataset)
    dataset.attrs.update(array.attributes)
    if not array.chunked:
        return [dataset.id.get_offset()]
    later_axes = (0,) * (len(array.shape) - 1)
    return [dataset.id.get_chunk_info_by_coord((i, *later_axes)).byte_offset for i in range(array.shape[0])]


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file for reading; InputError when it is truncated or damaged."""
    import h5py

    check_regular(path)
    check_heaps(path)

    # h5py meets damaged bytes with whatever they lead to: KeyError for a group that cannot be opened, TypeError
    # for a type it does not know ...
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, UnicodeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError | SinogradError | NotImplementedError):
            raise
        raise InputError(f"{path} is a truncated or damaged HDF5 file: {error}") from error


def is_hdf5(head: bytes) -> bool:
    """Whether a file that starts with `head` is HDF5 (without a user block)."""
    return head.startswith(SIGNATURE)


def check_version(file: h5py.File, newest: int, path: Path) -> None:
    """ValueError unless the file's version is 1 to `newest`."""
    version = attribute(file, "version", 0)
    version = int(version) if np.size(version) == 1 and np.asarray(version).dtype.kind in "iuf" else 0
    if not 1 <= version <= newest:
        raise InputError(f"{path} has version {version}; this sinograd reads versions 1 to {newest}")


def numbers(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """The dataset `name` of real numbers, not yet read; ValueError when it is missing or something else."""
    found = _dataset(file, name, path)
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > 8:
        raise InputError(f"{path}: the dataset /{name} must hold real numbers, got {found.dtype}")
    check_extent(found, name, path)
    return found


def check_extent(dataset: h5py.Dataset, name: str, path: Path) -> None:
    """ValueError where one element of the first axis cannot be in the file, so that damaged shapes allocate nothing.

    The number of elements is not checked: those of an aborted scan were never written.
    """
    if dataset.shape is None:
        return
    filters = dataset.id.get_create_plist().get_nfilters()
    length = path.stat().st_size
    if dataset.is_virtual:
        length, filters = sum(source.stat().st_size for source in source_files(dataset, name, path)), 1
    elif Path(dataset.file.filename) != path:
        length = Path(dataset.file.filename).stat().st_size
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise InputError(f"{path}: a chunk of /{name} has {chunk:,} bytes, at most {_LARGEST_CHUNK:,} are read")
    item = math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    if item > length * (_COMPRESSION if filters else 1) or item > max(_LARGEST_CHUNK, _UNLIKELY * length):
        raise InputError(
            f"{path}: the dataset /{name} {list(dataset.shape)} of {dataset.dtype} does not fit in a file of "
            f"{length:,} bytes"
        )


def text(file: h5py.File, name: str, path: Path) -> str:
    """The text dataset `name`; ValueError when it is missing or not text."""
    found = _dataset(file, name, path)
    check_text(found, name, path)
    if found.shape != () or found.dtype.itemsize > _LONGEST_TEXT:
        raise InputError(f"{path}: the dataset /{name} must be one UTF-8 text, got {found.shape} of {found.dtype}")
    value = found[()]
    if not isinstance(value, bytes | str):
        raise InputError(f"{path}: the dataset /{name} must be one UTF-8 text, got {type(value).__name__}")
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the dataset /{name} is not UTF-8 text: {error}") from error


def check_text(dataset: h5py.Dataset, name: str, path: Path) -> None:
    """ValueError for a text of variable length that is longer than its file, before HDF5 makes room for it."""
    import h5py

    kind = h5py.check_string_dtype(dataset.dtype)
    offset = dataset.id.get_offset() if kind is not None and kind.length is None else None
    if offset is None:
        return
    with open(path, "rb") as file:
        length = file.seek(0, 2)
        file.seek(offset)
        stored = int.from_bytes(file.read(4), "little")  # then the place of the text in a heap
    if stored > length:
        raise InputError(f"{path}: the text /{name} has {stored:,} bytes, the file {length:,}")


def attribute(item: h5py.Group | h5py.Dataset, name: str, default: Any = None) -> Any:
    """An attribute of a group or a data set; the default where there is none, or one of more than 1 MB."""
    if name not in item.attrs:
        return default
    held = item.attrs.get_id(name)
    large = math.prod(held.shape or (1,)) * held.dtype.itemsize > _LONGEST_ATTRIBUTE
    return default if large else item.attrs[name]


def mapping(file: h5py.File, name: str, path: Path) -> dict[str, Any]:
    """The text dataset `name`, JSON or YAML, as a dictionary; ValueError when it is none."""
    content = text(file, name, path)
    try:
        value = load_json(content) if content.lstrip().startswith("{") else load_yaml(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: /{name} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: /{name} must be a mapping, got {type(value).__name__}")
    return value


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    import h5py

    found = find(file, name, path)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{path} has no dataset /{name}")
    return found
