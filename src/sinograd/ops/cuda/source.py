"""The text of a CUDA source with everything it includes, as NVRTC gets it."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from sinograd.errors import MissingFileError

PRELUDE = "prelude.h"
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"(?P<own>[^"]+)"|<[^>]+>).*$')


def kernel_folder() -> Path:
    """Where `cuda` and `include` lie: in the installed package, or in the checkout that this file belongs to."""
    here = Path(__file__).resolve()
    for folder in (here.parents[2] / "kernels", here.parents[4] / "kernels"):
        if (folder / "cuda").is_dir():
            return folder
    raise MissingFileError(f"{here.parents[2] / 'kernels'}: expected the CUDA sources of sinograd, found none")


@functools.cache
def assemble(file: str) -> str:
    """`cuda/FILE` after the prelude, with headers put in where they are first included.

    One text needs no search path, so that compiled kernels can be cached by it. Headers of the standard library are
    left out: NVRTC has none, the prelude stands for them.
    """
    seen: set[str] = set()
    return _with_includes(PRELUDE, seen) + _with_includes(file, seen)


def _with_includes(file: str, seen: set[str]) -> str:
    if file in seen:
        return ""
    seen.add(file)
    folder = kernel_folder()
    path = next((folder / place / file for place in ("cuda", "include") if (folder / place / file).is_file()), None)
    if path is None:
        raise MissingFileError(f"{file}: expected it in {folder / 'cuda'} or {folder / 'include'}")
    text = [f'#line 1 "{file}"\n']
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        include = INCLUDE.match(line)
        if include:
            own = _with_includes(include["own"], seen) if include["own"] else ""
            text.append(f'{own}#line {number + 1} "{file}"\n')
        elif line.strip() != "#pragma once":
            text.append(f"{line}\n")
        else:
            text.append("\n")
    return "".join(text)
