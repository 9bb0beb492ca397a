"""Packages that only some formats need (`pip install 'sinograd[io]'`)."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from sinograd.errors import InputError


def check_extra(package: str, path: Path) -> None:
    """ValueError that names the extra, unless `package`, which the format of `path` needs, is installed."""
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{path}: this format needs {package}, which is not installed (pip install 'sinograd[io]')")


def extra(package: str, path: Path) -> ModuleType:
    """The package; ValueError that names the extra when it is not installed."""
    check_extra(package, path)
    return importlib.import_module(package)
