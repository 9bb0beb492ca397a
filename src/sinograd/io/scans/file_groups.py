"""Whether an image file is a projection, a reference or a dark image, by the words of its name."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sinograd.config.shown import some
from sinograd.errors import ScanWarning
from sinograd.io.scans.file_order import SIGN_WORDS

REFERENCE_WORDS = (
    *("flat", "flatfield", "ff", "ref", "reference", "white", "whitefield", "bright", "brightfield", "gain"),
    *("openbeam", "openfield", "ob", "io", "i0"),
)
DARK_WORDS = ("dark", "darkfield", "darkcurrent", "df", "dc", "di")
_WORD = re.compile("(?<![a-z0-9])i0(?![a-z0-9])|[a-z]+")


def group_of(file: Path, top: Path) -> str:
    """ "reference", "dark" or "projections", by the file's name and that of its folder, unless that is `top`."""
    words = _WORD.findall(file.stem.casefold())
    if file.parent != top:
        words += _WORD.findall(file.parent.name.casefold())
    for group, known in (("reference", REFERENCE_WORDS), ("dark", DARK_WORDS)):
        if any(word in known or word.removesuffix("s") in known for word in words):
            return group
    return "projections"


def warn_of_several_names(files: Sequence[Path]) -> None:
    """A ScanWarning where images that are taken for projections have names of several kinds."""
    kinds = Counter(re.sub(r"\d+", "*", file.name) for file in files)
    words = {
        tuple(word for word in re.findall("[^\\W\\d_]+", kind.casefold()) if word not in SIGN_WORDS) for kind in kinds
    }
    if len(words) > 1:
        names = some((f"{count} {kind}" for kind, count in kinds.most_common()), 4)
        warnings.warn(
            f"{files[0].parent}: images of several names are taken for projections ({names}); flat fields have flat in "
            "their names or lie in a folder flats, dark images dark or darks; or give `flat` and `dark`",
            ScanWarning,
            stacklevel=3,
        )
