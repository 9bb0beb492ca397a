"""Denoisers: built from layers, trained, saved to files and loaded by name."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.models.bilateral import DualDomainBilateral, bilateral_filters, bilateral_stack
    from sinograd.models.model_file import SavedModel, load_model, model_names, read_model, save_model
    from sinograd.models.network_denoiser import NetworkDenoiser
    from sinograd.models.network_file import SavedNetwork
    from sinograd.models.slabs import filter_in_place

__all__ = [
    "DualDomainBilateral",
    "NetworkDenoiser",
    "SavedModel",
    "SavedNetwork",
    "bilateral_filters",
    "bilateral_stack",
    "filter_in_place",
    "load_model",
    "model_names",
    "read_model",
    "save_model",
]

attach(__name__)
