"""The nouns of the package: scans, volumes, units and provenance."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.data.calibration import Calibration
    from sinograd.data.provenance import make_provenance, software_version
    from sinograd.data.scan import Scan
    from sinograd.data.sources import VolumeSource
    from sinograd.data.units import UNITS
    from sinograd.data.volume import Volume

__all__ = ["UNITS", "Calibration", "Scan", "Volume", "VolumeSource", "make_provenance", "software_version"]

attach(__name__)
