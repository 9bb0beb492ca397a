"""The unit of volumes that sinograd 0.1.0 wrote: it stamped "1/mm" on all of them.

What it reconstructed, simulated, or was given by `write_volume` is attenuation. What it converted or denoised is in the
unit of the volume that it read, which the file does not tell; so are volumes without provenance (converted ones).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sinograd.errors import UnitWarning

_UNTRUSTED = ("convert", "denoise")


def trusted_record(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a file of 0.1.0, without its unit where that is not trusted.

    Warns:
        UnitWarning: the unit is left out; says how to state it.
    """
    provenance = record.get("provenance")
    command = provenance.get("command") if isinstance(provenance, Mapping) else None
    words = command.split() if isinstance(command, str) else []
    partial = isinstance(provenance, Mapping) and "done" in provenance  # of an interrupted reconstruction
    if partial or (words and not any(word in words for word in _UNTRUSTED)) or "unit" not in record:
        return dict(record)
    how = f"`{command}`, which" if words else "a command that it does not name, and that"
    warnings.warn(
        f"{path} was written by sinograd 0.1.0 with {how} called every volume 1/mm: its unit is taken as unknown; "
        "`unit='HU'` (or '1/mm', 'mg/cm3', '1') states it",
        UnitWarning,
        stacklevel=2,
    )
    return {name: value for name, value in record.items() if name != "unit"}
