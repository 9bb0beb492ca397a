"""The noise of a simulated scan: its photons, random numbers and starved readings."""

from __future__ import annotations

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
    """Photons, random numbers and starved readings of a scan.

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
        self._measured = None if measured is None else torch.from_numpy(measured.copy())
        self._more: Any = {
            "floor": FLOOR,
            "generator": torch.Generator().manual_seed(seed),
            "return_counts": True,
        }

    def lowered(self, measured: torch.Tensor, views: slice) -> torch.Tensor:
        """Line integrals of dose 1 at the lower dose, of some views."""
        from sinograd.physics import low_dose

        dose, noise = 1.0 if self.dose is None else self.dose, self.exposure.electronic_noise
        photons = self.photons if self._measured is None else self._measured[views]
        return self.starved.counted(low_dose(measured, dose, photons, noise, **self._more))

    def noisy(self, exact: torch.Tensor) -> torch.Tensor:
        """Exact line integrals with the noise of the dose, if there is one."""
        if self.dose is None:
            return exact
        from sinograd.physics import add_photon_noise

        photons, noise = self.dose * self.photons, self.exposure.electronic_noise
        return self.starved.counted(add_photon_noise(exact, photons, noise, **self._more))

    def spectral(self, beam: SpectralBeam, lengths: torch.Tensor) -> torch.Tensor:
        """Line integrals of path lengths in a beam of many energies, with the noise of the dose, if there is one."""
        if self.dose is None:
            return beam.line_integrals(lengths)
        return self.starved.counted(
            beam.noisy_line_integrals(
                lengths,
                self.dose * self.photons / self.exposure.photons,
                electronic_noise=self.exposure.electronic_noise,
                floor=FLOOR,
                generator=self._more["generator"],
            )
        )

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
