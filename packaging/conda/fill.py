"""Prints conda-forge's recipe for a source archive: `python packaging/conda/fill.py dist/sinograd-0.1.0.tar.gz`."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path


def filled(sdist: Path) -> str:
    """The recipe with the version and the hash of a source archive."""
    named = re.fullmatch(r"sinograd-(\d[^-]*)\.tar\.gz", sdist.name)
    if named is None:
        sys.exit(f"fill.py: expected sinograd-VERSION.tar.gz, got {sdist.name}")
    recipe = Path(__file__).with_name("recipe.yaml").read_text(encoding="utf-8")
    recipe = recipe.split("\n", 1)[1]  # the line about this program
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    return recipe.replace("VERSION", named[1]).replace("SHA256", digest)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: fill.py SDIST")
    print(filled(Path(sys.argv[1])), end="")
