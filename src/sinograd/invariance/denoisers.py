"""Denoisers that models of invariances are trained for: controls, model files, and what pipelines have made.

A model of invariances belongs to one denoiser. Its file holds that denoiser, so that it is never used with another one.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from sinograd.config.regular_files import check_file
from sinograd.data.units import Conversion
from sinograd.errors import InputError
from sinograd.invariance.controls import Constant, LesionEraser, identity
from sinograd.invariance.sampling import Denoiser
from sinograd.models import DualDomainBilateral, load_model, read_model

Control = Literal["identity", "constant", "lesion-eraser"]
CONTROLS: dict[str, Callable[[], Denoiser]] = {
    "identity": lambda: identity,
    "constant": Constant,
    "lesion-eraser": LesionEraser,
}
PAIRED = "paired"  # its images are the targets of the pairs
_WATER = 0.0193  # 1/mm, of the datasets' simulated scans


@dataclass(frozen=True, eq=False)
class KnownDenoiser:
    """A denoiser with a name and, unless it exists in Python alone, a digest.

    Attributes:
        name: of a control, "paired", "own", or of the model's file.
        call: images [B, 1, Y, X] in HU to denoised ones; None: its images come with the data, as targets.
        sha256: of the model's file, or of the name of a control; "" of own ones.
        suffix, content: of the model's file; empty without one.
    """

    name: str
    call: Denoiser | None
    sha256: str = ""
    suffix: str = ""
    content: bytes = b""

    def check_same(self, other: KnownDenoiser, where: str) -> None:
        """InputError unless both are the same denoiser; `where` says what the other one belongs to."""
        if (self.name, self.sha256) != (other.name, other.sha256):
            mine, its = (f"{one.name} ({one.sha256[:12] or 'in Python'})" for one in (self, other))
            raise InputError(f"denoiser: {where} was trained for another denoiser, {its}, than {mine}")


def known_denoiser(choice: str | Path | Denoiser) -> KnownDenoiser:
    """A control by its name, "paired", the path of a model file or of a run's folder, or any callable.

    Models that were trained on volumes in 1/mm get theirs, with 0.0193 1/mm for water; those whose files say no unit
    are taken to work in HU.

    Raises:
        MissingFileError: no such file. InputError: no model of images, or a damaged file.
    """
    if not isinstance(choice, str | Path):
        return KnownDenoiser("own", choice)
    if str(choice) == PAIRED:
        return KnownDenoiser(PAIRED, None, _digest(PAIRED.encode()))
    if str(choice) in CONTROLS:
        return KnownDenoiser(str(choice), CONTROLS[str(choice)](), _digest(str(choice).encode()))
    path = _model_file(Path(choice))
    content = path.read_bytes()
    name = path.stem if path.stem != "model" else path.parent.name
    return KnownDenoiser(name, _of_file(path), _digest(content), path.suffix, content)


def denoiser_of_content(name: str, suffix: str, content: bytes) -> KnownDenoiser:
    """A denoiser from the bytes of its model's file; raises as `known_denoiser`."""
    if suffix not in (".pt", ".yaml", ".yml"):
        raise InputError(f"denoiser.suffix: expected .pt, .yaml or .yml, got {suffix!r}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"denoiser{suffix}"
        path.write_bytes(content)
        return KnownDenoiser(name, _of_file(path), _digest(content), suffix, content)


def _of_file(path: Path) -> Denoiser:
    model: Any = load_model(path).requires_grad_(False)
    if isinstance(model, DualDomainBilateral) or getattr(model, "starts_from", "") == "scans":
        raise InputError(f"denoiser: {path.name} starts from projections: expected its images as targets, {PAIRED}")
    if any(getattr(layer, "ndim", 2) == 3 for layer in model.modules()):
        raise InputError(f"denoiser: {path.name} is for volumes: expected its images as targets, {PAIRED}")
    unit = read_model(path).trained_on.get("unit", "HU")
    if unit not in ("HU", "1/mm"):
        raise InputError(f"denoiser: expected a model of volumes in HU or 1/mm, {path.name} was trained in {unit!r}")
    return _InHu(model, unit)


class _InHu:
    """A model on images in HU, in its own unit inside."""

    def __init__(self, model: Any, unit: Literal["HU", "1/mm"]) -> None:
        self.model = model
        self._before, self._after = Conversion("HU", unit, _WATER), Conversion(unit, "HU", _WATER)

    def __call__(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._after(self.model.to(x.device)(self._before(x)))


def _model_file(path: Path) -> Path:
    if path.is_dir():
        path = next((path / name for name in ("model.pt", "model.yaml") if (path / name).is_file()), path / "model.pt")
    known = ", ".join([*CONTROLS, PAIRED])
    check_file(path, f"denoiser: no model file at {path}; expected one, a run's folder, or {known}")
    return path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
