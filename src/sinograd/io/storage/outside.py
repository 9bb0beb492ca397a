"""Files that data name: a description of a scan its images, an HDF5 file its links.

Whoever made the data chose these names. So they are followed only within the folder of the file that names them,
symbolic links resolved, unless the user allows others. What the user writes, configurations of training and lists of
pairs, may name any file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from sinograd.errors import FormatError

_ALLOWED: ContextVar[bool] = ContextVar("allow_outside", default=False)


class LinkError(FormatError):
    """A file that names another one that is not read: it is missing, no file, or may not be named."""


class OutsideError(LinkError):
    """A file that names another one outside its folder."""


@contextmanager
def outside_allowed(allow: bool = True) -> Iterator[None]:
    """Inside, data may name files outside their folder; with allow=False they may not."""
    token = _ALLOWED.set(allow)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def is_outside_allowed() -> bool:
    """Whether data may name files outside their folder."""
    return _ALLOWED.get()


def is_inside(target: Path, folder: Path) -> bool:
    """Whether a file or folder lies in a folder, or may be used wherever it lies."""
    return _ALLOWED.get() or target.resolve().is_relative_to(folder.resolve())


def check_inside(target: Path, named_by: Path, what: str) -> Path:
    """The file that `named_by` names as its `what`; OutsideError where it lies outside its folder."""
    if not is_inside(target, named_by.parent):
        raise OutsideError(
            f"{named_by}: {what} is {target}, outside the folder of the file that names it; `allow_outside=True` "
            "reads it all the same"
        )
    return target
