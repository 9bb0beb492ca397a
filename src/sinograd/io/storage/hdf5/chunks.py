"""Packed chunks of HDF5 files, checked before HDF5 inflates them to their end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.memory import check_memory
from sinograd.errors import InputError
from sinograd.io.storage.inflation import HARMLESS, check_inflation

if TYPE_CHECKING:
    import h5py

_SLACK = 1 << 12  # bytes that packing may add to a chunk
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_RATIO = 1032  # of deflate, at most


def check_chunks(dataset: h5py.Dataset, name: str, path: Path) -> None:
    """InputError for a packed chunk that is much larger than its numbers, for chunks that are packed twice, and for
    filters that are missing."""
    from h5py import h5z  # pyright: ignore[reportAttributeAccessIssue]

    if dataset.chunks is None or dataset.is_virtual or not _filters(dataset):
        return
    for code in _filters(dataset):
        if not h5z.filter_avail(code):
            raise InputError(f"{path}: /{name} is packed by HDF5's filter {code}, which is not installed here")
    plain = _plain(dataset)
    most = plain + plain // 8 + _SLACK
    largest = dataset.id.chunk_iter(lambda chunk: chunk.size if chunk.size > most else None)
    if largest is not None:
        raise InputError(f"{path}: a packed chunk of /{name} has {largest:,} bytes, its numbers have {plain:,}")
    packers = [code for code in _filters(dataset) if code not in (_SHUFFLE, _FLETCHER32)]
    if _DEFLATE in packers and len(packers) > 1:
        raise InputError(f"{path}: the chunks of /{name} are packed twice, which is not read")


def whole_array(dataset: h5py.Dataset, name: str, path: Path) -> np.ndarray:
    """All of a data set, after its chunks were checked."""
    check_chunks(dataset, name, path)
    check_inflated(dataset, name, path)
    check_memory(dataset.size * dataset.dtype.itemsize, f"/{name} of {path}")
    return np.asarray(dataset[()])


def check_inflated(dataset: h5py.Dataset, name: str, path: Path, first: Iterable[int] | None = None) -> None:
    """InputError for a deflated chunk that becomes much more than its numbers: HDF5 would inflate all of it.

    first: the elements of the first axis that are read; None: all.
    """
    if dataset.chunks is None or dataset.is_virtual or _DEFLATE not in _filters(dataset):
        return
    plain = _plain(dataset)
    if (plain + plain // 8 + _SLACK) * _RATIO <= HARMLESS:
        return
    for place in _places(dataset, first):
        chunk = dataset.id.get_chunk_info_by_coord(place)
        if chunk.byte_offset is None or chunk.size * _RATIO <= HARMLESS:
            continue
        skipped, packed = dataset.id.read_direct_chunk(place)
        if not skipped >> _filters(dataset).index(_DEFLATE) & 1:
            check_inflation(packed, "deflate", plain, f"{path}: the chunk of /{name} at {list(place)}")


def _places(dataset: h5py.Dataset, first: Iterable[int] | None) -> Iterator[tuple[int, ...]]:
    """Where the chunks start that hold elements of the first axis, or all that are written."""
    chunks: Any = dataset.chunks
    if first is None:
        for index in range(dataset.id.get_num_chunks()):
            yield dataset.id.get_chunk_info(index).chunk_offset
        return
    starts = sorted({int(element) // chunks[0] * chunks[0] for element in first})
    yield from product(starts, *(range(0, n, step) for n, step in zip(dataset.shape[1:], chunks[1:], strict=True)))


def _plain(dataset: h5py.Dataset) -> int:
    """Bytes of the numbers of a chunk."""
    return math.prod(dataset.chunks or ()) * dataset.dtype.itemsize


def _filters(dataset: h5py.Dataset) -> list[int]:
    """Codes of the filters, in the order in which they pack."""
    plan = dataset.id.get_create_plist()
    return [plan.get_filter(index)[0] for index in range(plan.get_nfilters())]
