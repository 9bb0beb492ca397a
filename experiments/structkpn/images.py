"""Slices of phantoms of water and bone in beams of many energies, as a scanner gives them: HU in a window, 0 to 1.

Readings are sums over the energies of exact path lengths; nothing is inverted by the operator that made it. A line
integral becomes the length of water that a beam would read the same for (the scanner's water correction), so that bone
alone hardens the beam beyond it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinograd import abdomen, bowtie_transmission, fbp, low_dose
from sinograd.config.schema import to_plain
from sinograd.datasets import PairedVolume
from sinograd.io.storage.atomic import replacing
from sinograd.phantoms import Ellipsoids, MaterialPhantom
from sinograd.phantoms.abdomen import WATER
from sinograd.physics import SpectralBeam, Spectrum, attenuation
from structkpn.settings import Beam, Study
from study.config import digest

_VERSION = 1  # of what is made here; older files are made again
_SLICES = 8  # made at once; the noise of a seed depends on it
_BONE_HU = (450.0, 800.0)  # by how much bone and marrow differ from what is around them, and nothing else does
_KEV = 70.0  # the energy of the phantom's attenuations
_LEAST_MM, _MOST_MM = -50.0, 1500.0  # of water, in the correction's table


Parts = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Slices:
    """What one scan gives, 0 to 1, [slices, Y, X]: of the low dose, the normal one, and without noise."""

    phantom: int
    seed: int
    low: Tensor
    normal: Tensor
    clean: Tensor


def of_materials(phantom: Ellipsoids) -> MaterialPhantom:
    """Water and bone instead of attenuations at 70 keV, which stay the same: fat is water of less density.

    Parts that differ by as much as bone does from muscle, or marrow from bone, are of bone; all others of water.
    """
    hu = phantom.value / WATER * 1000
    bone = (hu.abs() >= _BONE_HU[0]) & (hu.abs() <= _BONE_HU[1])
    parts = {}
    for material, chosen in (("water", ~bone), ("bone", bone)):
        shape = phantom[chosen.nonzero()[:, 0]]
        share = shape.value / float(attenuation(material, _KEV))
        parts[material] = Ellipsoids(share, shape.semi_axes, shape.center, shape.rotation)
    return MaterialPhantom(parts)


@lru_cache
def spectral_beam(beam: Beam, kv: float) -> SpectralBeam:
    """The beam of a voltage at 1 mA."""
    reference = Spectrum.tube(beam.voltage, beam.filters, bin_kev=beam.bin_kev)
    spectrum = Spectrum.tube(kv, beam.filters, bin_kev=beam.bin_kev)
    return SpectralBeam(spectrum.scaled(beam.photons * spectrum.total / reference.total), ("water", "bone"))


def water_corrected(beam: SpectralBeam, line_integrals: Tensor) -> Tensor:
    """Length of water, mm, that the beam reads the same for."""
    lengths = torch.linspace(_LEAST_MM, _MOST_MM, 3101, dtype=torch.float64)
    read = beam.line_integrals(torch.stack([lengths, torch.zeros_like(lengths)]))
    corrected = np.interp(line_integrals.double().numpy(), read.numpy(), lengths.numpy())
    return torch.from_numpy(corrected)


class Scanner:
    """Scans phantoms of a study; what is made is kept in `cache`, if that is given."""

    def __init__(self, study: Study, cache: Path | None) -> None:
        self.study, self.cache = study, cache
        self._test_lengths: dict[int, list[Tensor]] = {}

    def training_scan(self, phantom: int, seed: int, *, test: bool = False) -> Slices:
        """Low and normal dose of one scan: the low one keeps the normal one's noise, as simulated low doses do."""
        kept = self._kept("scan", phantom, seed, f"{test}")
        return self._found(kept, phantom, seed, lambda: self._pair(phantom, seed, test))

    def exposure(self, phantom: int, seed: int, kv: float, ma: float) -> Slices:
        """A test scan of its own (low) beside one of the normal current (normal) at the same voltage."""
        kept = self._kept("exposure", phantom, seed, f"{kv:g}-{ma:g}")
        return self._found(kept, phantom, seed, lambda: self._exposed(phantom, seed, kv, ma))

    def _pair(self, phantom: int, seed: int, test: bool) -> Parts:
        spec, random = self.study.beam, generator("scan", phantom, seed)
        beam = spectral_beam(spec, spec.voltage)
        noise = {"electronic_noise": spec.electronic_noise, "generator": random}
        found: list[Parts] = []
        for lengths in self._lengths(phantom, test):
            scale = spec.normal_ma * self._bowtie(len(lengths[0][0]))
            normal, _ = beam.noisy_line_integrals(lengths, scale, **noise)
            low = low_dose(normal, spec.dose, beam.photons * scale, **noise)
            clean = beam.line_integrals(lengths)
            found.append((self._image(beam, low), self._image(beam, normal), self._image(beam, clean)))
        low, normal, clean = (torch.cat(part) for part in zip(*found, strict=True))
        return low, normal, clean

    def _exposed(self, phantom: int, seed: int, kv: float, ma: float) -> Parts:
        spec = self.study.beam
        beam = spectral_beam(spec, kv)
        found: list[Parts] = []
        randoms = [generator("exposure", phantom, seed, f"{kv:g}", f"{current:g}") for current in (ma, spec.normal_ma)]
        for lengths in self._lengths(phantom, True):
            bowtie = self._bowtie(len(lengths[0][0]))
            read = [
                beam.noisy_line_integrals(
                    lengths, current * bowtie, electronic_noise=spec.electronic_noise, generator=random
                )[0]
                for current, random in zip((ma, spec.normal_ma), randoms, strict=True)
            ]
            low, normal, clean = (self._image(beam, p) for p in (*read, beam.line_integrals(lengths)))
            found.append((low, normal, clean))
        low, normal, clean = (torch.cat(part) for part in zip(*found, strict=True))
        return low, normal, clean

    def _lengths(self, phantom: int, test: bool) -> list[Tensor]:
        """Path lengths [materials, views, slices, columns] of some slices at a time."""
        if test and phantom in self._test_lengths:
            return self._test_lengths[phantom]
        heights = self.study.scan.heights(test=test)
        object_ = abdomen(phantom)
        found = []
        for first in range(0, len(heights), _SLICES):
            rows = heights[first : first + _SLICES]
            each = [self._row(object_, z) for z in rows]
            found.append(torch.cat(each, 2))
        if test:
            self._test_lengths = {phantom: found}  # of the last one: large
        return found

    def _row(self, object_: Ellipsoids, z: float) -> Tensor:
        shift = torch.tensor([0.0, 0.0, z], dtype=torch.float64)
        moved = Ellipsoids(object_.value, object_.semi_axes, object_.center - shift, object_.rotation)
        return of_materials(moved).lengths(self.study.scan.of(1)[0])

    def _bowtie(self, rows: int) -> Tensor:
        return bowtie_transmission(self.study.scan.of(rows)[0], self.study.beam.bowtie_mm, WATER)

    def _image(self, beam: SpectralBeam, line_integrals: Tensor) -> Tensor:
        """In the window, 0 to 1."""
        scan, window = self.study.scan, self.study.window
        geometry, grid = scan.of(line_integrals.shape[1])
        water = fbp(water_corrected(beam, line_integrals).float(), geometry, grid, window=scan.window)  # of its density
        return ((1000 * (water - 1) - window.low) / window.range).clamp(0, 1)

    def _kept(self, kind: str, phantom: int, seed: int, rest: str) -> Path | None:
        if self.cache is None:
            return None
        return self.cache / data_hash(self.study)[:16] / f"{kind}-{phantom}-{seed}-{rest}.pt"

    def _found(self, file: Path | None, phantom: int, seed: int, make: Callable[[], Parts]) -> Slices:
        if file is not None and file.is_file():
            return Slices(phantom, seed, *torch.load(file, weights_only=True))
        made = make()
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file, force=True) as temporary:
                torch.save(made, temporary)
        return Slices(phantom, seed, *made)


def data_hash(study: Study) -> str:
    """SHA-256 of all that images depend on but phantoms and seeds."""
    return digest([to_plain(study.scan), to_plain(study.beam), to_plain(study.window), _VERSION])


def generator(*key: object) -> torch.Generator:
    """The random numbers that belong to a key."""
    found = hashlib.sha256("/".join(map(str, ("structkpn", *key))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(found[:8], "little") >> 1)


def pairs(scans: Sequence[Slices]) -> list[PairedVolume]:
    """What networks learn from: low and normal doses."""
    return [PairedVolume(f"phantom {s.phantom}", f"{s.phantom}", (s.low,), s.normal, "1") for s in scans]
