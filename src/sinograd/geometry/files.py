"""Geometries as YAML files, and the scanners that come with the package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from sinograd.config.decimal_commas import load_numbers
from sinograd.config.paths import checked_path
from sinograd.config.regular_files import check_file
from sinograd.config.shown import shown
from sinograd.config.text_files import write_text
from sinograd.config.yaml import dump_yaml
from sinograd.errors import InputError, InputTypeError, MissingFileError
from sinograd.geometry.angle_file import with_angles_of_file
from sinograd.geometry.base import Geometry

_SUFFIXES = (".yaml", ".yml")


def load_geometry(name_or_path: str | os.PathLike[str]) -> Geometry:
    """Read a geometry: a scanner by name ("walnut") or a YAML file by path.

    Numbers may have decimal commas (0,25) where they can be nothing else (`config.decimal_commas`).
    `angles_deg: angles.txt` in the file takes the angles from a text file beside it (`geometry.angle_file`).

    Args:
        name_or_path: anything ending in .yaml or .yml, or with a folder in it, is a path; else a name.

    Raises:
        FileNotFoundError: no such file or scanner (the known names are listed).
        ValueError, TypeError: not YAML, or an unknown, missing or wrong key; names the file.
    """
    text = os.fspath(checked_path(name_or_path, "geometry")) if not isinstance(name_or_path, str) else name_or_path
    is_path = text.endswith(_SUFFIXES) or Path(text).name != text
    source: Traversable | None = Path(text) if is_path else _scanners().get(text)
    if source is None:
        known = ", ".join(scanner_names())
        raise MissingFileError(f"no scanner named {shown(text)}; known: {known}; or give the path of a .yaml file")
    if isinstance(source, Path):
        check_file(source, f"no geometry file at {source}")
    data = load_numbers(source)
    if isinstance(source, Path) and isinstance(data, Mapping):
        data = with_angles_of_file(data, source)
    try:
        return Geometry.from_dict(data)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        raise kind(f"{source}: {error}") from error


def save_geometry(geometry: Geometry, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a geometry as YAML, angles in degrees; `load_geometry` gives it back to rounding.

    Args:
        path: file name ending in .yaml or .yml.
        force: overwrite an existing file.

    Raises:
        FileExistsError: the file exists and force is not set.
        ValueError: another suffix.
        OSError: the folder is missing or full; nothing is left behind under the final name.
    """
    target = Path(path)
    if not isinstance(geometry, Geometry):
        raise InputTypeError(f"geometry must be a Geometry, got {type(geometry).__name__}")
    if target.suffix not in _SUFFIXES:
        raise InputError(f"a geometry file ends in .yaml or .yml, got {str(target)!r}")
    write_text(dump_yaml(geometry.to_dict()), target, force)


def scanner_names() -> list[str]:
    """Names of the scanners that come with the package, sorted."""
    return sorted(_scanners())


def _scanners() -> dict[str, Traversable]:
    """Installed as geometry/scanners; in the source tree the folder geometries at the top."""
    folder: Traversable = resources.files("sinograd.geometry").joinpath("scanners")
    if not folder.is_dir():
        folder = Path(__file__).parents[3] / "geometries"
    if not folder.is_dir():
        return {}
    return {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
