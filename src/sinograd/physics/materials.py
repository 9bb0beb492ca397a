"""Materials: what elements they are made of, by mass, and how dense they are."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sinograd.config.near_keys import did_you_mean
from sinograd.errors import InputError, InputTypeError, MissingPackageError
from sinograd.geometry.checks import positive

# Name: (density in g/cm^3, formula or parts by mass). Tissues are ICRU-44's, plastics and air those of NIST's tables of
# x-ray mass attenuation coefficients (Hubbell and Seltzer, NISTIR 5632, tables 1 and 2).
_KNOWN: dict[str, tuple[float, str | dict[str, float]]] = {
    "water": (1.0, "H2O"),
    "air": (1.205e-3, {"C": 0.000124, "N": 0.755268, "O": 0.231781, "Ar": 0.012827}),
    "adipose": (
        0.95,
        {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278, "Na": 0.001, "S": 0.001, "Cl": 0.001},
    ),
    "blood": (
        1.06,
        {"H": 0.102, "C": 0.110, "N": 0.033, "O": 0.745, "Na": 0.001, "P": 0.001, "S": 0.002, "Cl": 0.003}
        | {"K": 0.002, "Fe": 0.001},
    ),
    "bone": (
        1.92,
        {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003}
        | {"Ca": 0.225},
    ),
    "muscle": (
        1.05,
        {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.710, "Na": 0.001, "P": 0.002, "S": 0.003, "Cl": 0.001}
        | {"K": 0.004},
    ),
    "soft tissue": (
        1.06,
        {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.708, "Na": 0.002, "P": 0.003, "S": 0.003, "Cl": 0.002}
        | {"K": 0.003},
    ),
    "hydroxyapatite": (3.16, "Ca5P3O13H"),
    "pmma": (1.19, "C5H8O2"),
    "polycarbonate": (1.20, "C16H14O3"),
    "polyethylene": (0.93, "C2H4"),
    "polystyrene": (1.06, "C8H8"),
    "ptfe": (2.25, "C2F4"),
    "caesium iodide": (4.51, "CsI"),
    "cadmium telluride": (6.20, "CdTe"),
    "gadolinium oxysulfide": (7.44, "Gd2O2S"),
    "aluminium": (2.699, "Al"),
    "titanium": (4.54, "Ti"),
    "iron": (7.874, "Fe"),
    "copper": (8.96, "Cu"),
    "molybdenum": (10.22, "Mo"),
    "silver": (10.50, "Ag"),
    "tin": (7.31, "Sn"),
    "tungsten": (19.30, "W"),
    "gold": (19.32, "Au"),
    "lead": (11.35, "Pb"),
}
_SAME = {"cortical bone": "bone", "acrylic": "pmma", "plexiglas": "pmma", "teflon": "ptfe", "aluminum": "aluminium"} | {
    "fat": "adipose",
    "cesium iodide": "caesium iodide",
}
_FORMULAS = {parts: name for name, (_, parts) in _KNOWN.items() if isinstance(parts, str)}


@dataclass(frozen=True)
class Material:
    """Elements by mass, and a density.

    Args:
        name: for messages.
        parts: mass of each element by its symbol; any positive numbers, which are scaled to a sum of one.
        density: g/cm^3.

    Raises:
        ValueError: no parts, an unknown element, or numbers that are not positive.
    """

    name: str
    parts: Mapping[str, float]
    density: float

    def __post_init__(self) -> None:
        if not isinstance(self.parts, Mapping) or not self.parts:
            raise InputError(f"parts of {self.name}: expected masses by element, as {{'H': 2, 'O': 16}}")
        masses = {_element(symbol): positive(mass, f"parts[{symbol!r}]") for symbol, mass in self.parts.items()}
        total = sum(masses.values())
        object.__setattr__(self, "parts", {symbol: mass / total for symbol, mass in masses.items()})
        object.__setattr__(self, "density", positive(self.density, f"density of {self.name}"))

    @classmethod
    def of(cls, material: str | Material, density: float | None = None) -> Material:
        """A material by its name ("water", "bone"), an element's symbol ("Cu") or a formula with a density.

        Args:
            material: a name of `material_names()`, whatever its case; a symbol; a formula, as "Ca5(PO4)3OH"; or a
                material, which stays as it is.
            density: g/cm^3, instead of the known one; formulas that are not in the list need it.

        Raises:
            ValueError: an unknown name (the message has near ones), or a formula without a density.
            ImportError: an element or a formula that is not in the list, and xraydb is not installed.
        """
        if isinstance(material, Material):
            return material if density is None else cls(material.name, material.parts, density)
        if not isinstance(material, str):
            raise InputTypeError(f"material must be a name, a formula or a Material, got {type(material).__name__}")
        text = " ".join(material.replace("_", " ").replace("-", " ").split())
        name = _SAME.get(text.casefold(), text.casefold())
        name = _FORMULAS.get(text, name)
        if name in _KNOWN:
            known, parts = _KNOWN[name]
            return cls(name, _masses(parts), known if density is None else density)
        parts = _formula(text)
        if density is None and len(parts) == 1:
            density = float(xraydb().atomic_density(next(iter(parts))))
        if density is None:
            raise InputError(f"density is missing: the formula {text} does not say how dense the material is (g/cm^3)")
        return cls(text, parts, density)


def material_names() -> list[str]:
    """The materials that are known by name; elements are known by their symbols besides."""
    return sorted(_KNOWN)


def xraydb() -> ModuleType:
    """The package xraydb, from which attenuation comes; ImportError that names the extra where it is missing."""
    if importlib.util.find_spec("xraydb") is None:
        raise MissingPackageError(
            "attenuation of materials needs xraydb: pip install 'sinograd[spectra]'", name="xraydb"
        )
    import xraydb as package  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    return package


def _masses(parts: str | dict[str, float]) -> dict[str, float]:
    return _formula(parts) if isinstance(parts, str) else parts


def _formula(text: str) -> dict[str, float]:
    """Mass of each element of a formula; InputError with near names for what is none."""
    package: Any = xraydb()
    try:
        atoms = package.chemparse(text)
        return {symbol: count * float(package.atomic_mass(symbol)) for symbol, count in atoms.items()}
    except Exception as error:  # its parser raises several kinds
        near = did_you_mean([text], [*_KNOWN, *_SAME])
        names = "" if near else f"; materials are {', '.join(material_names())}, elements (Cu) and formulas"
        raise InputError(f"unknown material {text!r}{near or names}") from error


def _element(symbol: object) -> str:
    package: Any = xraydb()
    try:
        number = package.atomic_number(symbol)
    except Exception:
        number = None
    if not isinstance(symbol, str) or not number or symbol != package.atomic_symbol(number):
        raise InputError(f"unknown element {symbol!r}: expected a symbol, as 'Ca'")
    return symbol
