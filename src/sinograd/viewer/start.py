"""Servers for what a path holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sinograd.viewer.memory import give_memory_back
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
    from sinograd.viewer.levels import open_shown
    from sinograd.viewer.shown import shown_volumes
    from sinograd.viewer.volume_app import VolumeApp

    give_memory_back()
    shown = shown_volumes([(Path(path), open_shown(Path(path))) for path in paths])
    return LocalServer(VolumeApp(shown).app(), port)


def serve_scan(path: str | os.PathLike[str], port: int = 0) -> LocalServer:
    """A page that shows a scan: projections, sinograms, references, dead pixels, its orbit; see `serve_volumes`."""
    check_installed()
    from sinograd.io import read
    from sinograd.viewer.scan_app import ScanApp

    scan = read(path)
    scan.check_shape()
    return LocalServer(ScanApp(scan).app(), port)


def serve_paths(paths: Sequence[str | os.PathLike[str]], port: int = 0) -> LocalServer:
    """The page of one scan, or of some volumes, by what the paths hold.

    Raises InputError for a path that is neither, or a scan among others.
    """
    check_installed()
    from sinograd.errors import InputError
    from sinograd.io.formats import check_exists
    from sinograd.io.volumes.ome_zarr_levels import is_zarr_group

    for path in map(Path, paths):
        check_exists(path)
        if is_zarr_group(path):  # which needs no torch
            continue
        from sinograd.io import is_volume, read

        if is_volume(path):
            continue
        if len(paths) == 1:
            try:
                return serve_scan(path, port)
            except InputError as error:
                raise InputError(f"neither a volume nor a scan that can be shown: {error}") from error
        read(path)
        raise InputError(f"{path} is a scan: it is looked at alone")
    return serve_volumes(paths, port)


def serve_tuning(
    path: str | os.PathLike[str], output: str | os.PathLike[str] = "tuned.h5", *, port: int = 0, force: bool = False
) -> LocalServer:
    """A page with sliders for a scan's reconstruction; see `serve_volumes`.

    Args:
        path: of the scan.
        output: the volume that the page's button writes; its configuration is written beside it.
        force: whether files may be replaced.

    Raises:
        InputError: a path that is no scan, a scan that filtered backprojection does not take.
    """
    check_installed()
    from sinograd.io import check_volume_path, read
    from sinograd.viewer.settings import Settings
    from sinograd.viewer.tune_app import TuneApp
    from sinograd.viewer.tuned_job import TunedJob
    from sinograd.viewer.tuning import COARSE, Tuning

    scan = read(path)
    scan.check_shape()
    tuning = Tuning(scan)
    grid = tuning.grid(Settings())
    tuning.slice(Settings(), (grid.shape[0] if grid.ndim == 3 else 1) // 2, COARSE)
    check_volume_path(output, grid, force=force)
    job = TunedJob(Path(path).absolute(), scan, Path(output).absolute(), force)
    return LocalServer(TuneApp(tuning, job).app(), port, closed=job.close)
