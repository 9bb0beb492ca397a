"""Volumes as NRRD files (.nrrd), through SimpleITK.

`space origin` is the centre of the first voxel, `space directions` hold the voxel sizes in mm, in the space
left-posterior-superior, whose axes are the world's (https://teem.sourceforge.net/nrrd/format.html). Unit and provenance
are JSON text under the key `sinograd`: a line `sinograd:={...}` of the header. Booleans are stored as uint8, float16 as
float32. Headers whose data lie in another file are refused.
"""

from __future__ import annotations

import re
from pathlib import Path

from sinograd.errors import FormatError
from sinograd.io.volumes.itk import ItkFormat

_MAGIC = b"NRRD000"
_LONGEST = 1 << 20  # bytes of a header
_DETACHED = re.compile(rb"^data ?file:", re.MULTILINE | re.IGNORECASE)


class Nrrd(ItkFormat):
    """A .nrrd file: header and voxels in one."""

    unit_place = "`unit` of the JSON text in the header's key `sinograd`"

    def matches(self, path: Path, head: bytes) -> bool:
        """The first line is NRRD and a version."""
        return head.startswith(_MAGIC)

    def check_size(self, path: Path, voxels: int) -> None:
        """FormatError for data in another file, or fewer bytes than plain voxels take."""
        with open(path, "rb") as file:
            content = file.read(_LONGEST)
        end = re.search(rb"\r?\n\r?\n", content)
        if end is None:
            raise FormatError(f"{path} is a truncated or damaged image file: its header has no end")
        header = content[: end.start() + 1]
        if _DETACHED.search(header):
            raise FormatError(f"{path} is a header without voxels: they lie in another file, which is not read")
        length = path.stat().st_size - end.end()
        if re.search(rb"^encoding: *raw", header, re.MULTILINE) and length < voxels:  # at least a byte each
            raise FormatError(f"{path} is truncated: it has {length:,} bytes of {voxels:,} voxels")
