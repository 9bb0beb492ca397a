"""Preparation: raw counts to line integrals, as functions of tensors and for whole scans."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.errors import CenterWarning, PreparationWarning
    from sinograd.preparation.beam_hardening import beam_hardening_polynomial, correct_beam_hardening
    from sinograd.preparation.center import Center, find_center
    from sinograd.preparation.defects import Defects, find_defects, repair
    from sinograd.preparation.empirical_hardening import (
        consistent_polynomial,
        flat_polynomial,
        segmented_polynomial,
    )
    from sinograd.preparation.field_of_view import field_of_view_mask, field_of_view_radii, mask_field_of_view_
    from sinograd.preparation.lag import correct_lag
    from sinograd.preparation.logarithm import negative_logarithm
    from sinograd.preparation.metal import MetalReplacement, Replaced, replace_metal
    from sinograd.preparation.options import Preparation
    from sinograd.preparation.phase import paganin
    from sinograd.preparation.prepare import prepare
    from sinograd.preparation.rebinning import rebin
    from sinograd.preparation.references import interpolate_references, transmission
    from sinograd.preparation.region import bin_elements, crop
    from sinograd.preparation.rings import remove_rings
    from sinograd.preparation.sample_drift import correct_dose_drift, find_sample_drift
    from sinograd.preparation.scatter import (
        BeamStopScatter,
        KernelScatter,
        ScatterModel,
        UniformScatter,
        correct_scatter,
        fit_scatter_kernel,
    )
    from sinograd.preparation.shifts import shift_projections, unmeasured_edges
    from sinograd.preparation.spectral_hardening import spectral_polynomial
    from sinograd.preparation.stripes import remove_stripes
    from sinograd.preparation.trained_hardening import BeamHardening
    from sinograd.preparation.two_materials import TwoMaterials, correct_two_materials

__all__ = [
    "BeamHardening",
    "BeamStopScatter",
    "Center",
    "CenterWarning",
    "Defects",
    "KernelScatter",
    "MetalReplacement",
    "Preparation",
    "PreparationWarning",
    "Replaced",
    "ScatterModel",
    "TwoMaterials",
    "UniformScatter",
    "beam_hardening_polynomial",
    "bin_elements",
    "consistent_polynomial",
    "correct_beam_hardening",
    "correct_dose_drift",
    "correct_lag",
    "correct_scatter",
    "correct_two_materials",
    "crop",
    "field_of_view_mask",
    "field_of_view_radii",
    "find_center",
    "find_defects",
    "find_sample_drift",
    "fit_scatter_kernel",
    "flat_polynomial",
    "interpolate_references",
    "mask_field_of_view_",
    "negative_logarithm",
    "paganin",
    "prepare",
    "rebin",
    "remove_rings",
    "remove_stripes",
    "repair",
    "replace_metal",
    "segmented_polynomial",
    "shift_projections",
    "spectral_polynomial",
    "transmission",
    "unmeasured_edges",
]

attach(__name__)
