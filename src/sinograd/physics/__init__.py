"""Beer-Lambert, photon noise, Hounsfield units."""

from sinograd.physics.beer_lambert import line_integrals_from_transmission, transmission_from_line_integrals
from sinograd.physics.hounsfield import attenuation_from_hounsfield, hounsfield_from_attenuation
from sinograd.physics.photon_noise import add_photon_noise, photon_counts

__all__ = [
    "add_photon_noise",
    "attenuation_from_hounsfield",
    "hounsfield_from_attenuation",
    "line_integrals_from_transmission",
    "photon_counts",
    "transmission_from_line_integrals",
]
