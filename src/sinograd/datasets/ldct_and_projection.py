"""Paired volumes of LDCT-and-Projection-data, as TCIA's downloaders and ldct-benchmark lay them out.

    LDCT-and-Projection-data/C121/12-23-2021-NA-NA-61870/1.000000-Low Dose Images-00959/1-001.dcm
    LDCT-and-Projection-data/C121/12-23-2021-NA-NA-61870/1.000000-Full Dose Images-92811/1-001.dcm

C. McCollough et al., The Cancer Imaging Archive, 2020, doi 10.7937/9NPB-2637: chest (C), abdomen (L) and neuro (N),
images of a full and a simulated low dose (quarter for abdomen and neuro, a tenth for chest). Splits are those of
ldct-benchmark: 35 / 10 / 5 patients of each group (ldct_and_projection.yaml beside this file).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sinograd.config.yaml import load_yaml
from sinograd.datasets.pairs import PairedVolume
from sinograd.datasets.spec import LdctAndProjection
from sinograd.errors import InputError, MissingFileError
from sinograd.io.volumes.dicom.series import DicomSeries, read_series

NAME = "LDCT-and-Projection-data"
GROUPS = {"C": "chest", "L": "abdomen", "N": "neuro"}
SPLITS = ("train", "val", "test")

_PATIENT = re.compile(r"[CLN]\d{3}")
_LOW, _FULL = "low dose images", "full dose images"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Patient:
    """A patient of a split; folders are None where they are to be found by their names."""

    id: str
    slices: int | None = None
    low: Path | None = None
    full: Path | None = None

    @property
    def group(self) -> str:
        """Body part."""
        return GROUPS.get(self.id[:1], "")


def ldct_pairs(spec: LdctAndProjection, progress: Progress | None = None) -> list[PairedVolume]:
    """A pair for each patient of a split: low dose and full dose, by patient.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: patients who are not there, have one of the doses only or another number of slices than the split
            tells (an incomplete download), or as `read_series`.
    """
    if not spec.folder.is_dir():
        raise MissingFileError(f"{spec.folder} does not exist or is no folder")
    root = spec.folder / NAME if (spec.folder / NAME).is_dir() else spec.folder
    patients = _wanted(spec, root)
    missing = [p.id for p in patients if not (p.low or root / p.id).is_dir()]
    if missing:
        raise InputError(
            f"{root} has no folders of {len(missing)} of {len(patients)} patients: {', '.join(missing[:8])}"
            f"{' ...' if len(missing) > 8 else ''} (pairs.groups or pairs.patients choose others)"
        )
    pairs = []
    for patient in patients:
        low, full = (_series(patient, which, root, spec) for which in (_LOW, _FULL))
        pairs.append(PairedVolume(patient.id, patient.id, (low.volume,), full.volume, "HU", patient.group))
        if progress is not None:
            progress(len(pairs), len(patients))
    return pairs


def split_table() -> dict[str, dict[str, int]]:
    """Patients of each split of ldct-benchmark and how many slices they have."""
    return load_yaml(resources.files("sinograd.datasets") / "ldct_and_projection.yaml")


def _wanted(spec: LdctAndProjection, root: Path) -> list[Patient]:
    if spec.info is not None:
        known = _from_info(spec.info, spec.folder if root != spec.folder else root.parent, spec.split)
    elif spec.split is not None:
        known = [Patient(name, slices) for name, slices in split_table()[spec.split].items()]
    else:
        known = [Patient(path.name) for path in root.iterdir() if path.is_dir() and _PATIENT.fullmatch(path.name)]
    strangers = [name for name in spec.patients if name not in {p.id for p in known}]
    if strangers:
        where = str(root) if spec.split is None else f"the split {spec.split}"
        raise InputError(f"pairs.patients: {', '.join(strangers)} not in {where}")
    chosen = [p for p in known if p.id in spec.patients or not spec.patients]
    chosen = [p for p in chosen if p.group in spec.groups or not spec.groups]
    if not chosen:
        raise InputError(f"{root} holds no patients C121, L241, N252 ... as asked for")
    return sorted(chosen, key=lambda p: p.id)


def _from_info(path: Path, folder: Path, split: str | None) -> list[Patient]:
    """Patients of an info.yml as ldct-benchmark's prepare_dataset writes it."""
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist")
    data = load_yaml(path)
    try:
        entries: list[Mapping[str, Any]] = [e for s in SPLITS if split in (s, None) for e in data[f"{s}_set"]]
        return [
            Patient(str(e["id"]), int(e["n_slices"]), folder / str(e["input"]), folder / str(e["target"]))
            for e in entries
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no info.yml of ldct-benchmark: expected train_set, val_set and test_set with id, input, "
            f"target and n_slices ({type(error).__name__}: {error})"
        ) from error


def _series(patient: Patient, which: str, root: Path, spec: LdctAndProjection) -> DicomSeries:
    given = patient.low if which == _LOW else patient.full
    folder = _find(root / patient.id, which) if given is None else given
    series = read_series(folder, padding=spec.padding)
    if series.unit != "HU":
        raise InputError(f"{folder}: its slices are not in HU, as RescaleType says")
    if patient.slices is not None and series.shape[0] != patient.slices:
        raise InputError(
            f"{folder} holds {series.shape[0]} slices, the split tells of {patient.slices}: an incomplete download?"
        )
    return series


def _find(patient: Path, which: str) -> Path:
    """The folder of a patient's series by its description."""
    found = sorted(path for path in patient.rglob("*") if path.is_dir() and which in path.name.lower())
    if len(found) != 1:
        count = f"{len(found)} folders" if found else "no folder"
        raise InputError(f"{patient} has {count} with {which!r} in the name, expected one")
    return found[0]
