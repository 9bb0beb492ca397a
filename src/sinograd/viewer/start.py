"""Servers for what a path holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sinograd.viewer.server import LocalServer, check_installed


def serve_volumes(paths: Sequence[str | os.PathLike[str]], port: int = 0) -> LocalServer:
    """A page that shows volumes, on this machine alone, until the server is closed.

    Args:
        paths: files or folders.
        port: of 127.0.0.1; 0: any that is free.

    Raises:
        MissingPackageError: starlette and uvicorn are not installed (extra `view`).
        InputError, FileError: a path that is no volume, a port in use.
    """
    check_installed()
    from sinograd.io.volumes.read_write import open_levels
    from sinograd.viewer.shown import shown_volumes
    from sinograd.viewer.volume_app import VolumeApp

    shown = shown_volumes([(Path(path), open_levels(path)) for path in paths])
    return LocalServer(VolumeApp(shown).app(), port)
