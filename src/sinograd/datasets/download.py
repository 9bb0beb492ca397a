"""Files that are fetched once and checked: `pooch`, extra `io`.

Nothing is downloaded unless one of these functions is called. Which public data there are, and which of them can be
fetched without an account, tells the how-to page "Data for denoisers".
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from sinograd.errors import InputError, MissingPackageError

# URLs and SHA-256 of ldctbench/hub/checkpoints.json in ldct-benchmark 0.0.15 (MIT licence, Elias Eulig), of the
# methods that sinograd has a network for.
LDCT_BENCHMARK = {
    "cnn10": "ee96e494c8eda02e946464df29cf43c14163e63bc4b1df6d8907ee33a1a18c3e",
    "dugan": "c6faad8376994fe22eadc0a723f81705fda6f435f40ef0f999666e871216ac5e",
    "qae": "ca6ce543b476d4c3673acd2f3d1284d47d98483c41a61cc912f5214c80921363",
    "redcnn": "058ae58264a00116e5620ed88047e687c7e93c8b732bfd6d7796e76bae0c74f3",
    "wganvgg": "1ad87d16aefea99a9eeb474c33127971131cc21a07e129bf464c764cf9ca6003",
}
_LDCT_BENCHMARK_URL = "https://downloads.eeulig.com/ldct-benchmark/{}.pt"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(url: str, sha256: str, folder: str | os.PathLike[str] | None = None, *, name: str | None = None) -> Path:
    """The file of a URL, from `folder` where it is there already with the right content, else downloaded.

    Args:
        url: http(s), ftp or doi, as pooch takes them.
        sha256: what the file must have, 64 hexadecimal digits, as its publisher states it.
        folder: where it is kept; by default the user's cache folder of sinograd.
        name: of the file; by default the last part of the URL.

    Raises:
        ImportError: pooch is not installed.
        ValueError: no SHA-256, or the file that came has another one; it is not kept.
        OSError: it could not be downloaded (requests' errors are OSErrors).
    """
    digest = sha256.lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digest):
        raise InputError(f"sha256 must be 64 hexadecimal digits, got {sha256!r}")
    name = url.rstrip("/").rsplit("/", 1)[-1] if name is None else name
    if not name or Path(name).name != name:
        raise InputError(f"name must be the name of a file, got {name!r}")
    if importlib.util.find_spec("pooch") is None:
        raise MissingPackageError("downloads need pooch: pip install 'sinograd[io]'", name="pooch")
    import pooch

    place = pooch.os_cache("sinograd") if folder is None else Path(folder)
    return Path(pooch.retrieve(url, known_hash=f"sha256:{digest}", fname=name, path=place, progressbar=False))


def fetch_ldct_benchmark(method: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """The trained weights (.pt) that ldct-benchmark publishes for "cnn10", "dugan", "qae", "redcnn" or "wganvgg".

    E. Eulig, B. Ommer, M. Kachelriess, Benchmarking deep learning-based low-dose CT image denoising algorithms,
    Medical Physics 51(12), 2024. Raises ValueError for another method, and as `fetch`.
    """
    if method not in LDCT_BENCHMARK:
        raise InputError(f"method must be one of {', '.join(LDCT_BENCHMARK)}, got {method!r}")
    name = f"ldct-benchmark-{method}.pt"
    return fetch(_LDCT_BENCHMARK_URL.format(method), LDCT_BENCHMARK[method], folder, name=name)
