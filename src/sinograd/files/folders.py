"""Locks on folders, and their names on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other process or thread is here with the same folder, where the file system has locks."""
    descriptor = -1
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError):  # no such locks here
        pass
    try:
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def flush_file(path: Path) -> None:
    """Have the disk keep a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
