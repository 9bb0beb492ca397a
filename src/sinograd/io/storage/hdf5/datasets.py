"""Which data sets of an HDF5 file are images, its links to other files, and one data set as a stack."""

from __future__ import annotations

from typing import Any

from sinograd.io.storage.hdf5.chunks import whole_array
from sinograd.io.storage.hdf5.layout import numbers
from sinograd.io.storage.hdf5.values import LARGEST_IMAGE, Values

_MOST_OBJECTS = 100_000


def image_datasets(values: Values) -> list[tuple[str, tuple[int, ...]]]:
    """Paths and shapes of the data sets of real numbers with two or three axes, links left out."""
    import h5py

    found: list[tuple[str, tuple[int, ...]]] = []
    left = _MOST_OBJECTS

    def look(name: str, item: Any) -> bool | None:
        nonlocal left
        left -= 1
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and item.shape is not None:
            shape = tuple(int(n) for n in item.shape)
            if len(shape) in (2, 3) and min(shape[-2:]) > 1:
                found.append((name, shape))
        return None if left > 0 else True

    values.file.visititems(look)
    return found


def linked_files(file: Any) -> list[tuple[str, str]]:
    """Paths of the links to other files, which are not followed, and the names of these files."""
    import h5py

    found: list[tuple[str, str]] = []
    left = _MOST_OBJECTS

    def look(name: str, link: Any) -> bool | None:
        nonlocal left
        left -= 1
        if isinstance(link, h5py.ExternalLink):
            found.append((name, str(link.filename)))
        return None if left > 0 else True

    file.visititems_links(look)
    return found


def image_stack(values: Values, name: str) -> Any:
    """Images [n, rows, columns] that stay in the file; one image [rows, columns] in memory, as [1, rows, columns]."""
    dataset = numbers(values.file, name, values.path)
    if len(dataset.shape or ()) != 2:
        return values.images(name)
    if dataset.size * dataset.dtype.itemsize > LARGEST_IMAGE:
        raise values.error(f"/{name} {list(dataset.shape)} is too large for one image")
    return whole_array(dataset, name, values.path)[None]
