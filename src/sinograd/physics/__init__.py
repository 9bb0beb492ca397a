"""Beer-Lambert, materials and spectra, photon noise, lower doses, Hounsfield units."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.data.units import attenuation_from_hounsfield, hounsfield_from_attenuation
    from sinograd.physics.attenuation import attenuation
    from sinograd.physics.beer_lambert import line_integrals_from_transmission, transmission_from_line_integrals
    from sinograd.physics.blur import blur_detector, blur_focal_spot
    from sinograd.physics.bowtie import bowtie_transmission
    from sinograd.physics.faulty_pixels import FaultyPixels
    from sinograd.physics.lag import Lag, add_lag
    from sinograd.physics.lower_dose import low_dose
    from sinograd.physics.materials import Material, material_names
    from sinograd.physics.photon_noise import add_photon_noise, photon_counts
    from sinograd.physics.polychromatic import SpectralBeam
    from sinograd.physics.readings import Starved, made_by_views, view_slices, views_of_readings
    from sinograd.physics.response import DetectorResponse
    from sinograd.physics.single_scatter import single_scatter
    from sinograd.physics.spectrum import Spectrum

__all__ = [
    "DetectorResponse",
    "FaultyPixels",
    "Lag",
    "Material",
    "SpectralBeam",
    "Spectrum",
    "Starved",
    "add_lag",
    "add_photon_noise",
    "attenuation",
    "attenuation_from_hounsfield",
    "blur_detector",
    "blur_focal_spot",
    "bowtie_transmission",
    "hounsfield_from_attenuation",
    "line_integrals_from_transmission",
    "low_dose",
    "made_by_views",
    "material_names",
    "photon_counts",
    "single_scatter",
    "transmission_from_line_integrals",
    "view_slices",
    "views_of_readings",
]

attach(__name__)
