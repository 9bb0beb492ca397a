"""Spectra of x-rays: photons in bins of energy."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.regular_files import check_file, read_text
from sinograd.config.shown import shown
from sinograd.errors import FormatError, InputError
from sinograd.geometry.checks import number, positive, without_gradients
from sinograd.physics.attenuation import attenuation, checked_energies
from sinograd.physics.materials import Material

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Filters = str | Iterable["tuple[str | Material, float] | str"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Spectrum:
    """Photons in bins of energy.

    Args:
        energies: keV, the middles of the bins, rising; [bins].
        photons: in each bin, not per keV: what a detector element receives in one view without an object, or any
            multiple of it; [bins].

    Raises:
        ValueError: numbers of bins that differ, energies that do not rise or are outside the tables of attenuation,
            photons that are negative, not finite, or none at all.
    """

    energies: np.ndarray
    photons: np.ndarray

    def __init__(self, energies: ArrayLike, photons: ArrayLike) -> None:
        without_gradients(photons, "photons")
        kev = checked_energies(energies).copy()
        count = np.asarray(photons, dtype=np.float64).copy()
        if kev.ndim != 1 or kev.shape != count.shape or not len(kev):
            raise InputError(
                f"energies and photons must be as many of each, got {list(kev.shape)} and {list(count.shape)}"
            )
        if not (np.diff(kev) > 0).all():
            raise InputError("energies must rise from bin to bin")
        if not np.isfinite(count).all() or (count < 0).any() or not count.sum() > 0:
            raise InputError(f"photons must be finite, not negative, and not all zero, got {shown(count.tolist())}")
        kev.flags.writeable = count.flags.writeable = False
        object.__setattr__(self, "energies", kev)
        object.__setattr__(self, "photons", count)

    @classmethod
    def tube(
        cls,
        kv: float,
        filters: Filters = (),
        *,
        mas: float = 1.0,
        distance_mm: float = 1000.0,
        area_mm2: float = 1.0,
        **options: Any,
    ) -> Spectrum:
        """What a tube of `kv` kilovolts, of tungsten or another `target`, sends to an area.

        Args:
            kv, filters, options: see `tube_spectrum`.
            mas: current x time, mAs; for one view.
            distance_mm: from the source.
            area_mm2: of a detector element, facing the source; 1 is photons per mm^2.

        Raises:
            ValueError, ImportError: as `tube_spectrum`, or numbers that are not positive.
        """
        from sinograd.physics.tube import tube_spectrum

        scale = (
            positive(mas, "mas") * positive(area_mm2, "area_mm2") * (1000 / positive(distance_mm, "distance_mm")) ** 2
        )
        beam = tube_spectrum(kv, filters, **options)
        return cls(beam.energies, beam.photons * scale)

    @classmethod
    def monochromatic(cls, energy: float, photons: float = 1.0) -> Spectrum:
        """All photons at one energy, keV."""
        return cls(np.array([number(energy, "energy")]), np.array([photons]))

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> Spectrum:
        """Two columns, keV and photons, between commas, semicolons or blanks; lines without numbers before them are
        headers.

        Raises:
            FileNotFoundError, ValueError: no such file, a line that is not two numbers, or no spectrum.
        """
        path = Path(path)
        check_file(path, f"no spectrum at {path}: expected a .csv file with energies in keV and photons")
        try:
            text = read_text(path).removeprefix("\ufeff")
        except UnicodeDecodeError:
            raise FormatError(f"{path} is not text: expected two columns, keV and photons") from None
        rows = [_row(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        while rows and isinstance(rows[0], str):
            rows.pop(0)
        wrong = next((row for row in rows if isinstance(row, str)), None)
        if wrong is not None or not rows:
            got = "none" if wrong is None else shown(wrong)
            raise FormatError(f"{path}: expected lines of two numbers, keV and photons, got {got}")
        kev, photons = np.array(rows).T
        try:
            return cls(kev, photons)
        except InputError as error:
            raise FormatError(f"{path}: {error}") from error

    def __len__(self) -> int:
        return len(self.energies)

    def __repr__(self) -> str:
        low, high = self.energies[[0, -1]]
        return f"<Spectrum: {len(self)} bins, {low:g} to {high:g} keV, mean {self.mean_energy:.4g} keV>"

    @property
    def total(self) -> float:
        """Photons of all bins."""
        return float(self.photons.sum())

    @property
    def mean_energy(self) -> float:
        """Of a photon, keV."""
        return float((self.energies * self.photons).sum() / self.photons.sum())

    def scaled(self, total: float) -> Spectrum:
        """The same shape with so many photons in all."""
        return Spectrum(self.energies, self.photons * (positive(total, "total") / self.total))

    def filtered(self, material: str | Material, mm: float, density: float | None = None) -> Spectrum:
        """Behind so many mm of a material.

        Raises:
            ValueError: as `attenuation`, a negative thickness, or one that leaves no photons.
        """
        thickness = number(mm, "mm")
        if thickness < 0:
            raise InputError(f"mm must not be negative, got {thickness:g}")
        left = self.photons * np.exp(-thickness * attenuation(material, self.energies, density))
        if not left.sum() > 0:
            raise InputError(f"{thickness:g} mm of {Material.of(material, density).name} leave no photons")
        return Spectrum(self.energies, left)

    def half_value_layers(self, material: str | Material = "aluminium") -> tuple[float, float]:
        """First and second half-value layer in mm: what halves the air kerma, and what halves it once more."""
        from sinograd.physics.half_value_layers import half_value_layers

        return half_value_layers(self, material)


def parse_filters(filters: Filters) -> list[tuple[str | Material, float]]:
    """Materials and mm of "1 mm Al, 0.1 mm Cu", of such texts, or of pairs (material, mm)."""
    if isinstance(filters, str):
        filters = [part for part in filters.split(",") if part.strip()]
    pairs = []
    for each in filters:
        pair: Any = _filter(each) if isinstance(each, str) else each
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"filters: expected (material, mm) or '1 mm Al', got {shown(each)}")
        pairs.append((pair[0], positive(pair[1], "filters: mm")))
    return pairs


def _filter(text: str) -> tuple[str, float]:
    amount, _, material = text.strip().partition("mm")
    try:
        return material.strip() or "?", float(amount)
    except ValueError:
        raise InputError(f"filters: expected a thickness and a material, as '1 mm Al', got {text.strip()!r}") from None


def _row(line: str) -> tuple[float, float] | str:
    """The numbers of a line, or the line where it has no two."""
    cells = next(csv.reader([line], delimiter=";" if ";" in line else ","))
    cells = cells if len(cells) > 1 else line.split()
    try:
        first, second = (float(cell) for cell in cells if cell.strip())
    except ValueError:
        return line
    return first, second
