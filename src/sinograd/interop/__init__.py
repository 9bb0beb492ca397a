"""Geometries of other toolkits, both ways, and their projectors as operators. One module a toolkit.

The conversions need none of these packages; the operators need theirs (they never come with sinograd). Each module
documents the conventions of its toolkit.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.interop.astra import AstraTransform, from_astra, to_astra
    from sinograd.interop.external import ExternalTransform
    from sinograd.interop.leap import from_leap, to_leap
    from sinograd.interop.pyronn import PyronnTransform, from_pyronn, to_pyronn
    from sinograd.interop.rtk import from_rtk_volume, read_rtk, to_rtk_volume, write_rtk
    from sinograd.interop.tigre import TigreGeometry, TigreTransform, from_tigre, to_tigre

__all__ = [
    "AstraTransform",
    "ExternalTransform",
    "PyronnTransform",
    "TigreGeometry",
    "TigreTransform",
    "from_astra",
    "from_leap",
    "from_pyronn",
    "from_rtk_volume",
    "from_tigre",
    "read_rtk",
    "to_astra",
    "to_leap",
    "to_pyronn",
    "to_rtk_volume",
    "to_tigre",
    "write_rtk",
]

attach(__name__)
