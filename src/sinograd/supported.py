"""What sinograd needs of a machine, checked when it is imported: a torch that is new enough, a processor, a C library.

The checks read two small files and import nothing: where they cannot tell they say nothing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from pathlib import Path

from sinograd.errors import MissingPackageError

TORCH = (2, 6)  # as in pyproject.toml
MUSL = (
    "this system's C library is musl (Alpine Linux), for which neither torch nor sinograd has wheels: take an image"
    " with glibc, such as Debian's or python:3.12-slim, or build both from source"
)
_PROCESSOR = Path("/proc/cpuinfo")
_ENOUGH = 4096  # bytes of it that hold the first processor's features


def check_supported() -> None:
    """MissingPackageError with what to do where this machine is known to be too old or of another kind.

    In the command the same text is one line, and its end with exit code 1: nothing there could catch the error.
    """
    for problem in (torch_problem(), processor_problem()):
        if problem is not None and _is_command():
            raise SystemExit(f"sinograd: cannot start: {problem}")
        if problem is not None:
            raise MissingPackageError(problem)


def _is_command() -> bool:
    """Whether the program that imports sinograd is the script that pip installs, or `python -m sinograd.cli`."""
    if sys.argv[:1] == ["-m"]:  # its own name comes there once the package is imported
        return "sinograd.cli" in sys.orig_argv
    return bool(sys.argv) and Path(sys.argv[0]).stem == "sinograd"


def torch_problem() -> str | None:
    """Why the torch that would be imported does not do; an absent one is none but on musl, which has no wheel of it."""
    found = torch_version()
    if found is None:
        return MUSL if uses_musl() and importlib.util.find_spec("torch") is None else None
    numbers = tuple(int(n) for n in re.findall(r"\d+", found)[:2])
    if numbers >= TORCH:
        return None
    needed = ".".join(map(str, TORCH))
    return f"sinograd needs torch {needed} or newer, found {found}: pip install --upgrade 'torch>={needed}'"


def torch_version() -> str | None:
    """The version of the torch on the path, which is not imported for that; None where there is none."""
    loaded = getattr(sys.modules.get("torch"), "__version__", None)
    if loaded is not None:
        return str(loaded)
    try:
        spec = importlib.util.find_spec("torch")
    except ValueError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    stated = re.search(r"^__version__\s*=\s*['\"](\d+\.\d+[^'\"]*)", text, flags=re.MULTILINE)
    return stated[1] if stated else None


def processor_problem(path: Path = _PROCESSOR) -> str | None:
    """Why an x86-64 processor does not do, from what Linux tells of it: torch and NumPy need SSE4."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_ENOUGH)
    except OSError:
        return None
    features = re.search(r"^flags\s*:(.*)\n", text, flags=re.MULTILINE)
    missing = {"sse4_1", "sse4_2"} - set(features[1].split()) if features else set()
    if not missing:
        return None
    names = " and ".join(name.upper().replace("_", ".") for name in sorted(missing))
    return (
        f"this processor lacks {names}, which torch, NumPy and sinograd need:"
        " take a machine whose processor is newer than 2008, or another model for the virtual one (qemu: -cpu max)"
    )


def uses_musl() -> bool:
    """Whether this is Linux with another C library than glibc."""
    if sys.platform != "linux":
        return False
    try:
        return not os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return True
