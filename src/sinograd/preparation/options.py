"""What is to be done with a scan before it is reconstructed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

import numpy as np

from sinograd.choices import STRIPE_METHODS
from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import some
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks
from sinograd.geometry.regions import check_binning, check_span
from sinograd.physics.lag import Lag
from sinograd.preparation.shifts import EDGES
from sinograd.preparation.stripes.remove import DEFAULT_METHOD

# Options of several numbers.
WHAT = {
    "beam_hardening": "numbers (c1, c2, ...)",
    "lag": "numbers (b1, a1, b2, a2, ...)",
    "phase": "numbers (delta / beta, mm, keV)",
}
SHIFTS = ("interpolate", "geometry", "ignore")


@dataclass(frozen=True)
class Preparation:
    """Options of `prepare`, plain values; in the order in which they are applied.

    rows, columns: (first, end) of the detector that is used, the end excluded; None: all.
    unattenuated: counts without object, above the dark's, for scans of counts without a reference.
    repair: fill dead and hot elements of the detector from their neighbours (`find_defects`).
    dead, hot: an element is dead if its response is at most `dead`, hot if it is more than `hot` times that of its
        neighbours.
    saturation: counts from which a reading is saturated: a lower bound, filled from the level of the air. None: what
        the file states (metadata["saturation"]), else the largest reading where readings pile up at it, else the
        largest value of a stored type of 8 or 16 bits, except where the open beam is expected to be just there.
    binning: elements joined along (a column, a row), or along both; by means of transmitted fractions.
    lag: (b1, a1, b2, a2, ...): the detector's lag, amplitudes and rates per view (`physics.Lag`); empty: none.
    scatter: of the mean reading of each view, the share that is the same everywhere and no primary beam; 0: none.
    phase: (delta / beta, mm from the object to the detector, keV) of Paganin's filter (`paganin`); empty: none.
    smallest: the smallest transmitted fraction that is believed. Readings of zero and below become the mean of their
        neighbours; what is smaller is raised to it.
    air: (first, end) columns beside the object in every view: each view is scaled so that their mean line integral is
        zero, which takes out the drift of the beam. Counted on the whole detector, before binning.
    beam_hardening: (c1, c2, ...): line integrals p become c1 p + c2 p^2 + ...; empty: nothing.
    rings: reduce rings (`remove_stripes`): the name of a method, True for the default one, False or "none" for none.
    ring_width, ring_limit: columns, and line integrals: the widest and the largest constant errors that are reduced, by
        methods that do so ("combined", "constant").
    shifts: what is done with the views' shifts: "interpolate" moves the projections (`shift_projections`), "geometry"
        leaves them and moves the detector of each view instead, which loses nothing; "ignore".
    edges: what shifts bring in from beyond the detector: "nearest" or "zero".
    """

    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    unattenuated: float | None = None
    repair: bool = True
    dead: float = 0.3
    hot: float = 2.0
    saturation: float | None = None
    binning: int | tuple[int, int] = 1
    lag: tuple[float, ...] = ()
    scatter: float = 0.0
    phase: tuple[float, ...] = ()
    smallest: float = 1e-5
    air: tuple[int, int] | None = None
    beam_hardening: tuple[float, ...] = ()
    rings: bool | str = False
    ring_width: float = 4.0
    ring_limit: float | None = 1.0
    shifts: str = "interpolate"
    edges: str = "nearest"

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "air"):
            object.__setattr__(self, name, check_span(getattr(self, name), name))
        factors = check_binning(self.binning)
        object.__setattr__(self, "binning", factors if checks.is_sequence(self.binning) else factors[1])
        for name in ("beam_hardening", "lag", "phase"):
            object.__setattr__(self, name, _numbers(getattr(self, name), name))
        if self.lag:
            Lag(self.lag[::2], self.lag[1::2])
        if self.phase and not (len(self.phase) == 3 and min(self.phase) > 0):
            raise InputError(f"phase: expected three positive numbers, delta / beta, mm and keV, got {self.phase}")
        for name in ("unattenuated", "dead", "hot", "saturation", "scatter", "smallest", "ring_width", "ring_limit"):
            value = checks.scalar(getattr(self, name))
            missing = value is None and name in ("unattenuated", "saturation", "ring_limit")
            if isinstance(value, bool) or not (missing or isinstance(value, Real)):
                raise InputTypeError(f"{name} must be a number, got {value!r:.40} ({type(value).__name__})")
        if not isinstance(self.repair, bool | np.bool_):
            raise InputTypeError(f"repair must be True or False, got {self.repair!r:.40}")
        object.__setattr__(self, "rings", _rings(self.rings))
        for name, allowed in (("shifts", SHIFTS), ("edges", EDGES)):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not 0 < self.smallest < 1:
            raise InputError(f"smallest: expected a transmitted fraction in (0, 1), got {self.smallest}")
        for name in ("unattenuated", "saturation"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name}: expected positive counts or None, got {value}")
        if not 0 <= self.scatter < 1:
            raise InputError(f"scatter: expected a share in [0, 1), got {self.scatter}")
        if not self.ring_width >= 1:
            raise InputError(f"ring_width: expected at least 1 column, got {self.ring_width}")
        if self.ring_limit is not None and not self.ring_limit > 0:
            raise InputError(f"ring_limit: expected a positive error or None, got {self.ring_limit}")
        if not 0 <= self.dead < 1 < self.hot:
            raise InputError(f"dead, hot: expected 0 <= dead < 1 < hot, got {self.dead}, {self.hot}")

    @property
    def ring_method(self) -> str | None:
        """The method of ring removal; None for none."""
        if isinstance(self.rings, str):
            return self.rings
        return DEFAULT_METHOD if self.rings else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as YAML holds them; only those that are not the default."""
        plain = {f.name: f.default for f in fields(self)}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if value != plain[key]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preparation:
        """The options that `to_dict` gave.

        Raises:
            TypeError, ValueError: unknown keys, wrong values; names them.
        """
        if not isinstance(data, Mapping):
            raise InputTypeError(f"a preparation is a mapping of keys to values, got {data!r:.40}")
        names = [f.name for f in fields(cls)]
        unknown = [str(key) for key in data if key not in names]
        if unknown:
            hint = did_you_mean(unknown, names)
            raise InputError(f"unknown preparation key {some(unknown)}; allowed: {', '.join(names)}{hint}")
        return cls(**data)


def _rings(value: object) -> bool | str:
    """True, False or the name of a method; "none" is False."""
    names = STRIPE_METHODS.names()
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if value == "none":
        return False
    if not isinstance(value, str) or value not in names:
        raise (InputError if isinstance(value, str) else InputTypeError)(
            f"rings must be True or False, or one of none, {', '.join(names)}, got {value!r:.40}"
        )
    return value


def _numbers(values: object, name: str) -> tuple[float, ...]:
    """As plain numbers."""
    items = checks.entries(values, name, WHAT[name])
    return tuple(checks.number(item, f"{name}[{i}]") for i, item in enumerate(items))
