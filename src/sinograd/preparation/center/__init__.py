"""The centre of rotation, found from the projections."""

from sinograd.errors import CenterWarning
from sinograd.preparation.center.find import Center, find_center

__all__ = ["Center", "CenterWarning", "find_center"]
