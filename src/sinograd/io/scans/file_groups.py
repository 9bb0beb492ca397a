"""Whether an image file is a projection, a reference or a dark image, by the words of its name."""

from __future__ import annotations

import re
from pathlib import Path

REFERENCE_WORDS = ("flat", "flatfield", "ref", "reference", "white", "openbeam", "io")
DARK_WORDS = ("dark", "darkfield", "di")


def group_of(file: Path, top: Path) -> str:
    """ "reference", "dark" or "projections", by the file's name and that of its folder, unless that is `top`."""
    words = re.findall("[a-z]+", file.stem.casefold())
    if file.parent != top:
        words += re.findall("[a-z]+", file.parent.name.casefold())
    for group, known in (("reference", REFERENCE_WORDS), ("dark", DARK_WORDS)):
        if any(word in known or word.removesuffix("s") in known for word in words):
            return group
    return "projections"
