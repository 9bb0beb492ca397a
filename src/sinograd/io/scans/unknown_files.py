"""What to tell of a file that no format of scans reads."""

from __future__ import annotations

from pathlib import Path

from sinograd.choices import SCAN_FORMATS
from sinograd.io import formats
from sinograd.io.storage.hdf5.layout import is_hdf5, opened

_MOST = 6  # names in a message


def unknown_text(path: Path, head: bytes) -> str:
    """Why a file is no scan; of HDF5 with images how its data sets are named. `head`: how it starts."""
    known = f"Known formats: {formats.known_formats(SCAN_FORMATS)}"
    if is_hdf5(head):
        found = _images(path)
        if found:
            return f"{path} {_layout_text(path, found)}"
    suffix = formats.path_suffix(SCAN_FORMATS, path)
    names = [entry.help for entry in SCAN_FORMATS.entries() if suffix and suffix in entry.about["suffixes"]]
    if names:
        name = names[0].removesuffix(" file")
        return f"{path} is not a {name} file, or is damaged: it starts with {head[:16]!r}. {known}"
    return f"{path} is in no known scan format (it starts with {head[:16]!r}). {known}"


def _layout_text(path: Path, found: list[tuple[str, str]]) -> str:
    there = ", ".join(f"{name} {what}" for name, what in found[:_MOST]) + " ..." * (len(found) > _MOST)
    return (
        f"is HDF5 in no layout that is known: name its data sets in {path.with_suffix('.yaml')}, for example "
        f"{{hdf5: {path.name}, projections: {found[0][0]}, angles: /PATH, pixel_mm: MM}}; it has {there}"
    )


def _images(path: Path) -> list[tuple[str, str]]:
    """Data sets that may be images with their shapes, stacks first, and links to other files; none of a damaged one."""
    from sinograd.io.storage.hdf5.datasets import image_datasets, linked_files
    from sinograd.io.storage.hdf5.values import Values

    try:
        with opened(path) as file:
            found = sorted(image_datasets(Values(file, path)), key=lambda each: -len(each[1]))
            links = linked_files(file)
    except (OSError, RuntimeError, ValueError, KeyError):
        return []
    return [(f"/{name}", str(list(shape))) for name, shape in found] + [
        (f"/{name}", f"(a link to {target})") for name, target in links
    ]
