"""Checked arguments of `simulate`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.choices import DETECTOR_RESPONSES, PHANTOMS
from sinograd.errors import InputError, InputTypeError
from sinograd.workflows.exposure import check_exposure
from sinograd.workflows.scan_effects import ScanEffects
from sinograd.workflows.spectral import check_filter
from sinograd.workflows.values import Where, number, numbers, path_or_none, switch

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.physics import Spectrum


@dataclass(frozen=True, kw_only=True)
class SimulationRequest:
    """Checked arguments of `simulate`; None leaves the choice to the phantom."""

    source: Scan | str
    output: Path | None
    dose: float | None
    photons: float | None
    electronic_noise: float | None
    bowtie_mm: float | None
    noiseless: bool
    spectrum: Spectrum | str | os.PathLike[str] | None
    filter: str | None
    response: str
    effects: ScanEffects
    seed: int
    scanner: Geometry | str | os.PathLike[str] | None
    views: int | None
    detector: tuple[int, ...] | None
    size_mm: float | None
    voxel_mm: float | None
    shape: tuple[int, ...] | None
    truth: Path | None
    where: Where
    force: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> SimulationRequest:
        """The request of the arguments of `simulate`; InputError or InputTypeError, which name them."""
        from sinograd.data import Scan

        source = arguments["source"]
        if not isinstance(source, Scan | str | os.PathLike):
            raise InputTypeError(f"`source`: expected a file, a phantom or a Scan, got a {type(source).__name__}")
        checked: dict[str, Any] = {
            "source": source if isinstance(source, Scan) else os.fspath(source),
            "output": path_or_none(arguments["output"], "output"),
            "truth": path_or_none(arguments["truth"], "truth"),
            "detector": numbers(arguments["detector"], int, "detector"),
            "shape": numbers(arguments["shape"], int, "shape"),
            "where": Where.of(arguments),
            "effects": ScanEffects.of(arguments),
        }
        for name in ("dose", "photons", "electronic_noise", "bowtie_mm", "size_mm", "voxel_mm"):
            checked[name] = number(arguments[name], name)
        for name in ("seed", "views"):
            checked[name] = number(arguments[name], name, whole=True)
        for name in ("noiseless", "force"):
            checked[name] = switch(arguments[name], name)
        names = cls.__dataclass_fields__
        request = cls(**{name: checked[name] if name in checked else arguments[name] for name in names})
        request._check()
        return request

    @property
    def name(self) -> str:
        """The source in messages."""
        return self.source if isinstance(self.source, str) else self.source.name

    @property
    def is_scan(self) -> bool:
        """Whether the source is a scan, not a phantom; InputError for neither."""
        if not isinstance(self.source, str):
            return True
        path = Path(self.source)
        if path.is_file() or (path.exists() and self.source not in PHANTOMS):
            return True
        if self.source not in PHANTOMS:
            phantoms = ", ".join(PHANTOMS.names())
            raise InputError(f"{self.source!r} is neither a file nor a phantom; the phantoms are {phantoms}")
        return False

    def options(self) -> dict[str, Any]:
        """For the record."""
        apart = ("where", "effects")
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in apart}
        named |= {"source": self.name, **self.effects.record()}
        return {name: value if _is_plain(value) else repr(value) for name, value in named.items()}

    def _check(self) -> None:
        if self.seed is None:
            raise InputError("`seed`: expected a whole number, got None")
        if self.truth is not None and self.output is not None and self.truth.resolve() == self.output.resolve():
            raise InputError(f"`output` and `truth` are the same file: {self.output}")
        check_filter(self.filter, self.spectrum)
        if self.response not in DETECTOR_RESPONSES:
            raise InputError(f"`response` must be {' or '.join(DETECTOR_RESPONSES)}, got {self.response!r}")
        check_exposure(self.photons, self.electronic_noise, self.bowtie_mm)
        if self.dose is not None and not 0 < self.dose <= 1:
            raise InputError(f"`dose` must be in (0, 1], got {self.dose:g}")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | tuple | os.PathLike)
