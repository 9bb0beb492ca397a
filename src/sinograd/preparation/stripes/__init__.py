"""Stripes of sinograms, which reconstruct as rings: the published families of methods, by name."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.preparation.stripes.remove import remove_stripes

__all__ = ["remove_stripes"]

attach(__name__)
