"""Paired volumes of the Low Dose CT Grand Challenge 2016 (NIH, AAPM, Mayo Clinic), in the folders people keep them in.

    Training_Image_Data/1mm B30/full_1mm/L067/full_1mm/L067_FD_1_1.CT.....IMA        as it was distributed
    Training_Image_Data/1mm B30/quarter_1mm/L067/quarter_1mm/L067_QD_1_1.CT.....IMA
    L067/full_3mm/*.IMA, L067/quarter_3mm/*.IMA                                      as many trainings expect it
    full_3mm/*.IMA, quarter_3mm/*.IMA                                                patients by the files' names

The dose and the thickness come from a folder's name (full_1mm, quarter_3mm; upper and lower case are the same), the
patient from the nearest folder L followed by digits, or from the beginning of the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from sinograd.datasets.pairs import PairedVolume
from sinograd.datasets.spec import Mayo2016
from sinograd.errors import InputError, MissingFileError
from sinograd.io.volumes.dicom.series import dicom_files, series_of

_DOSE = re.compile(r"(full|quarter)_?(\d+)_?mm", re.IGNORECASE)
_PATIENT = re.compile(r"L\d{3}", re.IGNORECASE)
_FILE = re.compile(r"(L\d{3})[_.]", re.IGNORECASE)

Progress = Callable[[int, int], None]


def mayo2016_pairs(spec: Mayo2016, progress: Progress | None = None) -> list[PairedVolume]:
    """A pair for each patient, quarter dose and full dose, by patient.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: nothing found, several thicknesses or kernels to choose from, patients who are not there or have
            one of the doses only, two series of one patient, or as `read_series`.
    """
    found = _chosen(find_slices(spec.folder, spec.kernel), spec)
    patients = sorted({patient for patient, _ in found})
    missing = [patient for patient in spec.patients if patient.upper() not in patients]
    if missing:
        raise InputError(f"{spec.folder} has no patients {', '.join(missing)}; it has {', '.join(patients)}")
    wanted = {patient.upper() for patient in spec.patients} or set(patients)
    alone = [f"{p} ({d} dose only)" for p, d in sorted(found) if p in wanted and (p, _other(d)) not in found]
    if alone:
        raise InputError(f"{spec.folder}: without a pair: {len(alone)} of the patients, {', '.join(alone)}")
    pairs = []
    for patient in (p for p in patients if p in wanted):
        low, normal = (
            series_of(found[patient, dose], f"{spec.folder}: {patient}, {dose} dose", padding=spec.padding).volume
            for dose in ("quarter", "full")
        )
        pairs.append(PairedVolume(patient, patient, (low,), normal, "HU", "abdomen"))
        if progress is not None:
            progress(len(pairs), len(wanted))
    return pairs


def find_slices(folder: Path, kernel: str | None = None) -> dict[tuple[str, str, int], list[Path]]:
    """DICOM files below a folder by patient, dose ("full" or "quarter") and thickness in mm.

    kernel: take only files below a folder whose name holds this text.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder} does not exist or is no folder")
    found: dict[tuple[str, str, int], list[Path]] = {}
    for place in sorted([folder, *(path for path in folder.rglob("*") if path.is_dir())]):
        names = [name for name in (*reversed(place.relative_to(folder).parts), folder.name)]
        dose = next((match for name in names if (match := _DOSE.fullmatch(name))), None)
        if dose is None or (kernel is not None and not any(kernel.lower() in name.lower() for name in names)):
            continue
        owner = next((name.upper() for name in names if _PATIENT.fullmatch(name)), None)
        for file in dicom_files(place):
            named = _FILE.match(file.name)
            patient = owner or (named[1].upper() if named else None)
            if patient is None:
                raise InputError(f"{file}: neither its name nor its folders tell the patient (L067, say)")
            found.setdefault((patient, dose[1].lower(), int(dose[2])), []).append(file)
    return found


def _chosen(found: dict[tuple[str, str, int], list[Path]], spec: Mayo2016) -> dict[tuple[str, str], list[Path]]:
    """The files of one thickness, by patient and dose."""
    kernel = "" if spec.kernel is None else f" with {spec.kernel!r} in their names"
    if not found:
        raise InputError(f"{spec.folder} holds no folders full_1mm, quarter_3mm or the like{kernel} with DICOM slices")
    known = sorted({thickness for _, _, thickness in found})
    thickness = spec.thickness_mm if spec.thickness_mm is not None else known[0]
    if thickness not in known or (spec.thickness_mm is None and len(known) > 1):
        raise InputError(
            f"pairs.thickness_mm: {spec.folder} has slices of {_listed(known)} mm, expected one of these, "
            f"got {spec.thickness_mm}"
        )
    chosen = {(patient, dose): files for (patient, dose, mm), files in found.items() if mm == thickness}
    for (patient, dose), files in chosen.items():
        folders = sorted({str(file.parent.relative_to(spec.folder)) for file in files})
        if len(folders) > 1:
            raise InputError(
                f"{spec.folder}: {patient} has {len(folders)} series of {dose} dose and {thickness} mm, in "
                f"{', '.join(folders)}: choose by pairs.kernel or a folder below"
            )
    return chosen


def _other(dose: str) -> str:
    return "full" if dose == "quarter" else "quarter"


def _listed(values: Sequence[int]) -> str:
    return " and ".join(map(str, values))
