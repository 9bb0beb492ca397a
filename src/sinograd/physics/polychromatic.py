"""What a detector reads behind materials in a beam of many energies: Beer-Lambert, bin by bin."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import number, positive, without_gradients
from sinograd.physics.attenuation import attenuation
from sinograd.physics.draws import poisson
from sinograd.physics.materials import Material
from sinograd.physics.noise_arguments import check_generator
from sinograd.physics.response import DetectorResponse
from sinograd.physics.spectrum import Spectrum


class SpectralBeam:
    """A spectrum, a detector and the materials between them: signals of path lengths.

    Args:
        spectrum: `photons` are those that reach a detector element in one view without an object.
        materials: by name, or as `Material`.
        detector: "integrating", "counting" or a `DetectorResponse`.

    Raises:
        ValueError: unknown materials, or a detector that absorbs no photon of the spectrum.
    """

    def __init__(
        self,
        spectrum: Spectrum,
        materials: Sequence[str | Material],
        detector: str | DetectorResponse = "integrating",
    ) -> None:
        if not isinstance(spectrum, Spectrum):
            raise InputTypeError(f"spectrum must be a Spectrum, got {type(spectrum).__name__}")
        self.spectrum, self.materials, self.detector = spectrum, tuple(materials), DetectorResponse.of(detector)
        absorbed = spectrum.photons * self.detector.absorbed(spectrum.energies)
        seen = absorbed > 0
        if not seen.any():
            raise InputError("the detector absorbs no photon of the spectrum")
        kev = spectrum.energies[seen]
        self._photons, self._weights = absorbed[seen], self.detector.weight(kev)  # [bins]
        mu = np.array([attenuation(material, kev) for material in self.materials])
        self._mu = mu.reshape(len(self.materials), len(kev))

    @property
    def photons(self) -> float:
        """Photons that the detector absorbs without an object."""
        return float(self._photons.sum())

    @property
    def unattenuated(self) -> float:
        """Mean signal without an object: keV of an integrating detector, photons of a counting one."""
        return float((self._photons * self._weights).sum())

    @property
    def attenuations(self) -> np.ndarray:
        """Of each material in each bin, 1/mm; [materials, bins]."""
        return self._mu

    def effective_attenuation(self) -> np.ndarray:
        """Attenuation of each material by an infinitely thin layer, 1/mm; [materials]."""
        signal = self._photons * self._weights
        return (self._mu * signal).sum(-1) / signal.sum()

    def signal(self, lengths: Tensor) -> Tensor:
        """Mean signal, sum of photons x weight x exp(-attenuation . lengths); differentiable in the lengths.

        Args:
            lengths: mm in each material, [materials, ...], float32 or float64; worked on in float64.

        Raises:
            TypeError, ValueError: no such tensor, another number of materials, lengths that are not finite.
        """
        return self._sum(self._checked(lengths), self._photons * self._weights)

    def variance(self, lengths: Tensor) -> Tensor:
        """Of a reading: photons are Poisson, so the sum of photons x weight^2 x exp(-attenuation . lengths)."""
        return self._sum(self._checked(lengths), self._photons * self._weights**2)

    def line_integrals(self, lengths: Tensor) -> Tensor:
        """-log(signal / unattenuated) without noise; of the lengths' dtype, differentiable in them.

        Finite for every length: the exponential of the least attenuated bin is taken out of the sum.
        """
        checked = self._checked(lengths)
        exponents = (torch.tensordot(mu, checked.detach(), 1) for mu in self._attenuations())
        least = functools.reduce(torch.minimum, exponents)
        signal = self._sum(checked, self._photons * self._weights, least)
        return (least - (signal / self.unattenuated).log()).to(lengths.dtype)

    @torch.no_grad()
    def readings(
        self,
        lengths: Tensor,
        scale: float | Tensor = 1.0,
        *,
        generator: torch.Generator | None = None,
        through: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Drawn signals: a Poisson number of photons in every bin, each with its weight; float64, like `signal`.

        Args:
            scale: of the spectrum's photons; a number, or what broadcasts to [...] (bowtie, tube current).
            generator: to draw from; the same one gives the same noise.
            through: makes of the transmitted fractions of a bin those that reach the detector (blur, scatter).
        """
        check_generator(generator)
        without_gradients(scale, "scale")
        checked = self._checked(lengths)
        total = torch.zeros_like(checked[0])
        factor = torch.as_tensor(scale, dtype=torch.float64)
        for photons, weight, mu in zip(
            self._photons.tolist(), self._weights.tolist(), self._attenuations(), strict=True
        ):
            fractions = torch.exp(-torch.tensordot(mu, checked, 1))
            expected = photons * factor * (fractions if through is None else through(fractions))
            total += weight * poisson(expected, generator)
        return total

    def noisy_line_integrals(
        self,
        lengths: Tensor,
        scale: float | Tensor = 1.0,
        *,
        electronic_noise: float = 0.0,
        floor: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(-log(reading / unattenuated), readings), readings in mean photons of the unattenuated beam.

        Args:
            scale: as `readings`.
            electronic_noise: standard deviation in such photons.
            floor: the least reading taken at its word, in such photons; less counts as this.
        """
        deviation, least = number(electronic_noise, "electronic_noise"), positive(floor, "floor")
        if deviation < 0:
            raise InputError(f"electronic_noise must not be negative, got {deviation:g}")
        counts = self.readings(lengths, scale, generator=generator) * (self.photons / self.unattenuated)
        if deviation:
            counts += deviation * torch.empty_like(counts).normal_(generator=generator)
        unattenuated = self.photons * torch.as_tensor(scale, dtype=torch.float64)
        noisy = -(counts.clamp(min=least) / unattenuated).log()
        return noisy.to(lengths.dtype), counts.to(lengths.dtype)

    def _attenuations(self) -> Tensor:
        """Of each bin, [bins, materials]."""
        return torch.from_numpy(self._mu.T.copy())

    def _sum(self, lengths: Tensor, factors: np.ndarray, less: Tensor | float = 0.0) -> Tensor:
        """Of factor x exp(less - attenuation . lengths), of checked lengths."""
        total = torch.zeros_like(lengths[0])
        for factor, mu in zip(factors.tolist(), self._attenuations(), strict=True):
            total = total + factor * torch.exp(less - torch.tensordot(mu, lengths, 1))
        return total

    def _checked(self, lengths: Tensor) -> Tensor:
        if not isinstance(lengths, Tensor) or lengths.dtype not in (torch.float32, torch.float64):
            raise InputTypeError("lengths must be a float32 or float64 tensor [materials, ...] in mm")
        if lengths.ndim < 1 or lengths.shape[0] != len(self.materials):
            raise InputError(
                f"lengths must be [materials, ...] of {len(self.materials)} materials, got {list(lengths.shape)}"
            )
        if not bool(torch.isfinite(lengths.detach()).all()):
            raise InputError("lengths must be finite")
        return lengths.to("cpu", torch.float64)
