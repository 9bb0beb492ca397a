"""The centre of rotation, found from the projections."""

from sinograd.preparation.center.find import Center, CenterWarning, find_center

__all__ = ["Center", "CenterWarning", "find_center"]
