"""The noise of a simulated scan: its photons, random numbers and starved readings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sinograd.errors import InputError

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.physics import SpectralBeam
    from sinograd.workflows.exposure import Exposure

FLOOR = 0.5  # photons; the smallest reading taken at its word


class ScanNoise:
    """Photons of a scan, and how many of its readings were starved.

    measured: photons of every view and column, as the scan states them, instead of those of `exposure`.
    """

    def __init__(
        self, exposure: Exposure, geometry: Geometry, dose: float | None, seed: int, measured: Any = None
    ) -> None:
        import torch

        from sinograd.physics import Starved, bowtie_transmission

        self.exposure, self.dose, self.seed, self.starved = exposure, dose, seed, Starved(FLOOR)
        self.photons: Any = exposure.photons
        if exposure.bowtie_mm is not None:
            self.photons = exposure.photons * bowtie_transmission(geometry, exposure.bowtie_mm)
        self.measured = None if measured is None else torch.from_numpy(measured.copy())

    @property
    def unattenuated(self) -> Any:
        """Photons without an object, at the dose; without one, those of dose 1."""
        return self.photons if self.dose is None else self.dose * self.photons

    def of_block(self, views: slice, number: int) -> BlockNoise:
        """That of a block of views; blocks are numbered from 0, and each has random numbers of its own."""
        return BlockNoise(self, views, number)

    def metadata(self) -> dict[str, Any]:
        """For the scan."""
        if self.dose is None:
            return {}
        record = {"dose": self.dose, "photons": self.dose * self.exposure.photons}
        if self.exposure.bowtie_mm is not None:
            record["bowtie_mm"] = self.exposure.bowtie_mm
        return record | {
            "electronic_noise": self.exposure.electronic_noise,
            "noise_seed": self.seed,
            "readings_without_photons": self.starved.empty,
            "readings_raised": self.starved.raised,
        }


class BlockNoise:
    """The noise of a block of views, whose random numbers follow from the seed and the block's number.

    scan: of the whole scan; starved: readings of this block.
    """

    def __init__(self, scan: ScanNoise, views: slice, number: int) -> None:
        from sinograd.physics import Starved

        self._scan, self._views, self.starved = scan, views, Starved(FLOOR)
        self._more: Any = {"floor": FLOOR, "generator": _numbers(scan.seed, number), "return_counts": True}

    @property
    def is_drawn(self) -> bool:
        """Whether there is a dose."""
        return self._scan.dose is not None

    def lowered(self, measured: torch.Tensor) -> torch.Tensor:
        """Line integrals of dose 1 at the lower dose."""
        from sinograd.physics import low_dose

        scan = self._scan
        dose, noise = 1.0 if scan.dose is None else scan.dose, scan.exposure.electronic_noise
        photons = scan.photons if scan.measured is None else scan.measured[self._views]
        return self.starved.counted(low_dose(measured, dose, photons, noise, **self._more))

    def noisy(self, exact: torch.Tensor) -> torch.Tensor:
        """Exact line integrals with the noise of the dose, if there is one."""
        if self._scan.dose is None:
            return exact
        from sinograd.physics import add_photon_noise

        photons, noise = self._scan.dose * self._scan.photons, self._scan.exposure.electronic_noise
        return self.starved.counted(add_photon_noise(exact, photons, noise, **self._more))

    def drawn(self, fractions: torch.Tensor) -> torch.Tensor:
        """Photons of mean fractions of the unattenuated ones; the means themselves where there is no dose."""
        from sinograd.physics.draws import poisson

        mean = fractions * self._scan.unattenuated
        return mean if self._scan.dose is None else poisson(mean, self._more["generator"])

    def drawn_signals(self, beam: SpectralBeam, lengths: torch.Tensor, through: Any) -> torch.Tensor:
        """Signals of a beam of many energies likewise, in mean photons of the unattenuated beam; see
        `SpectralBeam.readings` for `through`."""
        scale = self._scan.unattenuated / self._scan.exposure.photons
        signals = beam.readings(lengths, scale, generator=self._more["generator"], through=through)
        return signals * (beam.photons / beam.unattenuated)

    def spectral(self, beam: SpectralBeam, lengths: torch.Tensor) -> torch.Tensor:
        """Line integrals of path lengths in a beam of many energies, with the noise of the dose, if there is one."""
        scan = self._scan
        if scan.dose is None:
            return beam.line_integrals(lengths)
        return self.starved.counted(
            beam.noisy_line_integrals(
                lengths,
                scan.dose * scan.photons / scan.exposure.photons,
                electronic_noise=scan.exposure.electronic_noise,
                floor=FLOOR,
                generator=self._more["generator"],
            )
        )


def _numbers(seed: int, number: int) -> torch.Generator:
    """The random numbers of a block; those of the first, which is all of a small scan, are the seed's own."""
    import torch

    if number == 0:
        return torch.Generator().manual_seed(seed)
    return torch.Generator().manual_seed(derived_seed(seed, f"noise/{number}"))


def derived_seed(seed: int, what: str) -> int:
    """A seed for something else that follows from the scan's."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{what}".encode()).digest()[:8], "little") >> 1


def own_photons(scan: Scan, photons: float | None, bowtie_mm: float | None) -> Any:
    """The photons of every view and column that a scan states, unless the option says how many; else None."""
    own = None if scan.calibration is None else scan.calibration.photons
    if own is None or photons is not None:
        return None
    if bowtie_mm:
        raise InputError(
            f"`bowtie_mm`: {scan.name} states the photons of every column, behind its own filter; `photons` replaces "
            "them"
        )
    return own
