"""The compiled module: loaded after torch, so that both use one OpenMP runtime; or why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import torch  # noqa: F401 - brings libgomp.so.1, which the compiled module then finds in the process

from sinograd.errors import MissingPackageError
from sinograd.supported import MUSL, uses_musl

_RUNTIME = re.compile(r"lib(gomp|omp|iomp\d*)(-[0-9a-f]+)?\.(so|dylib)")
_MAPS = Path("/proc/self/maps")


def native() -> ModuleType:
    """`sinograd._native`; MissingPackageError with what to do where it cannot be loaded."""
    try:
        from sinograd import _native
    except ImportError as error:
        raise MissingPackageError(f"sinograd's compiled module cannot be loaded ({error}): {_remedy(error)}") from error
    return _native


def _remedy(error: ImportError) -> str:
    """What to do about it."""
    text = str(error)
    if uses_musl():
        return MUSL
    if "libgomp" in text:
        return (
            "this torch names its OpenMP library otherwise, and the system has none: install a newer torch from PyPI,"
            " or the system's package libgomp1"
        )
    if "GLIBC" in text:
        return "it was built for a newer system: pip install --force-reinstall --no-binary sinograd sinograd builds one"
    return "pip install --force-reinstall --no-deps sinograd brings it; in a checkout, pip install . builds it"


def openmp_runtimes(maps: Path = _MAPS) -> list[str]:
    """Files of the OpenMP runtimes in this process, from what Linux tells; none where it tells nothing.

    A library that was loaded under two names counts once. Those that other packages bring for themselves alone (in
    their `.libs` folder, as FINUFFT does) do not count: neither torch nor the native module uses them.
    """
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = {path for path in _resolved(lines) if _RUNTIME.match(path.name)}
    return sorted(str(path) for path in found if not _is_private(path))


def _is_private(path: Path) -> bool:
    folder = path.parent.name
    return folder.endswith(".libs") and folder not in ("torch.libs", "sinograd.libs")


def _resolved(lines: Iterable[str]) -> Iterable[Path]:
    """Files of a memory map: the sixth column, which may hold spaces."""
    for line in lines:
        columns = line.split(None, 5)
        if len(columns) == 6 and columns[5].startswith("/"):
            yield Path(columns[5])
