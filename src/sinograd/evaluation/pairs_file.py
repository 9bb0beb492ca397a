"""A YAML file with the paired volumes to evaluate on, as `sinograd.datasets.spec` describes them.

pairs: {layout: ldct-and-projection, folder: /data, split: test}

Paths are relative to the file's folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sinograd.config.regular_files import check_file
from sinograd.config.schema import from_plain
from sinograd.config.yaml import load_yaml
from sinograd.datasets import PairedVolume, PairsSpec, load_pairs, with_absolute_paths
from sinograd.errors import ConfigError, FormatError


@dataclass(frozen=True)
class PairsFile:
    """The file's only key."""

    pairs: PairsSpec


def read_pairs_file(
    path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None
) -> list[PairedVolume]:
    """The paired volumes that a file describes.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: not YAML, or an unknown, missing or wrong key; names the file and the key.
        FileNotFoundError, ValueError: as `sinograd.datasets.load_pairs`.
    """
    file = Path(path)
    check_file(file, f"no file of pairs at {file}")
    try:
        data = load_yaml(file)
    except FormatError as error:
        raise ConfigError(str(error)) from error
    try:
        spec = from_plain(PairsFile, {} if data is None else data).pairs
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return load_pairs(with_absolute_paths(spec, file.resolve().parent), progress)
