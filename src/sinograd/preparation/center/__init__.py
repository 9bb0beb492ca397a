"""The centre of rotation, found from the projections."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.errors import CenterWarning
    from sinograd.preparation.center.find import Center, find_center

__all__ = ["Center", "CenterWarning", "find_center"]

attach(__name__)
