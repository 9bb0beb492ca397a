"""Paired volumes from files: named one by one, or by their names in two folders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from sinograd.data.volume import Volume
from sinograd.datasets.pairs import PairedVolume, Unit
from sinograd.datasets.spec import Padding, PairFiles, Volumes
from sinograd.errors import ConfigError, InputError, MissingFileError, UnitWarning
from sinograd.io import open_volume
from sinograd.io.volumes.dicom.series import is_dicom_folder, read_series

INPUT, TARGET = "input", "target"


def open_pair_volume(path: Path, unit: Unit, padding: Padding = "air") -> Volume:
    """A lazy volume in `unit`: of a file, or a folder with one series of DICOM slices.

    Raises:
        FileNotFoundError, ValueError: as `open_volume` and `read_series`; DICOM slices that are in HU, as another unit.
    """
    if is_dicom_folder(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnitWarning)  # it is stated here
            volume = read_series(path, padding=padding).volume
        if volume.unit not in (None, unit):
            raise InputError(f"{path}: DICOM slices are in {volume.unit}, the unit was given as {unit}")
        return volume.with_unit(unit)
    return open_volume(path, unit=unit).as_slices()


def volume_pairs(spec: Volumes) -> list[PairedVolume]:
    """The pairs of the layout `volumes`.

    Raises:
        ConfigError: neither files nor a folder, or both.
        FileNotFoundError, ValueError: a missing folder, names without a partner, volumes that do not fit.
    """
    if (spec.folder is None) == (not spec.files):
        found = "neither" if spec.folder is None else "both"
        raise ConfigError(f"pairs: the layout volumes takes either files or a folder, got {found}")
    files = spec.files if spec.folder is None else matched(spec.folder)
    names = names_of([_first(entry) for entry in files])
    return [_pair(entry, entry.name or name, spec) for entry, name in zip(files, names, strict=True)]


def matched(folder: Path) -> list[PairFiles]:
    """FOLDER/input/NAME with FOLDER/target/NAME, files by their names without suffix, sorted.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: nothing is there, or some names have no partner; they are listed.
    """
    found = []
    for part in (INPUT, TARGET):
        if not (folder / part).is_dir():
            raise MissingFileError(f"{folder / part} does not exist: a folder of pairs holds {INPUT} and {TARGET}")
        found.append(_by_name(folder / part))
    inputs, targets = found
    alone = [f"{INPUT}/{inputs[name].name}" for name in inputs if name not in targets]
    alone += [f"{TARGET}/{targets[name].name}" for name in targets if name not in inputs]
    if alone:
        raise InputError(f"{folder}: without a partner: {len(alone)} of the volumes, {_some(alone)}")
    if not inputs:
        raise InputError(f"{folder} holds no volumes")
    return [PairFiles(inputs[name], targets[name], name) for name in sorted(inputs)]


def stem(path: Path) -> str:
    """The name without the suffix, also without both of .nii.gz."""
    name = path.name
    for suffix in (".nii.gz", path.suffix):
        if suffix and name.lower().endswith(suffix.lower()):
            return name[: -len(suffix)]
    return name


def names_of(paths: Sequence[Path]) -> list[str]:
    """The files' names without suffixes, with as many folders before them as tell different files apart."""
    parts = [(*path.parts[:-1], stem(path)) for path in paths]
    names = [part[-1] for part in parts]
    for depth in range(2, max(map(len, parts), default=1) + 1):
        twice = {name for name in names if len({p for p, n in zip(parts, names, strict=True) if n == name}) > 1}
        if not twice:
            break
        names = ["/".join(p[-depth:]) if n in twice else n for p, n in zip(parts, names, strict=True)]
    return names


def _by_name(folder: Path) -> dict[str, Path]:
    """Volumes by their names; what lies beside .npy files (.yaml) and hidden files are none."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() in (".yaml", ".yml"):
            continue
        name = stem(path)
        if name in found:
            raise InputError(f"{folder}: {found[name].name} and {path.name} have the same name")
        found[name] = path
    return found


def _first(entry: PairFiles) -> Path:
    return entry.input[0] if isinstance(entry.input, tuple) else entry.input


def _pair(entry: PairFiles, name: str, spec: Volumes) -> PairedVolume:
    paths = entry.input if isinstance(entry.input, tuple) else (entry.input,)
    inputs = tuple(open_pair_volume(path, spec.unit, spec.padding) for path in paths)
    target = None if entry.target is None else open_pair_volume(entry.target, spec.unit, spec.padding)
    return PairedVolume(name, entry.patient or name, inputs, target, spec.unit, entry.group)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
