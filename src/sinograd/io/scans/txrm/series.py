"""A folder of single .xrm images as the streams of one scan, each image with its own angle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sinograd.errors import InputError
from sinograd.io.scans.file_groups import group_of
from sinograd.io.scans.file_order import ordered_files
from sinograd.io.scans.joined_images import JoinedImages
from sinograd.io.scans.txrm.images import read_images
from sinograd.io.scans.txrm.streams import Streams
from sinograd.io.storage.ole import is_compound

MOST_REFERENCES = 16
_A_VIEW = ("imageinfo/", "alignment/")


class SeriesStreams(Streams):
    """The streams of several files: values of each image from its own file, all others from the first one."""

    def __init__(self, parts: Sequence[Streams], counts: Sequence[int]) -> None:
        self.parts, self.counts = list(parts), list(counts)
        self.path, self.file = self.parts[0].path, self.parts[0].file

    def numbers(self, name: str) -> np.ndarray:
        """As of one file with all images; empty where a file has too few of them."""
        if not name.casefold().startswith(_A_VIEW):
            return self.parts[0].numbers(name)
        values = [part.numbers(name)[:count] for part, count in zip(self.parts, self.counts, strict=True)]
        complete = all(len(own) == count for own, count in zip(values, self.counts, strict=True))
        return np.concatenate(values) if complete else values[0] if len(values[0]) == 1 else np.empty(0)

    def integer(self, name: str) -> int | None:
        """Of the first file; as many images as there are were planned."""
        return sum(self.counts) if name == "ImageInfo/NoOfImages" else self.parts[0].integer(name)

    def text(self, name: str, place: int = 0, width: int | None = None) -> str:
        """Of the image of that number where texts have a width, else of the first file."""
        if width is None:
            return self.parts[0].text(name, place)
        part = int(np.searchsorted(np.cumsum(self.counts), place, side="right"))
        return self.parts[part].text(name, place - sum(self.counts[:part]), width)


def image_files(folder: Path) -> dict[str, list[Path]]:
    """The .xrm files of a folder: projections in the order of their names, references and dark images by theirs."""
    groups: dict[str, list[Path]] = {"projections": [], "reference": [], "dark": []}
    for path in folder.iterdir():
        if path.suffix.lower() == ".xrm" and path.is_file() and not path.name.startswith("."):
            with open(path, "rb") as file:
                if is_compound(file.read(512)):
                    groups[group_of(path, folder)].append(path)
    return {name: ordered_files(files, warn=False) for name, files in groups.items()}


def read_series(files: Sequence[Path]) -> tuple[SeriesStreams, JoinedImages]:
    """The streams and images of single files; InputError, which names the file, unless all have one size and type."""
    parts = [Streams(file) for file in files]
    images = [read_images(part) for part in parts]
    for part, stack in zip(parts, images, strict=True):
        if (stack.shape[1:], stack.dtype) != (images[0].shape[1:], images[0].dtype):
            raise InputError(
                f"{part.path} holds {list(stack.shape[1:])} {stack.dtype} but {parts[0].path.name} "
                f"{list(images[0].shape[1:])} {images[0].dtype}: all images of a scan must have one size and type"
            )
    for name in ("PixelSize", "StoRADistance", "DtoRADistance"):
        own = {float(np.float32(value)) for part in parts if (value := part.number(f"ImageInfo/{name}")) is not None}
        if own and max(map(abs, own)) - min(map(abs, own)) > 1e-3 * max(map(abs, own)):
            parts[0].warn(f"{name} of the {len(parts)} files differs, from {min(own):g} to {max(own):g}")
    return SeriesStreams(parts, [len(stack) for stack in images]), JoinedImages(images)
