"""Preparation: raw counts to line integrals, as functions of tensors and for whole scans."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.errors import CenterWarning, PreparationWarning
    from sinograd.preparation.beam_hardening import beam_hardening_polynomial, correct_beam_hardening
    from sinograd.preparation.center import Center, find_center
    from sinograd.preparation.defects import Defects, find_defects, repair
    from sinograd.preparation.field_of_view import field_of_view_mask, field_of_view_radii, mask_field_of_view_
    from sinograd.preparation.logarithm import negative_logarithm
    from sinograd.preparation.options import Preparation
    from sinograd.preparation.prepare import prepare
    from sinograd.preparation.rebinning import rebin
    from sinograd.preparation.references import interpolate_references, transmission
    from sinograd.preparation.region import bin_elements, crop
    from sinograd.preparation.rings import remove_rings
    from sinograd.preparation.shifts import shift_projections, unmeasured_edges

__all__ = [
    "Center",
    "CenterWarning",
    "Defects",
    "Preparation",
    "PreparationWarning",
    "beam_hardening_polynomial",
    "bin_elements",
    "correct_beam_hardening",
    "crop",
    "field_of_view_mask",
    "field_of_view_radii",
    "find_center",
    "find_defects",
    "interpolate_references",
    "mask_field_of_view_",
    "negative_logarithm",
    "prepare",
    "rebin",
    "remove_rings",
    "repair",
    "shift_projections",
    "transmission",
    "unmeasured_edges",
]

attach(__name__)
